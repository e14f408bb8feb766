/* A whole server over a state_dir of its own, without exports: for tests of clients, sessions, callbacks and grace. */
#ifndef PNFS_TESTS_MDS_FIXTURE_H
#define PNFS_TESTS_MDS_FIXTURE_H

#include <stdint.h>

struct mds;

struct mds_fixture {
	char dir[64];
	struct mds *mds;
	uint16_t port;
};

void mds_fixture_start(struct mds_fixture *fx, unsigned lease, unsigned grace);
/* Stop and start over the same state_dir. */
void mds_fixture_restart(struct mds_fixture *fx);
void mds_fixture_stop(struct mds_fixture *fx);

#endif
