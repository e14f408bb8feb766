/* See rpc_socket.h. */
#include "tests/common/rpc_socket.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/x/nfs4.h"

int
rpc_socket_open(uint16_t port)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof sin)) {
		int err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

void
rpc_socket_header(uint8_t *buf, uint32_t xid, uint32_t id)
{
	uint32_t words[] = { 0, xid, 0, 2, NFS4_PROGRAM, NFS_V4, 1 /* COMPOUND */,
		1, 20, 0, 0, id, id, 0,		/* AUTH_SYS: stamp, no machine name, uid, gid, no groups */
		0, 0 };
	_Static_assert(sizeof words == RPC_SOCKET_HEADER, "");
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		words[i] = htobe32(words[i]);
	memcpy(buf, words, sizeof words);
}

void
rpc_socket_mark(uint8_t *buf, uint32_t len)
{
	uint32_t mark = htobe32(0x80000000u | (len - 4));
	memcpy(buf, &mark, 4);
}

int
rpc_socket_send(int fd, const void *buf, uint32_t len)
{
	const char *p = buf;
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -errno;
		p += n;
		len -= (uint32_t)n;
	}
	return 0;
}

static int
read_all(int fd, uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, buf, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -ECONNRESET;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

int64_t
rpc_socket_read(int fd, uint8_t *buf, uint32_t cap)
{
	uint32_t mark;
	if (read_all(fd, (uint8_t *)&mark, 4))
		return -ECONNRESET;
	mark = be32toh(mark);
	if (!(mark & 0x80000000u) || (mark & 0x7fffffffu) > cap)
		return -EMSGSIZE;
	mark &= 0x7fffffffu;
	return read_all(fd, buf, mark) ? -ECONNRESET : (int64_t)mark;
}
