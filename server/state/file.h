/*
 * What the state layers keep per file: hangs on inode->state while there is any.  Guarded by state_lock.
 */
#ifndef PNFS_SERVER_STATE_FILE_H
#define PNFS_SERVER_STATE_FILE_H

#include <stdint.h>
#include <sys/queue.h>

struct deleg_file;
struct inode;
struct layout_file;
struct mds;
struct open_state;
struct lock_range;
struct lock_wait;

struct file_state {
	struct inode *inode;		/* referenced */
	unsigned users;			/* opens (locks never outlive theirs), a layout_file, a deleg_file: freed at 0 */
	TAILQ_HEAD(, open_state) opens;	/* open.h */
	unsigned access_n[2], deny_n[2];	/* how many opens have the READ, WRITE bit: share conflicts without a walk */
	TAILQ_HEAD(, lock_range) locks;	/* byte ranges, by start; lock.h */
	TAILQ_HEAD(, lock_wait) waits;	/* for byte ranges, in the order they came; lock_wait.h */
	struct layout_file *layouts;	/* layout/layout.h; NULL: none */
	struct deleg_file *delegs;	/* deleg.h; NULL: none */
};

/* The file's state, made if there is none; counts a user.  NULL without memory. */
struct file_state *file_state_get_locked(struct mds *mds, struct inode *inode);
/* Drop a user.  *iref gets the inode to put after unlocking, or NULL. */
void file_state_put_locked(struct file_state *fs, struct inode **iref);

#endif
