/* See server.h. */
#include "tests/fuzz/server.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "include/log.h"
#include "server/mds.h"
#include "server/net/server.h"

/* In memory: a disk that is busy with something else must not look like a server that does not answer. */
static char dir[] = "/dev/shm/fuzz-mds-XXXXXX";
static struct mds *mds;

static void
put_file(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static void
finish(void)
{
	static const char *const names[] = { "conf", "exports", "ctl", "handle.key", "state.mdb", "state.mdb-lock" };
	char path[128];
	server_stop(mds);
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

struct mds *
fuzz_server(void)
{
	char conf[512], path[64], *error = NULL;
	uint16_t port;
	log_set_level(LOG_LEVEL_ERROR);
	if (!mkdtemp(dir))
		abort();
	snprintf(conf, sizeof conf, "[server]\nlisten=127.0.0.1:0\nstate_dir=%s\nctl=%s/ctl\nexports=%s/exports\nlease=3600\nkeeper=no\n",
	    dir, dir, dir);
	put_file("conf", conf);
	put_file("exports", "# none\n");
	snprintf(path, sizeof path, "%s/conf", dir);
	if (server_start(path, &mds, &port, &error) < 0) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	atexit(finish);
	return mds;
}
