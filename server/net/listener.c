/* Accepting connections; see listener.h. */
#include "server/net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/mds.h"
#include "server/net/conn.h"

struct listener {
	struct mds *mds;
	int fd;
	ev_io accept;
	ev_timer retry;			/* out of descriptors: accepting rests */
	unsigned next;			/* loop for the next connection */
	pthread_mutex_t lock;
	unsigned nconns;
	LIST_HEAD(, conn) conns;
};

/* An accepted socket on its way to its loop. */
struct handover {
	struct loop_work work;
	struct mds *mds;
	struct loop *loop;
	int fd;
	struct sockaddr_storage addr;
};

static void
handover_run(struct loop_work *work)
{
	struct handover *h = (struct handover *)work;
	conn_new(h->mds, h->loop, h->fd, &h->addr);
	free(h);
}

bool
listener_add(struct mds *mds, struct conn *conn)
{
	struct listener *l = mds->listener;
	LOCK_SCOPE(&l->lock);
	if (l->nconns >= LISTENER_MAX_CONNS)
		return false;
	l->nconns++;
	LIST_INSERT_HEAD(&l->conns, conn, of_server);
	return true;
}

void
listener_remove(struct mds *mds, struct conn *conn)
{
	struct listener *l = mds->listener;
	LOCK_SCOPE(&l->lock);
	l->nconns--;
	LIST_REMOVE(conn, of_server);
}

static void
listener_handover(struct listener *l, int fd, const struct sockaddr_storage *addr)
{
	struct handover *h = malloc(sizeof *h);
	if (!h) {
		close(fd);
		return;
	}
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	*h = (struct handover){ .work.fn = handover_run, .mds = l->mds, .fd = fd, .addr = *addr };
	h->loop = l->mds->loops[l->next++ % l->mds->nloops];
	loop_post(h->loop, &h->work);
}

static void
listener_accept(struct ev_loop *ev, ev_io *w, int revents)
{
	struct listener *l = w->data;
	(void)revents;
	for (;;) {
		struct sockaddr_storage addr = { 0 };
		socklen_t len = sizeof addr;
		int fd = accept4(l->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			listener_handover(l, fd, &addr);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN) {
			log_warn("accept: %m; resting");
			ev_io_stop(ev, w);
			ev_timer_again(ev, &l->retry);
		}
		return;
	}
}

static void
listener_retry(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct listener *l = w->data;
	(void)revents;
	ev_timer_stop(ev, w);
	ev_io_start(ev, &l->accept);
}

/* A listening socket for the first address of HOST that lets itself be bound. */
static int
listener_bind(const char *host, uint16_t port)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	char service[8];
	snprintf(service, sizeof service, "%u", port);
	if (getaddrinfo(host, service, &hints, &list) != 0)
		return -EADDRNOTAVAIL;
	int fd = -1, err = -EADDRNOTAVAIL, on = 1;
	for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0) {
			err = -errno;
			continue;
		}
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
			err = -errno;
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd >= 0 ? fd : err;
}

int
listener_new(struct mds *mds, const char *host, uint16_t port, uint16_t *bound)
{
	struct listener *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	l->mds = mds;
	LIST_INIT(&l->conns);
	pthread_mutex_init(&l->lock, NULL);
	mds->listener = l;
	l->fd = listener_bind(host, port);
	if (l->fd < 0) {
		int err = l->fd;
		listener_free(mds);
		return err;
	}
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof addr;
	getsockname(l->fd, (struct sockaddr *)&addr, &len);
	*bound = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port :
	    ((struct sockaddr_in *)&addr)->sin_port);
	ev_io_init(&l->accept, listener_accept, l->fd, EV_READ);
	l->accept.data = l;
	ev_timer_init(&l->retry, listener_retry, 0.2, 0.2);
	l->retry.data = l;
	return 0;
}

static void
listener_start_on_loop(void *arg)
{
	struct listener *l = arg;
	ev_io_start(loop_ev(l->mds->loops[0]), &l->accept);
}

void
listener_start(struct mds *mds)
{
	loop_call(mds->loops[0], listener_start_on_loop, mds->listener);
}

static void
listener_stop_on_loop(void *arg)
{
	struct listener *l = arg;
	struct ev_loop *ev = loop_ev(l->mds->loops[0]);
	ev_io_stop(ev, &l->accept);
	ev_timer_stop(ev, &l->retry);
}

static void
nothing(void *arg)
{
	(void)arg;
}

void
listener_stop(struct mds *mds)
{
	struct listener *l = mds->listener;
	loop_call(mds->loops[0], listener_stop_on_loop, l);
	/* Sockets on their way arrive before the connections are counted out... */
	for (unsigned i = 0; i < mds->nloops; i++)
		loop_call(mds->loops[i], nothing, NULL);
	pthread_mutex_lock(&l->lock);
	struct conn *conn;
	LIST_FOREACH(conn, &l->conns, of_server)
		rpc_peer_close(conn->peer);
	pthread_mutex_unlock(&l->lock);
	/* ... and their ends before the loops stop. */
	for (int tries = 0; tries < 100; tries++) {
		pthread_mutex_lock(&l->lock);
		bool empty = LIST_EMPTY(&l->conns);
		pthread_mutex_unlock(&l->lock);
		if (empty)
			return;
		usleep(10000);
	}
	log_warn("connections are left at the end");
}

void
listener_free(struct mds *mds)
{
	struct listener *l = mds->listener;
	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
	mds->listener = NULL;
}
