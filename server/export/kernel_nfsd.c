/*
 * The kernel's nfsd in namespaces of its own, for provider kernel; see kernel.h.
 *
 * nfsd, its settings and the sunrpc caches belong to the network namespace of whoever sets them up.  So a small process is forked into a new one: it brings lo
 * up, starts nfsd, connects a socket, hands that and the caches' channels over, and then waits for the other end of its control socket to close or to be shut
 * down, to stop nfsd, which nobody else could find any more.  Neither mountd nor exportfs is needed: what they would tell the
 * kernel is written to the caches beforehand, and stands there for good.
 *
 * While layouts may be out the keeper has the other end of the control socket, too.  Then nfsd and the connection, of which the process has a
 * descriptor of its own, outlive a daemon that is killed, and with them the kernel's leases; the process answers for the dead one (kernel_guard.c), until
 * the next daemon has seen to the clients and shuts the socket down (former_lease.c).
 *
 * The mount namespace is private for one reason: a kernel before 6.2 that starts nfsd talks to rpcbind through a socket in /run, whatever the network
 * namespace, and would take the host's own nfsd off its list.  Mounts stay slaves of the host's, so that nothing is pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/export/kernel.h"
#include "server/export/kernel_guard.h"
#include "server/keeper/keeper.h"

#define NFSD_PORT 2049
#define NFSD_THREADS "8\n"
#define NFSD "/run/nfsd"
#define DOMAIN "pnfs"
#define FOREVER "2147483647"		/* cache entries: what old kernels take as a time */

#define NFDS 3
#define END_MS 30000			/* of an nfsd of before: it waits for its threads */

/* From the process in the namespaces: how it went; with it come the descriptors. */
struct report {
	int err;			/* -errno */
	char step[60];
};

/* ---- in the namespaces: a forked process of a program with threads, so system calls only ---- */

static struct report
failed(const char *step)
{
	struct report report = { .err = errno ? -errno : -EIO };
	size_t len = strlen(step);
	memcpy(report.step, step, len < sizeof report.step ? len : sizeof report.step - 1);
	return report;
}

static bool
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int err = errno;
	if (fd >= 0)
		close(fd);
	errno = err;
	return n == (ssize_t)strlen(text);
}

static bool
loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
	if (fd >= 0)
		close(fd);
	return up;
}

static struct report
namespaces_enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		return failed("unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return failed("mount: slave");
	if (mount("tmpfs", "/run", "tmpfs", 0, "size=64k"))
		return failed("mount /run");
	mount("/run", "/var/run", NULL, MS_BIND, NULL);	/* where that is no link to it */
	if (!loopback_up())
		return failed("lo");
	if (mkdir(NFSD, 0755) || mount("nfsd", NFSD, "nfsd", 0, NULL))
		return failed("mount nfsd");
	return (struct report){ 0 };
}

/* What the provider lives by must be so; the rest is wished for. */
static struct report
nfsd_configure(const char *lease)
{
	/* Without 3 no lockd is started, and no rpcbind is needed. */
	if (!put(NFSD "/versions", "-2 -3 +4 +4.1 -4.2\n"))
		return failed("versions");
	if (!put(NFSD "/nfsv4leasetime", lease))
		return failed("nfsv4leasetime");
	put(NFSD "/nfsv4gracetime", "10\n");
	if (!put(NFSD "/portlist", "tcp 2049\n"))
		return failed("portlist");
	if (!put(NFSD "/threads", NFSD_THREADS))
		return failed("threads");
	put(NFSD "/v4_end_grace", "Y\n");	/* else it is 10 s in which no layout is given */
	return (struct report){ 0 };
}

/* As mountd would answer the kernel's question who 127.0.0.1 is. */
static struct report
caches_open(int fds[NFDS])
{
	if (!put("/proc/self/net/rpc/auth.unix.ip/channel", "nfsd 127.0.0.1 " FOREVER " " DOMAIN "\n"))
		return failed("auth.unix.ip");
	fds[1] = open("/proc/self/net/rpc/nfsd.export/channel", O_WRONLY | O_CLOEXEC);
	fds[2] = open("/proc/self/net/rpc/nfsd.fh/channel", O_WRONLY | O_CLOEXEC);
	return fds[1] < 0 || fds[2] < 0 ? failed("channels") : (struct report){ 0 };
}

static struct report
nfsd_connect(int fds[NFDS])
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(NFSD_PORT),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[0] < 0 || connect(fds[0], (struct sockaddr *)&addr, sizeof addr))
		return failed("connect");
	return (struct report){ 0 };
}

union fds_message {
	struct cmsghdr hdr;
	char room[CMSG_SPACE(NFDS * sizeof(int))];
};

