/*
 * What the server and its keeper say to each other: one packet of a SOCK_SEQPACKET socket a message, a descriptor beside it where one is handed over.
 * The server asks, the keeper answers each with one KEEPER_REPLY.  Numbers are the host's; both ends are on it, though perhaps of different versions.
 */
#ifndef PNFS_SERVER_KEEPER_MESSAGE_H
#define PNFS_SERVER_KEEPER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define KEEPER_KEY_MAX 256u	/* bytes */
#define KEEPER_BLOB_MAX 4096u	/* bytes */

enum keeper_op {
	KEEPER_HELLO = 1,	/* the first; reply: its process, or -EBUSY: another server has it */
	KEEPER_ADD,		/* kind, key, blob and a descriptor; takes the place of one with the same kind and key */
	KEEPER_DEL,		/* kind, key */
	KEEPER_GET,		/* entry NUMBER, from 0; reply: kind, key, blob, descriptor, or -ENOENT */
	KEEPER_END,		/* end, if there is nothing left: reply -EBUSY and their number if there is */
	KEEPER_REPLY,
};

struct keeper_message {
	uint16_t op;		/* enum keeper_op */
	uint16_t kind;		/* enum keeper_kind; others are kept, too: a newer server may know them */
	int32_t status;		/* of a reply: 0 or -errno */
	uint32_t number;
	uint32_t key_len, blob_len;
	const uint8_t *key, *blob;
};

/* As it is on the socket; key and blob follow. */
struct keeper_header {
	uint32_t magic;
	uint16_t op, kind;
	int32_t status;
	uint32_t number, key_len, blob_len;
};

#define KEEPER_PACKET_MAX (sizeof(struct keeper_header) + KEEPER_KEY_MAX + KEEPER_BLOB_MAX)

struct keeper_packet {
	_Alignas(struct keeper_header) uint8_t bytes[KEEPER_PACKET_MAX + 1];
};

/* Take a packet of LEN bytes apart; M points into it.  0 or -EBADMSG. */
int keeper_message_parse(const void *packet, size_t len, struct keeper_message *m);
/* Length of the packet, or -EMSGSIZE. */
int keeper_message_make(struct keeper_packet *packet, const struct keeper_message *m);

/* FD: to go with it, or -1.  0 or -errno; -EPIPE: the other end is gone. */
int keeper_message_send(int sock, const struct keeper_message *m, int fd);
/*
 * *fd: what came with it, ours now, or -1.  0 or -errno: -ECONNRESET the other end is gone, -EBADMSG, -EMFILE a descriptor was sent and there was
 * no room for it (M is valid then), -EAGAIN the socket's time is over.
 */
int keeper_message_receive(int sock, struct keeper_packet *packet, struct keeper_message *m, int *fd);

#endif
