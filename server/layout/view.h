/* What is out, what is being recalled, who is being cut off: for those who look (ctl/), and the administrator's word on fences. */
#ifndef PNFS_SERVER_LAYOUT_VIEW_H
#define PNFS_SERVER_LAYOUT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "include/reason.h"

struct inode;
struct mds;

/* co_ownerid as it can be printed: for logs, the fencing command, lists. */
#define HOLDER_NAME 80u
void holder_print_name(char name[HOLDER_NAME], const uint8_t *ownerid, uint32_t len);

/* Rows of one look: the state is locked while they are copied. */
#define VIEW_MAX 100000u

/* What one client holds of one file. */
struct layout_view {
	uint64_t clientid;
	struct inode *inode;		/* referenced */
	uint64_t read, rw;		/* bytes held for reading, for reading and writing; UINT64_MAX: to the end of the file and beyond */
	const char *recall;		/* "wanted", "sent"..., or NULL: none is on */
	int64_t deadline_ms;		/* from now, of the recall; 0: not tried to send yet */
	const char *fence;		/* "queued", "running", "retry", "timed" or NULL: out of use until that is over */
};

/* One client being cut off from one device. */
struct fence_view {
	uint64_t clientid;
	char name[HOLDER_NAME], device[64];	/* co_ownerid, printable; [device NAME] */
	const char *state;		/* as layout_view.fence */
	unsigned tries, files;
	int64_t next_ms, over_ms;	/* from now: next try; when time alone is enough (0: never, or not known yet) */
};

/* Copies, to be given to layouts_view_free() or free(); *more: rows that were left out.  -ENOMEM.  Take state_lock. */
int layouts_view(struct mds *mds, bool recalls_only, struct layout_view **views, unsigned *n, unsigned *more);
void layouts_view_free(struct layout_view *views, unsigned n);
int fences_view(struct mds *mds, struct fence_view **views, unsigned *n, unsigned *more);

struct layouts_count {
	unsigned files, layouts, recalls, fences;
	uint64_t granted, recalled, fenced;	/* since the start */
	uint64_t refused[REASON_COUNT];
};
void layouts_count(struct mds *mds, struct layouts_count *count);

/*
 * Try to cut CLIENTID off again now, on all devices where that failed; or take the administrator's word that it is cut off, so that its blocks
 * are free.  How many fences; -ENOENT: there is none; -EBUSY: all are being tried right now.
 */
int fences_retry(struct mds *mds, uint64_t clientid);
int fences_release(struct mds *mds, uint64_t clientid);

#endif