static void
report_send(int control, struct report *report, const int fds[NFDS])
{
	union fds_message cmsg;
	struct iovec iov = { report, sizeof *report };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (!report->err) {
		memset(&cmsg, 0, sizeof cmsg);
		msg.msg_control = &cmsg;
		msg.msg_controllen = sizeof cmsg.room;
		cmsg.hdr.cmsg_level = SOL_SOCKET;
		cmsg.hdr.cmsg_type = SCM_RIGHTS;
		cmsg.hdr.cmsg_len = CMSG_LEN(NFDS * sizeof(int));
		memcpy(CMSG_DATA(&cmsg.hdr), fds, NFDS * sizeof(int));
	}
	if (sendmsg(control, &msg, MSG_NOSIGNAL) < 0)
		_exit(1);
}

/* Signals for the process group (a terminal's, a service manager's) are the daemon's business: we go when it has gone. */
static void
signals_ignore(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2 };
	struct sigaction sa = { .sa_handler = SIG_IGN };
	for (unsigned i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		sigaction(ignored[i], &sa, NULL);
}

/* It may outlive the daemon and is what guards blocks then: no terminal, no folder, and no end when memory is short. */
static void
live_alone(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	setsid();
	if (chdir("/"))
		_exit(1);
	put("/proc/self/oom_score_adj", "-1000");
}

/* Until the control socket ends.  From the death of DAEMON (a pidfd) on recalls that come over SOCK are answered here. */
static void
nfsd_wait(int control, int daemon, int sock)
{
	struct kernel_guard guard = { .sock = -1 };
	for (;;) {
		struct pollfd pfd[] = { { .fd = control, .events = POLLIN }, { .fd = daemon, .events = POLLIN },
			{ .fd = guard.sock, .events = POLLIN } };
		char byte;
		if (poll(pfd, 3, -1) < 0)
			continue;
		if (pfd[0].revents && recv(control, &byte, 1, MSG_DONTWAIT) == 0)
			return;
		if (pfd[1].revents) {
			guard.sock = sock;
			daemon = -1;
		}
		if (pfd[2].revents)
			kernel_guard_serve(&guard);
	}
}

static void __attribute__((noreturn))
nfsd_process(int control, int daemon, const char *lease)
{
	int fds[NFDS] = { -1, -1, -1 };
	signals_ignore();
	prctl(PR_SET_NAME, "pnfs-nfsd");
	/* In this order neither is lost: the first that is given is no lower than 5. */
	control = fcntl(control, F_DUPFD_CLOEXEC, 5);
	daemon = fcntl(daemon, F_DUPFD_CLOEXEC, 5);
	if (control < 0 || daemon < 0 || dup3(control, 3, O_CLOEXEC) < 0 || dup3(daemon, 4, O_CLOEXEC) < 0)
		_exit(1);
	control = 3;
	daemon = 4;
	close_range(5, ~0u, 0);
	live_alone();
	struct report report = namespaces_enter();
	if (!report.err)
		report = nfsd_configure(lease);
	if (!report.err)
		report = caches_open(fds);
	if (!report.err)
		report = nfsd_connect(fds);
	report_send(control, &report, fds);
	for (int i = 1; i < NFDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (!report.err)
		nfsd_wait(control, daemon, fds[0]);
	put(NFSD "/threads", "0\n");
	_exit(0);
}

/* ---- in the daemon ---- */

static int
report_get(int control, struct report *report, int fds[NFDS])
{
	union fds_message cmsg;
	struct iovec iov = { report, sizeof *report };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &cmsg, .msg_controllen = sizeof cmsg.room };
	ssize_t n;
	do
		n = recvmsg(control, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof *report)
		return -EIO;
	report->step[sizeof report->step - 1] = 0;
	if (report->err)
		return report->err;
	const struct cmsghdr *hdr = CMSG_FIRSTHDR(&msg);
	if (!hdr || hdr->cmsg_type != SCM_RIGHTS || hdr->cmsg_len != CMSG_LEN(NFDS * sizeof(int)))
		return -EIO;
	memcpy(fds, CMSG_DATA(hdr), NFDS * sizeof(int));
	return 0;
}

int
kernel_nfsd_start(struct kernel_nfsd *nfsd, unsigned lease, int *sock, char *why, size_t size)
{
	struct report report = { .step = "no answer" };
	int pair[2], fds[NFDS];
	char text[16];
	snprintf(text, sizeof text, "%u\n", lease);
	*nfsd = (struct kernel_nfsd){ .control = -1 };
	CLEANUP_CLOSE int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		int err = -errno;
		snprintf(why, size, "%s: %s", self < 0 ? "pidfd" : "socketpair", strerror(-err));
		return err;
	}
	nfsd->pid = fork();
	if (nfsd->pid == 0)
		nfsd_process(pair[1], self, text);
	close(pair[1]);
	nfsd->control = pair[0];
	nfsd->exports = nfsd->handles = -1;
	int err = nfsd->pid < 0 ? -errno : report_get(pair[0], &report, fds);
	if (err) {
		snprintf(why, size, "%s: %s", report.step, strerror(-err));
		kernel_nfsd_stop(nfsd);
		return strcmp(report.step, "mount nfsd") == 0 || err == -EPERM ? -ENOTSUP : err;
	}
	*sock = fds[0];
	nfsd->exports = fds[1];
	nfsd->handles = fds[2];
	return 0;
}

