/*
 * The metadata server: what its parts share.  One struct mds per process; handed
 * down, never global, so that tests can make their own.
 *
 * Threads
 *   loops     one per core; own connections; run compounds until an operation may block
 *   workers   run what may block (system calls on cold data, allocation, flushes)
 *   fencers   a few threads that talk to targets (fence/); never hold any lock below while doing so
 *   ctl       one thread that answers pnfsctl (ctl/)
 *   leases    one thread that takes lease-break signals (export/)
 *   keeper    one thread that waits for the death of the keeper's process, to start another one (keeper/)
 *
 * Locks, outermost first; never take an earlier one while holding a later one:
 *   inode->io_lock     (rwlock) data and block map of one file; may be held over system calls;
 *                      on a loop only try*; workers may wait
 *   mds->state_lock    clients, stateids, opens, locks, delegations, layouts, recalls; short; no system call that
 *                      can sleep on storage, no waiting
 *   session->lock      slots
 *   inode cache lock, peer queues, gss contexts: leaves
 * A function whose name ends in _locked wants state_lock held.
 */
#ifndef PNFS_SERVER_MDS_H
#define PNFS_SERVER_MDS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "server/conf/conf.h"

struct ctl;
struct delegs;
struct devices;
struct exporting;
struct exports;
struct formers;
struct fs;
struct gss_server;
struct former_leases;
struct grace;
struct keeper;
struct layouts;
struct listener;
struct lock_waits;
struct loop;
struct offloads;
struct sessions;
struct clients;
struct stable;
struct stateids;
struct workers;

struct mds {
	struct mds_conf conf;
	struct exports *exports;	/* conf/exports.h */
	struct exporting *exporting;	/* net/exporting.h */
	struct fs *fs;			/* fs/fs.h: inode cache, handles, pseudo root */
	pthread_mutex_t state_lock;
	struct clients *clients;	/* state/client.h */
	struct sessions *sessions;	/* state/session.h */
	struct stateids *stateids;	/* state/stateid.h */
	struct lock_waits *lock_waits;	/* state/lock_wait.h */
	struct layouts *layouts;	/* layout/layout.h */
	struct delegs *delegs;		/* state/deleg.h; NULL: none are given */
	struct offloads *offloads;	/* nfs4/offload.h */
	struct devices *devices;	/* layout/device.h; made by the first device_open() */
	struct grace *grace;		/* state/grace.c; NULL: there was none */
	struct formers *formers;	/* layout/former.h: holders of a former life */
	struct former_leases *former_leases;	/* export/former_lease.h; NULL: none, or none any more */
	struct keeper *keeper;		/* keeper/keeper.h; NULL: keeper=no */
	struct stable *stable;		/* state/stable.c: the store in state_dir */
	struct gss_server *gss;		/* gss/gss.h; NULL: built without */
	struct workers *workers;	/* net/worker.h */
	struct listener *listener;	/* net/listener.h */
	struct ctl *ctl;		/* ctl/ctl.h; NULL: its socket was not to be had */
	struct loop **loops;
	unsigned nloops;
	atomic_bool lease_busy;		/* a lease_tick() is being worked on */
	atomic_uint exports_gen;	/* moves when exports are read again: what was concluded from them is void */
	uint8_t owner_id[16];		/* server_owner and server_scope (RFC 8881 2.10.4, 2.10.5): the same for a state_dir for ever */
	uint64_t boot;			/* differs at every start: ns of the real-time clock */
	uint8_t write_verifier[8];	/* of WRITE and COMMIT: changes with every start */
};

/* Monotonic milliseconds. */
uint64_t mds_now_ms(void);

#endif
