/*
 * pnfs-keeper STATE_DIR: the process; started by the server (spawn.c), which is connected to it by descriptor KEEPER_FD from the start.  Takes the lock, listens, lets
 * go of all it does not need, and keeps (serve.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "server/keeper/keeper.h"
#include "server/keeper/serve.h"
#include "server/keeper/spawn.h"

#define BREAK_TIME "/proc/sys/fs/lease-break-time"
#define SPARE_FDS 32u
#define LISTENER_ALONE_MS 60000u

/*
 * One keeper for a state_dir: it holds a lock on its pid file, which it removes at its end; a lock on a file that is not there any more is none.
 */
static int
lock_take(int dir)
{
	for (;;) {
		struct stat ours, there;
		int fd = openat(dir, KEEPER_PID_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
			return -1;
		if (!fstat(fd, &ours) && !fstatat(dir, KEEPER_PID_FILE, &there, AT_SYMLINK_NOFOLLOW) && ours.st_ino == there.st_ino) {
			if (ftruncate(fd, 0) || dprintf(fd, "%ld\n", (long)getpid()) < 0)
				return -1;
			return fd;
		}
		close(fd);
	}
}

static int
listen_make(int dir)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	snprintf(sun.sun_path, sizeof sun.sun_path, "/proc/self/fd/%d/" KEEPER_SOCKET, dir);
	/* We have the lock: nobody listens on what is there. */
	unlinkat(dir, KEEPER_SOCKET, 0);
	mode_t mask = umask(0177);
	int r = bind(fd, (struct sockaddr *)&sun, sizeof sun);
	umask(mask);
	return r || listen(fd, 8) ? -1 : fd;
}

/* The end of a session or a full memory is no reason to let go. */
static void
stay_alive(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "-1000", 5) != 5)
		syslog(LOG_INFO, "oom_score_adj: %m");
	if (fd >= 0)
		close(fd);
}

/* It opens nothing from here on and writes nothing but the one sysctl, for which it must be root and no more. */
static void
drop_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (syscall(SYS_capset, &header, none))
		syslog(LOG_WARNING, "capabilities are not dropped: %m");
}

static int
signals_take(void)
{
	sigset_t all, end;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	return signalfd(-1, &end, SFD_CLOEXEC | SFD_NONBLOCK);
}

static unsigned
fds_raise(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return 1024 - SPARE_FDS;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl))
		getrlimit(RLIMIT_NOFILE, &rl);
	return rl.rlim_cur > SPARE_FDS ? (unsigned)(rl.rlim_cur - SPARE_FDS) : 0;
}

int
main(int argc, char **argv)
{
	struct stat st;
	if (argc != 2 || argv[1][0] == '-' || fstat(KEEPER_FD, &st) || !S_ISSOCK(st.st_mode)) {
		fputs("pnfs-keeper is started by pnfs-mds(8)\n", stderr);
		return 64;
	}
	openlog("pnfs-keeper", LOG_PID, LOG_DAEMON);
	int dir = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || chdir("/"))
		return 1;
	if (lock_take(dir) < 0)
		return 0;		/* there is one; whoever started us finds it */
	struct keeper_server s = { .daemon_fd = KEEPER_FD, .alone_ms = LISTENER_ALONE_MS, .max = fds_raise() };
	s.signal_fd = signals_take();
	s.listen_fd = listen_make(dir);
	s.break_fd = open(BREAK_TIME, O_RDWR | O_CLOEXEC);
	if (s.listen_fd < 0 || s.signal_fd < 0 || fcntl(KEEPER_FD, F_SETFD, FD_CLOEXEC) || fcntl(KEEPER_FD, F_SETFL, O_NONBLOCK)) {
		syslog(LOG_ERR, "%s: %m", argv[1]);
		unlinkat(dir, KEEPER_PID_FILE, 0);
		return 1;
	}
	stay_alive();
	drop_privileges();
	keeper_serve(&s);
	unlinkat(dir, KEEPER_SOCKET, 0);
	unlinkat(dir, KEEPER_PID_FILE, 0);
	return 0;
}
