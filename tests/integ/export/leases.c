/* Leases of the provider: who is refused one and why, and local programs that break them. */
#include "tests/integ/export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- refusals ---- */

void
check_refused(void)
{
	enum reason why;
	char path[512];
	int fd = create("open-elsewhere");
	fill(fd, 0, BS, 2);
	struct inode *inode = inode_of("open-elsewhere");
	if (!kernel)
		lease_of(inode, -EAGAIN, REASON_LOCAL_OPEN);
	close(kernel ? -1 : fd);	/* a lease on writing is no matter to who only has it open */
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	struct layout_lease *second;
	EXPECT(inode->export->ops->lease(inode, &second, &why), kernel ? -EAGAIN : -EBUSY);
	EXPECT(map_locked(lease, 0, 100, false, 4, &why), -EINVAL);
	EXPECT(map_locked(lease, 100, BS, false, 4, &why), -EINVAL);
	EXPECT(map_locked(lease, UINT64_MAX - 4095, 4096, false, 4, &why), -EINVAL);
	EXPECT(map_locked(lease, 8 * BS, BS, true, 4, &why), kernel);
	EXPECT(why, kernel ? REASON_NONE : REASON_EOF_BLOCK);
	EXPECT(map_locked(lease, 8 * BS, BS, false, 4, &why), 1);
	EXPECT(map[0].type, kernel ? IOMAP_UNWRITTEN : IOMAP_HOLE);
	lease->ops->unlease(lease);
	inode_put(inode);
	if (kernel)
		close(fd);

	/* A clone shares blocks. */
	snprintf(path, sizeof path, "cp --reflink=always %s/open-elsewhere %s/clone", mnt, mnt);
	EXPECT(system(path), 0);
	inode = inode_of("clone");
	lease = lease_of(inode, 0, REASON_NONE);
	EXPECT(map_locked(lease, 0, BS, false, 4, &why), -ENOTSUP);
	EXPECT(why, REASON_REFLINKED);
	lease->ops->unlease(lease);
	inode_put(inode);

	/* suid goes with a grant to write. */
	fd = create("suid");
	fill(fd, 0, BS, 3);
	fchmod(fd, 06755);
	close(fd);
	inode = inode_of("suid");
	lease = lease_of(inode, 0, REASON_NONE);
	struct fs_stat st;
	EXPECT(map_locked(lease, 0, BS, false, 4, &why), 1);
	EXPECT(fs_getattr(inode, &st), 0);
	EXPECT(st.stx.stx_mode & 07777, 06755);
	EXPECT(map_locked(lease, 0, BS, true, 4, &why), 1);
	EXPECT(fs_getattr(inode, &st), 0);
	EXPECT(st.stx.stx_mode & 07777, 0755);
	lease->ops->unlease(lease);
	inode_put(inode);
}

/* ---- local breakers ---- */

static atomic_uint breaks;
static _Atomic(struct inode *) broken_inode;
static atomic_uint_fast64_t broken_us;

void
on_break(struct mds *m, struct inode *inode)
{
	(void)m;
	atomic_store(&broken_inode, inode);
	atomic_store(&broken_us, now_us());
	atomic_fetch_add(&breaks, 1);
}

int
break_time(void)
{
	char text[16] = "";
	int fd = open("/proc/sys/fs/lease-break-time", O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		die("lease-break-time");
	close(fd);
	return atoi(text);
}

/* The kernel's lease begins with the first map. */
static void
hold(struct layout_lease *lease)
{
	enum reason why;
	if (kernel)
		EXPECT(map_locked(lease, 0, BS, true, 4, &why), 1);
	else
		EXPECT(break_time(), 0);
}

/* A program that truncates a leased file waits until the lease is given back. */
void
check_break(void)
{
	char path[512];
	int fd = create("breakme"), status;
	fill(fd, 0, 8 * BS, 4);
	close(fd);
	struct inode *inode = inode_of("breakme");
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	hold(lease);
	snprintf(path, sizeof path, "%s/breakme", mnt);
	uint64_t start = now_us();
	pid_t pid = fork();
	if (pid == 0)
		_exit(truncate(path, BS) ? 1 : 0);
	for (unsigned i = 0; i < 200 && !atomic_load(&breaks); i++)
		usleep(5000);
	EXPECT(atomic_load(&breaks), 1);
	EXPECT(atomic_load(&broken_inode) == inode, 1);
	printf("break told after %" PRIu64 " us\n", atomic_load(&broken_us) - start);
	pthread_mutex_lock(&server.state_lock);
	EXPECT(lease->broken, 1);
	pthread_mutex_unlock(&server.state_lock);
	usleep(300 * 1000);
	EXPECT(waitpid(pid, &status, WNOHANG), 0);	/* still waits */
	lease->ops->unlease(lease);
	EXPECT(waitpid(pid, &status, 0), pid);
	EXPECT(status, 0);
	struct fs_stat st;
	EXPECT(fs_getattr(inode, &st), 0);
	EXPECT(st.stx.stx_size, BS);
	/* And again from the start. */
	lease = lease_of(inode, 0, REASON_NONE);
	EXPECT(lease->broken, 0);
	lease->ops->unlease(lease);
	inode_put(inode);
}

/* More breaks than the signal queue holds: none is missed. */
static void
check_crowd(void)
{
	enum { FILES = 30 };
	static struct inode *inodes[FILES];
	static struct layout_lease *held[FILES];
	pid_t pids[FILES];
	char name[32], path[512];
	int status;
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "many%u", i);
		close(create(name));
		inodes[i] = inode_of(name);
		held[i] = lease_of(inodes[i], 0, REASON_NONE);
		hold(held[i]);
	}
	atomic_store(&breaks, 0);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "%s/many%u", mnt, i);
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(truncate(path, BS) ? 1 : 0);
	}
	for (unsigned i = 0; i < 2000 && atomic_load(&breaks) < FILES; i++)
		usleep(5000);
	EXPECT(atomic_load(&breaks), FILES);
	for (unsigned i = 0; i < FILES; i++) {
		EXPECT(waitpid(pids[i], &status, WNOHANG), 0);
		held[i]->ops->unlease(held[i]);
		EXPECT(waitpid(pids[i], &status, 0), pids[i]);
		EXPECT(status, 0);
		inode_put(inodes[i]);
	}
}

void
check_overflow(void)
{
	if (kernel) {		/* no signals there: programs that wait, at once */
		check_crowd();
		return;
	}
	enum { FILES = 200 };
	struct rlimit few = { 4, 4 };
	EXPECT(setrlimit(RLIMIT_SIGPENDING, &few), 0);
	static struct inode *inodes[FILES];
	static struct layout_lease *held[FILES];
	char name[32], path[512];
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "many%u", i);
		close(create(name));
		inodes[i] = inode_of(name);
		held[i] = lease_of(inodes[i], 0, REASON_NONE);
	}
	atomic_store(&breaks, 0);
	pid_t pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < FILES; i++) {
			snprintf(path, sizeof path, "%s/many%u", mnt, i);
			if (open(path, O_RDONLY | O_NONBLOCK) >= 0 || errno != EWOULDBLOCK)
				_exit(1);
		}
		_exit(0);
	}
	int status;
	EXPECT(waitpid(pid, &status, 0), pid);
	EXPECT(status, 0);
	for (unsigned i = 0; i < 2000 && atomic_load(&breaks) < FILES; i++)
		usleep(5000);
	EXPECT(atomic_load(&breaks), FILES);
	for (unsigned i = 0; i < FILES; i++) {
		held[i]->ops->unlease(held[i]);
		inode_put(inodes[i]);
	}
}
