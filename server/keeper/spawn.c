/*
 * Finding the keeper, or starting it; see spawn.h.  It is a program of its own: the server has threads when it starts it once more, and whoever looks for
 * pnfs-mds among the processes finds the server only.
 */
#include "server/keeper/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "server/keeper/message.h"

#define ASK_SECONDS 5
#define CONNECT_TRIES 200
#define CONNECT_PAUSE_MS 50

int
keeper_ask(int sock, const struct keeper_message *ask, int give_fd, struct keeper_packet *packet, struct keeper_message *reply, int *fd,
    bool *broken)
{
	*fd = -1;
	*broken = true;
	int err = keeper_message_send(sock, ask, give_fd);
	/* As many descriptors are under way as may be open: that is no fault of the connection.  Who is not wanted finds an answer and a closed door. */
	*broken = err && err != -ETOOMANYREFS;
	if (err && err != -EPIPE)
		return err;
	err = keeper_message_receive(sock, packet, reply, fd);
	*broken = err && err != -EMFILE;
	if (err)
		return err;
	if (reply->op == KEEPER_REPLY)
		return reply->status;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	*broken = true;
	return -EBADMSG;
}

static int
keeper_hello(int sock, pid_t *pid)
{
	const struct keeper_message hello = { .op = KEEPER_HELLO };
	struct timeval timeout = { .tv_sec = ASK_SECONDS };
	struct keeper_packet packet;
	struct keeper_message reply;
	bool broken;
	int fd;

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	int err = keeper_ask(sock, &hello, -1, &packet, &reply, &fd, &broken);
	if (fd >= 0)
		close(fd);
	if (!err)
		*pid = (pid_t)reply.number;
	return err;
}

/* state_dir may be longer than the address of a socket: by way of a descriptor of it. */
static int
keeper_find(const char *state_dir)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct ucred cred;
	socklen_t len = sizeof cred;

	CLEANUP_CLOSE int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	snprintf(sun.sun_path, sizeof sun.sun_path, "/proc/self/fd/%d/" KEEPER_SOCKET, dir);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	int err = connect(sock, (struct sockaddr *)&sun, sizeof sun) ? -errno : 0;
	if (!err && getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		err = -errno;
	if (!err && cred.uid != geteuid())
		err = -EPERM;
	if (!err)
		return sock;
	close(sock);
	return err;
}

/* Beside our own program - a build folder - or where it is installed.  (What was replaced meanwhile is called "... (deleted)": no matter.) */
static int
keeper_program(char *path, size_t size)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n > 0) {
		exe[n] = 0;
		if ((size_t)snprintf(path, size, "%s/pnfs-keeper", dirname(exe)) < size && access(path, X_OK) == 0)
			return 0;
	}
	snprintf(path, size, "%s/pnfs-keeper", KEEPER_LIBEXEC);
	return access(path, X_OK) ? -errno : 0;
}

/* In the child of a process with threads: nothing but system calls. */
static void
keeper_exec(const char *path, const char *state_dir, int sock)
{
	char *argv[] = { (char *)(uintptr_t)"pnfs-keeper", (char *)(uintptr_t)state_dir, NULL };

	if (sock != KEEPER_FD && dup2(sock, KEEPER_FD) < 0)
		_exit(1);
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	fcntl(KEEPER_FD, F_SETFD, 0);
	/* Everything else is CLOEXEC; in case. */
	syscall(SYS_close_range, KEEPER_FD + 1, ~0u, 0);
	execve(path, argv, environ);
	_exit(1);
}

static int
keeper_start(const char *state_dir)
{
	char path[PATH_MAX];
	int pair[2], status, err = keeper_program(path, sizeof path);

	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid_t child = fork();
	if (child == 0) {
		/* A session of its own, and nobody's child: no terminal, no waiting. */
		setsid();
		pid_t keeper = fork();
		if (keeper == 0)
			keeper_exec(path, state_dir, pair[1]);
		_exit(keeper < 0);
	}
	err = child < 0 ? -errno : 0;
	close(pair[1]);
	if (!err)
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	if (err) {
		close(pair[0]);
		return err;
	}
	return pair[0];
}

/* A keeper that is about to end, one that has not come so far as to listen, one whose server is not quite dead: look again. */
static bool
keeper_try_again(int err)
{
	return err == -EBUSY || err == -ECONNREFUSED || err == -ECONNRESET || err == -EPIPE || err == -ENOENT;
}

int
keeper_connect(const char *state_dir, pid_t *pid)
{
	const struct timespec pause = { .tv_nsec = CONNECT_PAUSE_MS * 1000000l };
	int err = 0;

	for (unsigned try = 0; try < CONNECT_TRIES; try++) {
		if (try)
			nanosleep(&pause, NULL);
		int sock = keeper_find(state_dir);
		if (sock == -ENOENT || sock == -ECONNREFUSED) {
			sock = keeper_start(state_dir);
			if (sock < 0)
				return sock;
		}
		err = sock < 0 ? sock : keeper_hello(sock, pid);
		if (!err)
			return sock;
		if (sock >= 0)
			close(sock);
		if (!keeper_try_again(err))
			return err;
	}
	return err;
}
