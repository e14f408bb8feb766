/* The keeper's side: what it answers, and what it does when no server is there.  For pnfs_keeper.c and tests. */
#ifndef PNFS_SERVER_KEEPER_SERVE_H
#define PNFS_SERVER_KEEPER_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/keeper/table.h"

struct keeper_server {
	int listen_fd;			/* -1: none */
	int daemon_fd;			/* the server that is connected; -1: none */
	int signal_fd;			/* -1: none; readable: the end */
	int break_fd;			/* fs.lease-break-time; -1: none */
	unsigned max;			/* entries */
	unsigned alone_ms;		/* listening sockets are given up when no server has come for so long */
	uint64_t alone_since_ms;
	bool end;			/* the server said so */
	struct keeper_table table;
};

/* Answer one message; FD came with it, or -1, and is taken over.  *give_fd: to go with the answer, or -1. */
void keeper_serve_message(struct keeper_server *s, const struct keeper_message *m, int fd, struct keeper_message *reply, int *give_fd);
/* Until there is nothing to be kept and no server, or the end is asked for.  Closes what it keeps.  A server that is connected sees the end of the process. */
void keeper_serve(struct keeper_server *s);

#endif
