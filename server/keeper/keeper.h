/*
 * The keeper: a small process of its own (pnfs-keeper) that holds descriptors which must outlive the server: when that is killed, crashes or is
 * replaced, file leases go on to hold local programs off the blocks that clients write, and clients' connects queue.
 *
 *	message.c	what is said over the socket state_dir/keeper
 *	table.c		what is kept
 *	keeper.c	the server's side: this interface
 *	spawn.c		finds the keeper, or starts it
 *	serve.c		the keeper's side; pnfs_keeper.c its main()
 *
 * The server connects at its start and takes over what a former life of it left.  Whoever owns a kind claims the entries of it (keeper_claim()), and
 * deletes each when it is of no use any more.  A keeper that dies while the server runs is replaced, and gets everything again.
 */
#ifndef PNFS_SERVER_KEEPER_H
#define PNFS_SERVER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/keeper/message.h"

/* Numbers are for ever: servers of different versions use one keeper, one after the other. */
enum keeper_kind {
	KEEPER_LEASE = 1,	/* a leased file; key: its handle.  While there are any, the keeper holds fs.lease-break-time at 0 */
	KEEPER_LISTENER = 2,	/* a listening socket; key: its address.  Given up when no server has come for a minute */
	KEEPER_NFSD = 3,	/* provider kernel: nfsd, and the layouts it has given, last as long as this socket; key: its own */
};

struct keeper;

/*
 * Find the keeper of STATE_DIR or start it, and take over what it has.  -errno with *error in words: -EBUSY if another server is connected to it and stays so
 * for ten seconds.
 */
int keeper_open(const char *state_dir, struct keeper **keeper, char **error);
/* The end of the server.  A keeper that has nothing left ends, too; else the number of entries that are left to it.  Of NULL: nothing. */
unsigned keeper_close(struct keeper *keeper);

/*
 * Hand FD over, which stays the caller's, too, and must stay open until keeper_del().  When it returns 0 a kill -9 of this process does no harm to it.  -errno:
 * the keeper is gone (for the moment) or full.  Replaces an entry with the same kind and key.  Waits for the keeper (about 30 us; 5 s at worst):
 * never on a loop.  With KEEPER NULL (keeper=no) nothing is kept.
 */
int keeper_add(struct keeper *keeper, enum keeper_kind kind, const void *key, unsigned key_len, const void *blob, unsigned blob_len, int fd);
/* Forgotten here in any case: one that the keeper cannot be told of now it is told of later. */
void keeper_del(struct keeper *keeper, enum keeper_kind kind, const void *key, unsigned key_len);

/* One entry of a former life. */
struct keeper_claim {
	int fd;				/* the caller's, to be closed after keeper_del() */
	unsigned key_len, blob_len;
	uint8_t key[KEEPER_KEY_MAX], blob[KEEPER_BLOB_MAX];
};
/* The next of this kind that nobody has claimed.  It is kept until it is deleted.  False: no more. */
bool keeper_claim(struct keeper *keeper, enum keeper_kind kind, struct keeper_claim *claim);

unsigned keeper_count(struct keeper *keeper, enum keeper_kind kind);
/* Its process; 0: there is none at the moment. */
pid_t keeper_pid(struct keeper *keeper);

#endif
