/*
 * Accepting connections; see listener.h.  The keeper has the listening socket, too: clients that connect while a server that was killed is started again
 * wait for it, and the port is not anybody else's meanwhile.
 */
#include "server/net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/keeper/keeper.h"
#include "server/mds.h"
#include "server/net/conn.h"

struct listener {
	struct mds *mds;
	int fd;
	struct sockaddr_storage addr;	/* what it is bound to: the keeper's key */
	socklen_t addr_len;
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

#define FORMER_MAX 4u

/* Listening sockets of a former life. */
struct former {
	struct keeper *keeper;
	unsigned n;
	struct {
		int fd;
		unsigned key_len;
		uint8_t key[sizeof(struct sockaddr_storage)];
	} sock[FORMER_MAX];
};

static void
former_drop(struct former *f, unsigned i)
{
	keeper_del(f->keeper, KEEPER_LISTENER, f->sock[i].key, f->sock[i].key_len);
	close(f->sock[i].fd);
	f->sock[i] = f->sock[--f->n];
}

static int
former_claim(struct mds *mds, struct former *f)
{
	CLEANUP_FREE struct keeper_claim *claim = malloc(sizeof *claim);
	*f = (struct former){ .keeper = mds->keeper };
	if (!claim)
		return -ENOMEM;
	while (keeper_claim(mds->keeper, KEEPER_LISTENER, claim)) {
		if (f->n == FORMER_MAX)
			former_drop(f, 0);
		f->sock[f->n].fd = claim->fd;
		f->sock[f->n].key_len = claim->key_len < sizeof f->sock[0].key ? claim->key_len : sizeof f->sock[0].key;
		memcpy(f->sock[f->n].key, claim->key, f->sock[f->n].key_len);
		f->n++;
	}
	return 0;
}

/* The socket that is bound to one of the addresses, or -1.  The others are closed: they may be in the way. */
static int
former_find(struct former *f, const struct addrinfo *list)
{
	int fd = -1;
	for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
		for (unsigned i = 0; i < f->n && fd < 0; i++)
			if (f->sock[i].key_len == ai->ai_addrlen && !memcmp(f->sock[i].key, ai->ai_addr, ai->ai_addrlen))
				fd = f->sock[i].fd;
	for (unsigned i = f->n; i-- > 0;)
		if (f->sock[i].fd != fd)
			former_drop(f, i);
	return fd;
}

/* A listening socket for the first address that lets itself be bound. */
static int
listener_bind(const struct addrinfo *list)
{
	int fd = -1, err = -EADDRNOTAVAIL, on = 1;
	for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
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
	return fd >= 0 ? fd : err;
}

/* The former life's socket, or a new one. */
static int
listener_socket(struct mds *mds, const char *host, uint16_t port)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	struct former former;
	char service[8];
	snprintf(service, sizeof service, "%u", port);
	if (getaddrinfo(host, service, &hints, &list) != 0)
		return -EADDRNOTAVAIL;
	int fd = former_claim(mds, &former);
	if (!fd) {
		fd = former_find(&former, list);
		if (fd < 0)
			fd = listener_bind(list);
	}
	freeaddrinfo(list);
	return fd;
}

static uint16_t
listener_port(const struct listener *l)
{
	return ntohs(l->addr.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&l->addr)->sin6_port :
	    ((const struct sockaddr_in *)&l->addr)->sin_port);
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
	l->fd = listener_socket(mds, host, port);
	if (l->fd < 0) {
		int err = l->fd;
		listener_free(mds);
		return err;
	}
	l->addr_len = sizeof l->addr;
	getsockname(l->fd, (struct sockaddr *)&l->addr, &l->addr_len);
	int err = keeper_add(mds->keeper, KEEPER_LISTENER, &l->addr, l->addr_len, NULL, 0, l->fd);
	if (err)
		log_warn("keeper: the listening socket is not kept: %s", strerror(-err));
	*bound = listener_port(l);
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
	if (l->fd >= 0) {
		keeper_del(mds->keeper, KEEPER_LISTENER, &l->addr, l->addr_len);
		close(l->fd);
	}
	pthread_mutex_destroy(&l->lock);
	free(l);
	mds->listener = NULL;
}
