/* The session engine (client/mds.h) at the fake server, without files: requests of one PUTROOTFH each, hooks that count. */
#ifndef PNFS_TESTS_CLIENT_ENGINE_FIXTURE_H
#define PNFS_TESTS_CLIENT_ENGINE_FIXTURE_H

#include "client/mds.h"
#include "tests/unit/client/fake_mds.h"

#define REQUESTS 40

extern struct fake_mds fake;
extern struct mds mds;
/* What the hooks were called for, and requests that ended with an error. */
extern atomic_int callbacks, reclaims, revocations, bad;

struct request {
	struct mds_req req;
	struct loop_work work;
	int ends, status, revocations;	/* revocations: known of when it ended */
};
extern struct request requests[REQUESTS];

/* TIMEOUT in seconds (0: none); MINOR1: the server knows minor version 1 only. */
void engine_fixture_start(unsigned timeout, bool minor1);
void engine_fixture_setup(void);		/* the usual: no timeout, minor version 2 */
void engine_fixture_stop(void);

/* N requests at once; they all end, each once. */
void requests_run(unsigned n, unsigned flags);
/* In two steps. */
void requests_begin(unsigned n, unsigned flags);
void requests_end(unsigned n);

#endif
