/*
 * The process's file leases (fcntl F_SETLEASE); see plain.h.
 *
 * A local open or truncate of a leased file waits in the kernel, which sends a real-time signal with the descriptor to one thread here; that thread tells
 * layout/recall.c and state/deleg.c, and the breaker goes on when the lease is dropped.  If the signal queue is full, the kernel sends a bare SIGIO: all leases are then
 * looked at.  The same is done every second, in case.
 *
 * While leases are out, fs.lease-break-time is 0: the breaker waits for us and not for the 45 s after which it would write to blocks
 * that a client may still write.
 *
 * Each that is there for layouts is with the keeper, too: it belongs to the open file, and a server that is killed leaves it behind.  The next life holds it (former_lease.c) until the
 * clients of before are done with.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/export/deleg_lease.h"
#include "server/export/former_lease.h"
#include "server/export/plain.h"
#include "server/fs/fs.h"
#include "server/keeper/keeper.h"
#include "server/mds.h"

#define BREAK_TIME "/proc/sys/fs/lease-break-time"
#define SCAN_MS 1000

#define LEASE_SIGNAL (SIGRTMIN + 4)

static struct {
	pthread_mutex_t lock;		/* a leaf: nothing else is taken under it */
	unsigned users;			/* exports, and former leases */
	struct keeper *keeper;
	pthread_t thread;
	pid_t tid;
	int stop_fd, signal_fd;		/* eventfd, signalfd */
	int sysctl_fd;
	int break_time;			/* as we found it; -1: not changed by us */
	char record[PATH_MAX];		/* file with the same, while it is changed */
	struct plain_slot { struct plain_lease *user[PLAIN_KINDS]; } *by_fd;
	unsigned size, count;	/* count: of descriptors with a lease */
} leases = { .lock = PTHREAD_MUTEX_INITIALIZER, .stop_fd = -1, .signal_fd = -1, .sysctl_fd = -1, .break_time = -1 };

static void
lease_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, LEASE_SIGNAL);
	sigaddset(set, SIGIO);
}

void
export_block_signals(void)
{
	sigset_t set;
	lease_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int
number_read(int fd)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return atoi(text);
}

static int
number_write(int fd, int value)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%d\n", value);
	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -errno;
}

/* What a server that was killed had found. */
static void
record_read(void)
{
	CLEANUP_CLOSE int fd = open(leases.record, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && number_read(leases.sysctl_fd) == 0)
		leases.break_time = number_read(fd);
}

static void
record_write(int value)
{
	CLEANUP_CLOSE int fd = open(leases.record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || number_write(fd, value))
		log_warn("%s: %s", leases.record, strerror(errno));
}

/* Make it 0.  Somebody's other value is remembered, to be put back.  leases.lock held. */
static int
break_time_hold(void)
{
	int now = number_read(leases.sysctl_fd);
	if (now == 0)
		return 0;
	if (now < 0)
		return -EIO;
	record_write(now);
	int r = number_write(leases.sysctl_fd, 0);
	if (r) {
		log_error("%s: %s: no leases", BREAK_TIME, strerror(-r));
		return r;
	}
	if (leases.break_time >= 0)
		log_warn("%s was changed to %d while layouts are out: set to 0 again", BREAK_TIME, now);
	leases.break_time = now;
	return 0;
}

/* Put back what was found, unless somebody changed it meanwhile, or leases are left to the keeper.  leases.lock held. */
static void
break_time_restore(void)
{
	if (keeper_count(leases.keeper, KEEPER_LEASE)) {
		leases.break_time = -1;		/* it stands in the record */
		return;
	}
	if (leases.break_time > 0 && number_read(leases.sysctl_fd) == 0 &&
	    number_write(leases.sysctl_fd, leases.break_time))
		log_warn("%s: cannot be set back to %d", BREAK_TIME, leases.break_time);
	leases.break_time = -1;
	unlink(leases.record);
}

static void
lease_put(struct plain_lease *pl)
{
	if (atomic_fetch_sub(&pl->refs, 1) != 1)
		return;
	inode_put(pl->lease.inode);
	free(pl);
}