static void
nfsd_close(struct kernel_nfsd *nfsd)
{
	int *fds[] = { &nfsd->exports, &nfsd->handles, &nfsd->control };
	for (unsigned i = 0; i < 3; i++) {
		cleanup_close_(fds[i]);
		*fds[i] = -1;
	}
	nfsd->pid = 0;
}

void
kernel_nfsd_stop(struct kernel_nfsd *nfsd)
{
	/* Not by closing: the keeper may have the same end. */
	shutdown(nfsd->control, SHUT_WR);
	if (nfsd->pid > 0)
		while (waitpid(nfsd->pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (nfsd->keeper)
		keeper_del(nfsd->keeper, KEEPER_NFSD, nfsd->key, (unsigned)strlen(nfsd->key));
	nfsd_close(nfsd);
}

void
kernel_nfsd_leave(struct kernel_nfsd *nfsd)
{
	nfsd_close(nfsd);
}

bool
kernel_nfsd_alive(int control)
{
	struct pollfd pfd = { .fd = control };
	return poll(&pfd, 1, 0) == 0;
}

int
kernel_nfsd_keep(struct kernel_nfsd *nfsd, struct keeper *keeper, uint64_t boot)
{
	if (!keeper)
		return 0;
	/* The one that would answer for us is dead. */
	if (!kernel_nfsd_alive(nfsd->control))
		return -EPIPE;
	if (nfsd->keeper)
		return keeper_pid(keeper) ? 0 : -ENOTCONN;
	snprintf(nfsd->key, sizeof nfsd->key, "%llx.%ld", (unsigned long long)boot, (long)nfsd->pid);
	int err = keeper_add(keeper, KEEPER_NFSD, nfsd->key, (unsigned)strlen(nfsd->key), NULL, 0, nfsd->control);
	if (!err)
		nfsd->keeper = keeper;
	return err;
}

int
kernel_nfsd_end(int control)
{
	struct pollfd pfd = { .fd = control, .events = POLLIN };
	shutdown(control, SHUT_WR);
	int n;
	do
		n = poll(&pfd, 1, END_MS);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : -ETIMEDOUT;
}

/* linux/nfsd/export.h, which is not for user space in all versions. */
enum {
	NFSEXP_INSECURE_PORT = 0x2, NFSEXP_NOSUBTREECHECK = 0x400, NFSEXP_FSID = 0x2000, NFSEXP_PNFS = 0x20000,
};

/* A directory by its descriptor; the dot at the end has the kernel follow the link. */
static int
cache_write(int channel, const char *text)
{
	ssize_t n = write(channel, text, strlen(text));
	return n == (ssize_t)strlen(text) ? 0 : n < 0 ? -errno : -EIO;
}

static int
handles_write(const struct kernel_nfsd *nfsd, uint32_t id, const char *path)
{
	uint8_t b[4];
	char text[160];
	memcpy(b, &id, sizeof b);	/* as in the handle: in the machine's order */
	snprintf(text, sizeof text, DOMAIN " 1 \\x%02x%02x%02x%02x " FOREVER " %s\n", b[0], b[1], b[2], b[3], path);
	return cache_write(nfsd->handles, text);
}

int
kernel_nfsd_export(const struct kernel_nfsd *nfsd, uint32_t id, int dir_fd)
{
	char path[48], text[160];
	snprintf(path, sizeof path, "/proc/thread-self/fd/%d/.", dir_fd);
	snprintf(text, sizeof text, DOMAIN " %s " FOREVER " %d 65534 65534 %d\n", path,
	    NFSEXP_INSECURE_PORT | NFSEXP_NOSUBTREECHECK | NFSEXP_FSID | NFSEXP_PNFS, (int32_t)id);
	int err = cache_write(nfsd->exports, text);
	return err ? err : handles_write(nfsd, id, path);
}

int
kernel_nfsd_unexport(const struct kernel_nfsd *nfsd, uint32_t id, int dir_fd)
{
	char text[160];
	/* Entries without what they are for: "there is no such export", and nothing of the file system is held any more. */
	int err = handles_write(nfsd, id, "");
	snprintf(text, sizeof text, DOMAIN " /proc/thread-self/fd/%d/. " FOREVER "\n", dir_fd);
	int err2 = cache_write(nfsd->exports, text);
	return err ? err : err2;
}
