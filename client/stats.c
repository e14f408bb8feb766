/* pnfs_get_stats(): what went where. */
#include "client/mount.h"

struct stats_args {
	struct pnfs *m;
	struct pnfs_stats *stats;
};

static void
stats_copy(void *arg)
{
	struct stats_args *a = arg;
	*a->stats = a->m->stats;
	a->stats->reconnects = a->m->mds.stats.reconnects;
	a->stats->recoveries = a->m->mds.stats.recoveries;
}

void
pnfs_get_stats(struct pnfs *mount, struct pnfs_stats *stats)
{
	struct stats_args args = { .m = mount, .stats = stats };
	if (loop_is_current(mount->loop))
		stats_copy(&args);
	else
		loop_call(mount->loop, stats_copy, &args);
}
