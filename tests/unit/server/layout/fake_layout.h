/*
 * A layout world of paper: a clock that is set, callbacks that are answered by hand, a target that is fenced by hand, a provider whose files are
 * arrays of blocks.  Opens, stateids and file states are the real ones.
 */
#ifndef PNFS_TESTS_FAKE_LAYOUT_H
#define PNFS_TESTS_FAKE_LAYOUT_H

#include <check.h>

#include "server/cb/cb.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/layout/commit.h"
#include "server/layout/device.h"
#include "server/layout/extent.h"
#include "server/layout/grant.h"
#include "server/layout/layout_impl.h"
#include "server/layout/return.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/open.h"
#include "server/state/session.h"
#include "tests/unit/server/state/fake_state.h"

#define U ((uint64_t)LAYOUT_UNIT)

#define FAKE_BLOCKS 64u			/* of a file; offsets below beyond them are holes */
#define FAKE_CLIENTS 8u
#define MIB (1ull << 20)

struct fake_file {
	struct inode *inode;
	uint64_t size;
	enum iomap_type block[FAKE_BLOCKS];	/* units of 4096; all beyond: MAPPED if "big" */
	bool big;				/* every byte is mapped, in one extent */
	uint64_t addr;
	unsigned leased, unleased, mapped, commits, flushes;
	uint64_t zeroed;			/* bytes */
	struct layout_lease lease;
	unsigned commit_n;			/* ranges of the last commit */
	struct commit_attr commit_attr;
	struct layout_file *unused;
};

struct fake_call {			/* a callback not yet answered */
	struct client *client;
	CB_LAYOUTRECALL4args args;
	uint8_t handle[FS_HANDLE_MAX];
	unsigned nrefs;
	uint32_t timeout_ms;
	cb_done_fn *done;
	void *arg;
};

extern struct fake_world {
	struct mds mds;
	struct export export;
	struct export_line line;
	struct device device;
	struct client client[FAKE_CLIENTS];
	struct session session[FAKE_CLIENTS];
	struct slot slot[FAKE_CLIENTS][4];
	unsigned rekeyed[FAKE_CLIENTS];	/* CHANGE notified, for another key */
	bool path[FAKE_CLIENTS];	/* has a backchannel */
	uint64_t now_ms;
	struct fake_call call[256];
	unsigned ncalls;
	uint64_t nsent;
	/* what the target says, and was told */
	int fence_result;
	unsigned nfenced;
	uint64_t fenced_key[64];
	void (*in_fence)(void);		/* while the target is being talked to */
	/* holders on disk */
	int stable_err;
	struct { uint64_t clientid, key; } on_disk[FAKE_CLIENTS];
	unsigned non_disk, nstable;	/* nstable: how often it was written */
	/* what the provider says */
	int lease_err, map_err, commit_err;
	enum reason why;
	bool keeps_size;		/* whatever is committed, as "plain" does */
	void (*in_map)(struct fake_file *file);
	void (*in_commit)(struct fake_file *file);
	struct arena arena;
} w;

void fake_world_init(uint32_t layout_type);
/* Nothing may be left: ends the clients (DESTROYED) first. */
void fake_world_end(void);
/* TESTS, each in a world of block layouts of its own: the exit status. */
int fake_suite(const char *name, const TTest *const *tests, unsigned n);
struct fake_file *fake_file_new(uint64_t size);
/* Open by client C; the stateid. */
stateid4 fake_open(unsigned c, struct fake_file *file, bool write);
/* As logr_return_on_close has it: LAYOUTRETURN, then CLOSE.  Or CLOSE only. */
void fake_close(unsigned c, struct fake_file *file);
void fake_close_only(unsigned c, struct fake_file *file);
/* An operation through the server by client C (FAKE_CLIENTS: a local process): layout_make_way(). */
nfsstat4 fake_way(unsigned c, struct fake_file *file, enum layout_need need, uint64_t offset, uint64_t length);
/* Layouts out on it. */
unsigned fake_layouts_of(const struct fake_file *file);

struct fake_got {
	nfsstat4 status;
	struct layout_answer a;
};
/* LAYOUTGET on slot 0 (whose seqid moves on with each). */
struct fake_got fake_get(unsigned c, struct fake_file *file, const stateid4 *sid, bool rw, uint64_t offset, uint64_t length);
struct fake_got fake_get_min(unsigned c, struct fake_file *file, const stateid4 *sid, bool rw, uint64_t offset, uint64_t length,
    uint64_t minlength, uint32_t extents);
nfsstat4 fake_return(unsigned c, struct fake_file *file, stateid4 *sid, uint64_t offset, uint64_t length, bool *present);
nfsstat4 fake_commit(unsigned c, struct fake_file *file, const stateid4 *sid, const struct layout_range *range, uint32_t n);

/* Time passes, the ticker ticks every 100 ms, workers and fencers work. */
void fake_pass(uint64_t ms);
/* Until a lease that no layout needs is given up. */
void fake_lease_ends(void);
/* Answer the oldest callback of client C. False: there is none. */
bool fake_answer(unsigned c, int status);
/* The oldest callback of C; NULL. */
struct fake_call *fake_call_of(unsigned c);

#endif
