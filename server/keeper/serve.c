/*
 * The keeper's loop; see serve.h.  One server at a time, one message after the other; nothing here waits for a server: an answer that does not fit into its
 * socket ends the connection.
 */
#include "server/keeper/serve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "server/keeper/keeper.h"

#define LOOK_MS 1000		/* at fs.lease-break-time */

static uint64_t
now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what is asked ---- */

static int
serve_add(struct keeper_server *s, const struct keeper_message *m, int fd)
{
	int old;

	if (fd < 0)
		return -EBADF;
	if (s->table.n >= s->max && !keeper_table_find(&s->table, m->kind, m->key, m->key_len)) {
		close(fd);
		return -ENFILE;
	}
	if (!keeper_table_put(&s->table, m, fd, &old)) {
		close(fd);
		return -ENOMEM;
	}
	if (old >= 0)
		close(old);
	return 0;
}

static int
serve_del(struct keeper_server *s, const struct keeper_message *m)
{
	struct keeper_entry *entry = keeper_table_find(&s->table, m->kind, m->key, m->key_len);

	if (!entry)
		return -ENOENT;
	close(keeper_table_remove(&s->table, entry));
	return 0;
}

static int
serve_end(struct keeper_server *s)
{
	s->end = s->table.n == 0;
	return s->end ? 0 : -EBUSY;
}

void
keeper_serve_message(struct keeper_server *s, const struct keeper_message *m, int fd, struct keeper_message *reply, int *give_fd)
{
	*reply = (struct keeper_message){ .op = KEEPER_REPLY };
	*give_fd = -1;
	if (m->op == KEEPER_ADD) {
		reply->status = serve_add(s, m, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	switch (m->op) {
	case KEEPER_HELLO:
		reply->number = (uint32_t)getpid();
		break;
	case KEEPER_DEL:
		reply->status = serve_del(s, m);
		break;
	case KEEPER_GET:
		if (m->number < s->table.n) {
			keeper_entry_message(s->table.list[m->number], KEEPER_REPLY, reply);
			*give_fd = s->table.list[m->number]->fd;
		} else {
			reply->status = -ENOENT;
		}
		break;
	case KEEPER_END:
		reply->status = serve_end(s);
		reply->number = s->table.n;
		break;
	default:
		reply->status = -EINVAL;
	}
}

/* ---- the server comes and goes ---- */

static void
daemon_gone(struct keeper_server *s)
{
	close(s->daemon_fd);
	s->daemon_fd = -1;
	s->alone_since_ms = now_ms();
}

/* One message.  False: the connection is of no use any more. */
static bool
daemon_serve(struct keeper_server *s)
{
	struct keeper_packet packet;
	struct keeper_message m, reply;
	int fd, give_fd;
	int err = keeper_message_receive(s->daemon_fd, &packet, &m, &fd);

	if (err == -EAGAIN)
		return true;
	if (err == -EMFILE) {
		reply = (struct keeper_message){ .op = KEEPER_REPLY, .status = -ENFILE };
		give_fd = -1;
	} else if (err) {
		return false;
	} else {
		keeper_serve_message(s, &m, fd, &reply, &give_fd);
	}
	return keeper_message_send(s->daemon_fd, &reply, give_fd) == 0;
}

/* A server that was killed may have left its last words unread: they count. */
static void
daemon_listen(struct keeper_server *s)
{
	struct pollfd pfd = { .fd = s->daemon_fd, .events = POLLIN };

	while (!s->end && poll(&pfd, 1, 0) > 0)
		if (!daemon_serve(s)) {
			daemon_gone(s);
			return;
		}
}

static void
daemon_accept(struct keeper_server *s)
{
	const struct keeper_message busy = { .op = KEEPER_REPLY, .status = -EBUSY };
	struct ucred cred;
	socklen_t len = sizeof cred;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	/* The one before may be dead, and we have not looked yet. */
	if (s->daemon_fd >= 0)
		daemon_listen(s);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) || cred.uid != geteuid()) {
		close(fd);
	} else if (s->daemon_fd >= 0) {
		keeper_message_send(fd, &busy, -1);
		close(fd);
	} else {
		s->daemon_fd = fd;
	}
}

/* ---- when there is none ---- */

/* While leases are kept, whoever breaks one waits for the server of the next life, and not for as long as somebody else thinks good. */
static void
hold_break_time(struct keeper_server *s)
{
	char text[16] = "";

	if (s->break_fd < 0 || pread(s->break_fd, text, sizeof text - 1, 0) <= 0 || text[0] == '0')
		return;
	text[strcspn(text, "\n")] = 0;
	syslog(LOG_WARNING, "fs.lease-break-time was changed to %s while leases are kept: set to 0 again", text);
	if (pwrite(s->break_fd, "0\n", 2, 0) != 2)
		syslog(LOG_ERR, "fs.lease-break-time: %m");
}

static void
drop_listeners(struct keeper_server *s)
{
	for (unsigned i = s->table.n; i-- > 0;)
		if (s->table.list[i]->kind == KEEPER_LISTENER)
			close(keeper_table_remove(&s->table, s->table.list[i]));
}

static void
alone(struct keeper_server *s)
{
	if (keeper_table_count(&s->table, KEEPER_LEASE))
		hold_break_time(s);
	/* Nobody answers those who connect. */
	if (now_ms() - s->alone_since_ms >= s->alone_ms)
		drop_listeners(s);
}

void
keeper_serve(struct keeper_server *s)
{
	s->alone_since_ms = now_ms();
	while (!s->end && (s->table.n || s->daemon_fd >= 0)) {
		struct pollfd pfd[] = { { .fd = s->daemon_fd, .events = POLLIN }, { .fd = s->listen_fd, .events = POLLIN },
			{ .fd = s->signal_fd, .events = POLLIN } };
		int n = poll(pfd, 3, s->daemon_fd >= 0 ? -1 : LOOK_MS);
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0 && pfd[2].revents)
			break;
		if (n > 0 && pfd[0].revents && !daemon_serve(s))
			daemon_gone(s);
		if (n > 0 && pfd[1].revents)
			daemon_accept(s);
		if (s->daemon_fd < 0)
			alone(s);
	}
	while (s->table.n)
		close(keeper_table_remove(&s->table, s->table.list[0]));
	keeper_table_free(&s->table);
}
