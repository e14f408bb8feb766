/*
 * The administrator's fencing command (INTERFACES.md, "Fencing command"): run by the shell in a process group of its own, told by environment variables
 * what to cut off; exit 0 within the time means that it is.  Called by layout/device_fence.c on fencer threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/fence/fence.h"

extern char **environ;

/* The variables, then all of our environment that does not begin with PNFS_FENCE_. */
static char **
command_environment(const struct fence_env *env, char **storage)
{
	static const char *const names[] = { "CLIENT", "ADDR", "IQN", "DEVICE" };
	const char *const values[] = { env->client, env->addr, env->iqn, env->device };
	size_t n = 0, bytes = 64;
	for (char **e = environ; *e; e++)
		n++;
	for (unsigned i = 0; i < 4; i++)
		bytes += 32 + (values[i] ? strlen(values[i]) : 0);
	char **list = calloc(n + 6, sizeof *list), *p = malloc(bytes), *end = p + bytes;
	*storage = p;
	if (!list || !p) {
		free(list);
		return NULL;
	}
	n = 0;
	for (unsigned i = 0; i < 4; i++) {
		list[n++] = p;
		p += snprintf(p, (size_t)(end - p), "PNFS_FENCE_%s=%s", names[i], values[i] ? values[i] : "") + 1;
	}
	list[n++] = p;
	if (env->key)
		snprintf(p, (size_t)(end - p), "PNFS_FENCE_KEY=0x%016" PRIx64, env->key);
	else
		snprintf(p, (size_t)(end - p), "PNFS_FENCE_KEY=");
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "PNFS_FENCE_", 11) != 0)
			list[n++] = *e;
	return list;
}

/* Own process group, default signals, nothing blocked, no input; output goes where our log goes. */
static int
command_spawn(const char *command, char **envp, pid_t *pid)
{
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t actions;
	sigset_t none, all;
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)command, NULL };
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 2, 1);
	/* The server's sockets and files are not the script's. */
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	int r = posix_spawn(pid, "/bin/sh", &actions, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* 0: it ended; -ETIMEDOUT. */
static int
command_wait(pid_t pid, uint32_t timeout_ms)
{
	CLEANUP_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t deadline = now.tv_sec * 1000 + now.tv_nsec / 1000000 + timeout_ms;
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		int64_t left = deadline - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		int n = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int
fence_command_run(const char *command, const struct fence_env *env, uint32_t timeout_ms)
{
	CLEANUP_FREE char *storage = NULL;
	CLEANUP_FREE char **envp = command_environment(env, &storage);
	pid_t pid;
	int status;
	if (!envp)
		return -ENOMEM;
	int r = command_spawn(command, envp, &pid);
	if (r)
		return r;
	r = command_wait(pid, timeout_ms);
	if (r) {
		log_error("fencing command: no answer after %u ms: killed", timeout_ms);
		kill(-pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_error("fencing command: %s %d", WIFEXITED(status) ? "exit status" : "signal",
	    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return -EIO;
}
