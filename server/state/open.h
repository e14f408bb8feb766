/* Opens and share reservations (RFC 8881 9.7-9.11), owners.  Guarded by state_lock. */
#ifndef PNFS_SERVER_STATE_OPEN_H
#define PNFS_SERVER_STATE_OPEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "server/state/stateid.h"

struct file_state;

/* An open or lock owner of one client. */
struct owner {
	uint8_t *data;			/* with one byte before the owner's that tells open from lock owners */
	uint32_t len;
	unsigned refs;
	UT_hash_handle hh;		/* client->owners */
};

struct open_state {
	struct state_obj obj;		/* STATE_OPEN */
	struct owner *owner;
	struct file_state *file;
	uint32_t access, deny;		/* OPEN4_SHARE_ union now in force */
	uint32_t seen;			/* bit (access-1)*4+deny for each OPEN: what OPEN_DOWNGRADE may go back to */
	TAILQ_ENTRY(open_state) of_file;
};

/* Does CLIENT hold INODE open (for writing if WRITE)?  For LAYOUTGET and return-on-close. */
bool open_held_locked(const struct inode *inode, const struct client *client, bool write);
bool open_any_locked(const struct inode *inode);

#endif
