/*
 * See ctl.h: the socket and its thread.  One request at a time, with a bound on how long its sender may take; what it asks for is
 * in ctl_show.c and ctl_act.c.
 */
#include "server/ctl/ctl.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/ctl/ctl_private.h"
#include "server/mds.h"

#define PATIENCE_S 5

struct ctl {
	struct mds *mds;
	int fd, stop_fd;
	pthread_t thread;
};

/* ---- requests ---- */

static const struct ctl_command {
	const char *name;
	ctl_fn *fn;
} commands[] = {
	{ "status", ctl_status },
	{ "exports", ctl_exports },
	{ "clients", ctl_clients },
	{ "layouts", ctl_layouts },
	{ "devices", ctl_devices },
	{ "recalls", ctl_recalls },
	{ "fences", ctl_fences },
	{ "evict", ctl_evict },
	{ "retry", ctl_retry },
	{ "release", ctl_release },
};

json_t *
ctl_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_t *text = json_vsprintf(fmt, ap);
	va_end(ap);
	return text ? json_pack("{s:o}", "error", text) : NULL;
}

static json_t *
command_run(struct mds *mds, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "do"));

	if (!name)
		return ctl_error("no \"do\" in the request");
	for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].fn(mds, request);
	return ctl_error("no such request: %s", name);
}

/* Jansson quotes what it met, and may cut a character of several bytes in two: no JSON string would take that. */
static json_t *
not_json(json_error_t *why)
{
	for (char *p = why->text; *p; p++)
		if (*p & 0x80)
			*p = '?';
	return ctl_error("not JSON: %s", why->text);
}

json_t *
ctl_answer(struct mds *mds, const char *request, size_t len)
{
	json_error_t why;
	json_t *json = json_loadb(request, len, JSON_REJECT_DUPLICATES, &why);

	if (!json)
		return not_json(&why);
	json_t *reply = command_run(mds, json);
	json_decref(json);
	return reply;
}

/* ---- one sender ---- */

static bool
may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* A line, or all up to the end.  Its length, or -1: too long, too slow, gone. */
static ssize_t
request_read(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = recv(fd, buf + len, size - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		len += (size_t)n;
		if (n == 0 || memchr(buf + len - n, '\n', (size_t)n))
			return (ssize_t)len;
	}
	return -1;
}

static int
send_all(const char *text, size_t len, void *arg)
{
	int fd = *(int *)arg;

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static json_t *
serve_request(struct ctl *ctl, int fd)
{
	char buf[CTL_REQUEST_MAX];

	if (!may_ask(fd))
		return ctl_error("only root may ask");
	ssize_t len = request_read(fd, buf, sizeof buf);
	if (len < 0)
		return ctl_error("a request is one line of less than %u bytes", CTL_REQUEST_MAX);
	return ctl_answer(ctl->mds, buf, (size_t)len);
}

static void
serve(struct ctl *ctl, int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	json_t *reply = serve_request(ctl, fd);
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	json_decref(reply);
	if (!text)
		text = strdup("{\"error\":\"out of memory\"}");
	if (text && !send_all(text, strlen(text), &fd))
		send_all("\n", 1, &fd);
	free(text);
}

static void *
ctl_run(void *arg)
{
	struct ctl *ctl = arg;
	struct pollfd fds[] = { { .fd = ctl->fd, .events = POLLIN }, { .fd = ctl->stop_fd, .events = POLLIN } };

	pthread_setname_np(pthread_self(), "ctl");
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (!(fds[0].revents & POLLIN))
			continue;
		CLEANUP_CLOSE int fd = accept4(ctl->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			serve(ctl, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			sleep(1);	/* out of descriptors: not in a hot loop */
	}
	return NULL;
}

/* ---- start and stop ---- */

/* The folder in /run goes with each boot. */
static void
make_folder(const char *path)
{
	CLEANUP_FREE char *copy = strdup(path);

	if (copy && mkdir(dirname(copy), 0755) && errno != EEXIST)
		log_warn("%s: %s", path, strerror(errno));
}

/* Is anybody listening at ADDR? */
static bool
answers(const struct sockaddr_un *addr)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* Anything but a refusal may be one that is busy. */
	return fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 || errno != ECONNREFUSED;
}

/* Does a socket stand at ADDR that nobody listens on any more? */
static bool
left_over(const struct sockaddr_un *addr)
{
	struct stat st;

	return !lstat(addr->sun_path, &st) && S_ISSOCK(st.st_mode) && !answers(addr);
}

static int
ctl_bind(int fd, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof addr.sun_path)
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	make_folder(path);
	/* Nobody may connect before the mode is right: the name gets that of the socket. */
	if (fchmod(fd, 0600))
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
		return 0;
	if (errno != EADDRINUSE || !left_over(&addr))
		return -errno;
	if (unlink(path) || bind(fd, (struct sockaddr *)&addr, sizeof addr))
		return -errno;
	return 0;
}

static int
ctl_listen(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	int err = ctl_bind(fd, path);
	if (!err && listen(fd, 16)) {
		err = -errno;
		unlink(path);
	}
	if (!err)
		return fd;
	close(fd);
	return err;
}

static void
ctl_free(struct ctl *ctl)
{
	unlink(ctl->mds->conf.ctl);
	close(ctl->fd);
	if (ctl->stop_fd >= 0)
		close(ctl->stop_fd);
	free(ctl);
}

int
ctl_start(struct mds *mds)
{
	struct ctl *ctl = calloc(1, sizeof *ctl);

	if (!ctl)
		return -ENOMEM;
	ctl->mds = mds;
	ctl->fd = ctl_listen(mds->conf.ctl);
	if (ctl->fd < 0) {
		int err = ctl->fd;
		free(ctl);
		return err;
	}
	ctl->stop_fd = eventfd(0, EFD_CLOEXEC);
	int err = ctl->stop_fd < 0 ? -errno : -pthread_create(&ctl->thread, NULL, ctl_run, ctl);
	if (err) {
		ctl_free(ctl);
		return err;
	}
	mds->ctl = ctl;
	return 0;
}

void
ctl_stop(struct mds *mds)
{
	struct ctl *ctl = mds->ctl;
	uint64_t one = 1;

	if (!ctl)
		return;
	mds->ctl = NULL;
	while (write(ctl->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
	pthread_join(ctl->thread, NULL);
	ctl_free(ctl);
}
