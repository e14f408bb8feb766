/*
 * The floor for a file server on TCP: one epoll loop, everything a socket has taken by one recv and
 * answered by one send.  A record is {mark, xid, reply length, work, offset, filler}; WORK asks for the one
 * system call a file server cannot avoid: 0 none, 1 fstat, 2 pread of the reply's length.
 *
 *	echod PORT FILE		(loopback only; ends with its standard input)
 *
 * Driven by mdsload --echo; scripts/bench compares with it.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUF (4u << 20)
#define MAX_CONNS 64

struct conn {
	int fd;
	uint8_t *in, *out;
	size_t have, made;
};

static int data_fd;

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return be32toh(v);
}

static void
put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}

/* The answer to one record: {mark, xid, 1, zeros or data}. */
static void
answer(struct conn *c, const uint8_t *rec)
{
	uint32_t len = get32(rec + 8), work = get32(rec + 12);
	uint8_t *out = c->out + c->made;
	struct stat st;
	if (len < 8 || len > (1u << 20) || c->made + len + 4 > BUF)
		exit(1);
	put32(out, 0x80000000u | len);
	memcpy(out + 4, rec + 4, 4);
	put32(out + 8, 1);
	if (work == 1 && fstat(data_fd, &st))
		exit(1);
	if (work == 2 && pread(data_fd, out + 12, len - 8, get32(rec + 16)) < 0)
		exit(1);
	c->made += len + 4;
}

static int
serve(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->have, BUF - c->have, 0);
	if (n <= 0)
		return -1;
	c->have += (size_t)n;
	size_t at = 0;
	while (c->have - at >= 4) {
		uint32_t len = get32(c->in + at) & 0x7fffffff;
		if (len < 20 || len > BUF / 2)
			return -1;
		if (c->have - at < len + 4)
			break;
		answer(c, c->in + at);
		at += len + 4;
	}
	memmove(c->in, c->in + at, c->have - at);
	c->have -= at;
	for (size_t sent = 0; sent < c->made; sent += (size_t)n)
		if ((n = send(c->fd, c->out + sent, c->made - sent, MSG_NOSIGNAL)) < 0)
			return -1;
	c->made = 0;
	return 0;
}

static int
listen_on(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) || listen(fd, 16)) {
		perror("echod");
		exit(1);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	static struct conn conns[MAX_CONNS];
	unsigned n = 0;
	if (argc != 3 || (data_fd = open(argv[2], O_RDONLY)) < 0) {
		fprintf(stderr, "usage: echod PORT FILE\n");
		return 2;
	}
	int lfd = listen_on((uint16_t)atoi(argv[1])), ep = epoll_create1(0), one = 1;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	struct epoll_event in = { .events = EPOLLIN, .data.ptr = &data_fd };
	epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
	epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &in);
	for (;;) {
		struct epoll_event evs[16];
		int got = epoll_wait(ep, evs, 16, -1);
		for (int i = 0; i < got; i++) {
			struct conn *c = evs[i].data.ptr;
			if (evs[i].data.ptr == &data_fd)
				return 0;
			if (c && serve(c)) {
				close(c->fd);
				continue;
			}
			if (c)
				continue;
			if (n == MAX_CONNS)
				return 1;
			c = &conns[n++];
			*c = (struct conn){ accept(lfd, NULL, NULL), malloc(BUF), malloc(BUF), 0, 0 };
			if (c->fd < 0 || !c->in || !c->out)
				return 1;
			setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
			ev.data.ptr = c;
			epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
		}
	}
}
