/* NFSv4 calls over a plain blocking socket, for tests that want every byte in their own hands: tests/bench, tests/integ/wire. */
#ifndef PNFS_TESTS_RPC_SOCKET_H
#define PNFS_TESTS_RPC_SOCKET_H

#include <stdint.h>

/* Record mark, call header with AUTH_SYS of 20 bytes and an AUTH_NONE verifier: what stands before COMPOUND. */
#define RPC_SOCKET_HEADER 64u
/* Offset of the xid in a call. */
#define RPC_SOCKET_XID 4u

/* Connect to 127.0.0.1:PORT; the descriptor, or -errno. */
int rpc_socket_open(uint16_t port);
/* The first RPC_SOCKET_HEADER bytes of a call at BUF, as user and group ID. */
void rpc_socket_header(uint8_t *buf, uint32_t xid, uint32_t id);
/* The record of LEN bytes at BUF, mark included, is whole. */
void rpc_socket_mark(uint8_t *buf, uint32_t len);
/* All of it: 0, or -errno. */
int rpc_socket_send(int fd, const void *buf, uint32_t len);
/* A record of one fragment, without its mark: its length; -ECONNRESET; -EMSGSIZE: longer than CAP or than one fragment. */
int64_t rpc_socket_read(int fd, uint8_t *buf, uint32_t cap);

#endif
