/* Messages between server and keeper; see message.h.  Called by both ends, and by the fuzzer. */
#include "server/keeper/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC 0x6b656531u	/* "kee1": with another shape another number */

int
keeper_message_parse(const void *packet, size_t len, struct keeper_message *m)
{
	struct keeper_header h;

	memset(m, 0, sizeof *m);
	if (len < sizeof h)
		return -EBADMSG;
	memcpy(&h, packet, sizeof h);
	if (h.magic != MAGIC || h.op < KEEPER_HELLO || h.op > KEEPER_REPLY || h.status > 0 || h.key_len > KEEPER_KEY_MAX ||
	    h.blob_len > KEEPER_BLOB_MAX || len != sizeof h + h.key_len + h.blob_len)
		return -EBADMSG;
	/* What names an entry. */
	if ((h.op == KEEPER_ADD || h.op == KEEPER_DEL) && (!h.kind || !h.key_len))
		return -EBADMSG;
	*m = (struct keeper_message){ .op = h.op, .kind = h.kind, .status = h.status, .number = h.number, .key_len = h.key_len,
		.blob_len = h.blob_len, .key = (const uint8_t *)packet + sizeof h };
	m->blob = m->key + h.key_len;
	return 0;
}

int
keeper_message_make(struct keeper_packet *packet, const struct keeper_message *m)
{
	struct keeper_header h = { .magic = MAGIC, .op = m->op, .kind = m->kind, .status = m->status, .number = m->number,
		.key_len = m->key_len, .blob_len = m->blob_len };

	if (m->key_len > KEEPER_KEY_MAX || m->blob_len > KEEPER_BLOB_MAX)
		return -EMSGSIZE;
	memcpy(packet->bytes, &h, sizeof h);
	if (m->key_len)
		memcpy(packet->bytes + sizeof h, m->key, m->key_len);
	if (m->blob_len)
		memcpy(packet->bytes + sizeof h + m->key_len, m->blob, m->blob_len);
	return (int)(sizeof h + m->key_len + m->blob_len);
}

union control {
	struct cmsghdr align;
	uint8_t room[CMSG_SPACE(4 * sizeof(int))];
};

int
keeper_message_send(int sock, const struct keeper_message *m, int fd)
{
	struct keeper_packet packet;
	union control control;
	int len = keeper_message_make(&packet, m);

	if (len < 0)
		return len;
	struct iovec iov = { packet.bytes, (size_t)len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (fd >= 0) {
		memset(&control, 0, sizeof control);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof fd);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	ssize_t n;
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The first descriptor stays; nobody sends more, but what was sent must be closed. */
static int
received_fd(struct msghdr *msg)
{
	int keep = -1, fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof fd;
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (keep < 0)
				keep = fd;
			else
				close(fd);
		}
	}
	return keep;
}

int
keeper_message_receive(int sock, struct keeper_packet *packet, struct keeper_message *m, int *fd)
{
	union control control;
	struct iovec iov = { packet->bytes, sizeof packet->bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n;

	*fd = -1;
	memset(m, 0, sizeof *m);
	unsigned resets = 0;
	/* Who closes without having read all lets the other end know that before what he had said. */
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !resets++)));
	if (n < 0)
		return -errno;
	*fd = received_fd(&msg);
	int err = n == 0 ? -ECONNRESET : keeper_message_parse(packet->bytes, (size_t)n, m);
	if (!err && (msg.msg_flags & MSG_TRUNC))
		err = -EBADMSG;
	if (!err && (msg.msg_flags & MSG_CTRUNC))
		err = -EMFILE;
	if (err && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return err;
}
