/* Inside of server/gss: contexts (context.c), their establishment (accept.c), whom they are of (who.c). */
#ifndef PNFS_SERVER_GSS_PRIVATE_H
#define PNFS_SERVER_GSS_PRIVATE_H

#include <gssapi/gssapi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <uthash.h>

#include "proto/rpc/gss.h"
#include "server/gss/gss.h"

#define GSS_HANDLE 16u			/* random bytes: not to be guessed */
#define GSS_MAX_CONTEXTS 16384u		/* the least recently used go first */
#define GSS_MAX_EMBRYOS 64u		/* not established yet: anybody may begin one */
#define GSS_EMBRYO_MS 30000u
#define GSS_MAX_STEPS 256u		/* of establishment, at workers */
#define GSS_MAX_LIFE_S 86400u
#define GSS_SWEEP_MS 30000u

struct gss_ctx {
	struct gss_who who;		/* first: gss_who(); does not change once GSS is there */
	uint8_t handle[GSS_HANDLE];
	atomic_uint refs;
	bool tabled;			/* in the table, which has a reference; table's lock, as the links */
	uint64_t expires_ms;		/* the same, once it is in the table */
	TAILQ_ENTRY(gss_ctx) lru;
	UT_hash_handle hh;

	gss_ctx_id_t embryo;		/* while it is being established: the step's */
	struct rpc_gss *gss;		/* NULL until it is; then does not change */

	pthread_mutex_t lock;
	struct rpc_gss_window window;
};
TAILQ_HEAD(gss_list, gss_ctx);

struct gss_server {
	struct mds *mds;
	atomic_uint steps;
	atomic_uint_fast64_t told_ms;	/* when a refusal was logged */
	uint64_t swept_ms;		/* gss_server_tick()'s */
	pthread_mutex_t lock;		/* a leaf */
	struct gss_ctx *by_handle;
	struct gss_list established, embryos;	/* least recently used first */
	unsigned nestablished, nembryos;
};

/* context.c */
struct gss_ctx *gss_ctx_new(void);	/* not in the table; NULL without memory */
struct gss_ctx *gss_ctx_get(struct gss_ctx *ctx);
void gss_ctx_put(struct gss_ctx *ctx);
/* An embryo to go on with, out of the table meanwhile; referenced.  NULL: none, or somebody is at it. */
struct gss_ctx *gss_embryo_take(struct gss_server *gs, const uint8_t *handle, uint32_t len);
/* After a step: into the table, or back, or out of it. */
void gss_ctx_enter(struct gss_server *gs, struct gss_ctx *ctx, uint64_t expires_ms);
void gss_ctx_remove(struct gss_server *gs, struct gss_ctx *ctx);

/* accept.c */
/* INIT, CONTINUE_INIT: answers, from a worker. */
void gss_accept(struct gss_server *gs, struct conn *conn, struct rpc_call *call);

/* who.c: blocks.  0 or -errno. */
int gss_who_find(struct gss_who *who, gss_name_t name, gss_OID mech);
/* A failure of GSS-API in words, malloc'd; NULL without memory. */
char *gss_words(OM_uint32 major, OM_uint32 minor);

#endif