/* The lease of FD if it is being broken, KIND's share in it, referenced; else NULL (also for a signal that came late). */
static struct plain_lease *
lease_broken(int fd, enum plain_kind kind)
{
	LOCK_SCOPE(&leases.lock);
	if (fd < 0 || (unsigned)fd >= leases.size)
		return NULL;
	struct plain_lease *pl = leases.by_fd[fd].user[kind];
	if (!pl || fcntl(fd, F_GETLEASE) == F_WRLCK)
		return NULL;
	atomic_fetch_add(&pl->refs, 1);
	return pl;
}

static void
lease_tell_kind(int fd, enum plain_kind kind)
{
	struct plain_lease *pl = lease_broken(fd, kind);
	if (!pl)
		return;
	void (*on_break)(struct mds *, struct inode *) = kind == PLAIN_DELEGS ? export_on_deleg_break : export_on_break;
	struct inode *inode = pl->lease.inode;
	struct mds *mds = inode->export->mds;
	pthread_mutex_lock(&mds->state_lock);
	bool known = pl->lease.broken;
	pl->lease.broken = true;
	pthread_mutex_unlock(&mds->state_lock);
	if (!known && on_break)
		on_break(mds, inode);
	lease_put(pl);
}

static void
lease_tell(int fd)
{
	for (enum plain_kind kind = 0; kind < PLAIN_KINDS; kind++)
		lease_tell_kind(fd, kind);
}

static void
lease_scan(void)
{
	pthread_mutex_lock(&leases.lock);
	unsigned size = leases.size;
	if (leases.count || keeper_count(leases.keeper, KEEPER_LEASE))
		break_time_hold();
	pthread_mutex_unlock(&leases.lock);
	for (unsigned fd = 0; fd < size; fd++)
		lease_tell((int)fd);
}

static void *
lease_thread(void *arg)
{
	struct signalfd_siginfo info[64];
	sigset_t set;
	(void)arg;
	/* signalfd reads the signals of the thread that reads: leases are owned by this one. */
	lease_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_mutex_lock(&leases.lock);
	leases.tid = gettid();
	pthread_mutex_unlock(&leases.lock);
	for (;;) {
		struct pollfd pfd[] = { { .fd = leases.signal_fd, .events = POLLIN }, { .fd = leases.stop_fd, .events = POLLIN } };
		int n = poll(pfd, 2, SCAN_MS);
		if (pfd[1].revents)
			return NULL;
		bool scan = n == 0;
		if (n > 0 && pfd[0].revents) {
			ssize_t len = read(leases.signal_fd, info, sizeof info);
			for (size_t i = 0; len > 0 && i < (size_t)len / sizeof info[0]; i++)
				if (info[i].ssi_signo == (uint32_t)LEASE_SIGNAL)
					lease_tell(info[i].ssi_fd);
				else
					scan = true;
		}
		if (scan)
			lease_scan();
	}
}

static void
leases_close(void)
{
	int *fds[] = { &leases.stop_fd, &leases.signal_fd, &leases.sysctl_fd };
	for (unsigned i = 0; i < 3; i++) {
		cleanup_close_(fds[i]);
		*fds[i] = -1;
	}
	free(leases.by_fd);
	leases.by_fd = NULL;
	leases.size = 0;
	leases.tid = 0;
}

/* leases.lock held. */
static int
leases_open(const char *state_dir)
{
	sigset_t set;
	lease_signals(&set);
	snprintf(leases.record, sizeof leases.record, "%s/lease-break-time", state_dir);
	leases.sysctl_fd = open(BREAK_TIME, O_RDWR | O_CLOEXEC);
	leases.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	leases.stop_fd = eventfd(0, EFD_CLOEXEC);
	int r = leases.sysctl_fd < 0 || leases.signal_fd < 0 || leases.stop_fd < 0 ? -errno : 0;
	if (r == 0)
		record_read();
	if (r == 0)
		r = -pthread_create(&leases.thread, NULL, lease_thread, NULL);
	if (r)
		leases_close();
	return r;
}

int
plain_leases_start(struct mds *mds)
{
	LOCK_SCOPE(&leases.lock);
	if (leases.users == 0) {
		leases.keeper = mds->keeper;
		int r = leases_open(mds->conf.state_dir);
		if (r)
			return r;
		/* The kernel is told the thread's id with each lease. */
		while (!leases.tid) {
			pthread_mutex_unlock(&leases.lock);
			usleep(100);
			pthread_mutex_lock(&leases.lock);
		}
	}
	leases.users++;
	return 0;
}

