/* Finding and starting the keeper's process; for keeper.c. */
#ifndef PNFS_SERVER_KEEPER_SPAWN_H
#define PNFS_SERVER_KEEPER_SPAWN_H

#include <sys/types.h>

#define KEEPER_SOCKET "keeper"		/* in state_dir */
#define KEEPER_PID_FILE "keeper.pid"	/* locked by the keeper as long as it lives */
#define KEEPER_FD 3			/* the first server's connection, given to the keeper when it is started */

/*
 * A connection to the keeper of STATE_DIR, on which it has said hello; one is started if there is none.  *pid: its process.  -errno: -EBUSY another server
 * has it, -ENOENT there is no pnfs-keeper, -EPERM the socket is somebody else's.
 */
int keeper_connect(const char *state_dir, pid_t *pid);

/* One question and its answer.  *fd: what came with it, or -1.  The reply's status, or -errno of the connection (*broken). */
struct keeper_message;
struct keeper_packet;
int keeper_ask(int sock, const struct keeper_message *ask, int give_fd, struct keeper_packet *packet, struct keeper_message *reply, int *fd,
    _Bool *broken);

#endif