void
plain_leases_stop(void)
{
	uint64_t one = 1;
	pthread_mutex_lock(&leases.lock);
	if (--leases.users) {
		pthread_mutex_unlock(&leases.lock);
		return;
	}
	pthread_mutex_unlock(&leases.lock);
	if (write(leases.stop_fd, &one, sizeof one) == (ssize_t)sizeof one)
		pthread_join(leases.thread, NULL);
	pthread_mutex_lock(&leases.lock);
	break_time_restore();
	leases_close();
	pthread_mutex_unlock(&leases.lock);
}

/* Room in the table for FD.  leases.lock held. */
static int
leases_grow(unsigned fd)
{
	unsigned size = leases.size ? leases.size : 256;
	while (size <= fd)
		size *= 2;
	if (size == leases.size)
		return 0;
	struct plain_slot *by_fd = realloc(leases.by_fd, size * sizeof *by_fd);
	if (!by_fd)
		return -ENOMEM;
	memset(by_fd + leases.size, 0, (size - leases.size) * sizeof *by_fd);
	leases.by_fd = by_fd;
	leases.size = size;
	return 0;
}

/* Nobody has one on this descriptor.  leases.lock held. */
static int
lease_set(struct plain_lease *pl, bool former)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = leases.tid };
	int r = leases.count == 0 ? break_time_hold() : 0;	/* later ones: the thread looks now and then */
	if (r)
		return r;
	if (fcntl(pl->fd, F_SETSIG, LEASE_SIGNAL) || fcntl(pl->fd, F_SETOWN_EX, &owner))
		return -errno;
	if (fcntl(pl->fd, F_SETLEASE, F_WRLCK)) {
		/* Whoever breaks a former one has the file open; he waits. */
		if (errno != EAGAIN || !former)
			return -errno;
		pl->lease.broken = true;
	}
	leases.count++;
	return 0;
}

static bool
slot_used(const struct plain_slot *slot)
{
	return slot->user[PLAIN_LAYOUTS] || slot->user[PLAIN_DELEGS];
}

int
plain_leases_take(struct plain_lease *pl)
{
	/* It changes only with io_lock held. */
	bool former = former_lease_on(pl->lease.inode);
	LOCK_SCOPE(&leases.lock);
	int r = leases_grow((unsigned)pl->fd);
	if (r)
		return r;
	struct plain_slot *slot = &leases.by_fd[pl->fd];
	if (slot->user[pl->kind])
		return -EBUSY;		/* one per inode and kind: all layouts share it, all delegations */
	if (!slot_used(slot))
		r = lease_set(pl, former);
	else if (fcntl(pl->fd, F_GETLEASE) != F_WRLCK)
		r = -EAGAIN;		/* somebody waits for it to be given up */
	if (r == 0)
		slot->user[pl->kind] = pl;
	return r;
}

int
plain_leases_keep(struct plain_lease *pl)
{
	struct inode *inode = pl->lease.inode;
	return keeper_add(inode->export->mds->keeper, KEEPER_LEASE, inode->handle, inode->handle_len, NULL, 0, pl->fd);
}

void
plain_leases_drop(struct plain_lease *pl)
{
	struct inode *inode = pl->lease.inode;
	bool stays = pl->lease.left || former_lease_on(inode);
	/* First: a server that is killed in between leaves nothing behind that holds up local programs for nobody. */
	if (!stays && pl->kind == PLAIN_LAYOUTS)
		keeper_del(inode->export->mds->keeper, KEEPER_LEASE, inode->handle, inode->handle_len);
	pthread_mutex_lock(&leases.lock);
	struct plain_slot *slot = &leases.by_fd[pl->fd];
	slot->user[pl->kind] = NULL;
	if (!slot_used(slot)) {
		leases.count--;
		if (!stays && fcntl(pl->fd, F_SETLEASE, F_UNLCK))
			log_error("lease: cannot be given back: %s", strerror(errno));
	}
	pthread_mutex_unlock(&leases.lock);
	lease_put(pl);
}

bool
plain_leases_has(int fd)
{
	LOCK_SCOPE(&leases.lock);
	return fd >= 0 && (unsigned)fd < leases.size && slot_used(&leases.by_fd[fd]);
}
