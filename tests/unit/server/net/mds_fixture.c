/* See mds_fixture.h. */
#include "tests/unit/server/net/mds_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/log.h"
#include "server/net/server.h"

static void
put_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void
fixture_run(struct mds_fixture *fx)
{
	char path[128], *error = NULL;
	snprintf(path, sizeof path, "%s/conf", fx->dir);
	int err = server_start(path, &fx->mds, &fx->port, &error);
	ck_assert_msg(err == 0, "%s", error ? error : strerror(-err));
}

void
mds_fixture_start(struct mds_fixture *fx, unsigned lease, unsigned grace)
{
	char conf[512];
	log_set_level(LOG_LEVEL_ERROR);
	strcpy(fx->dir, "/tmp/mds-fixture-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fx->dir));
	snprintf(conf, sizeof conf, "[server]\nlisten=127.0.0.1:0\nstate_dir=%s\nctl=%s/ctl\nexports=%s/exports\n"
	    "lease=%u\ngrace=%u\nkeeper=no\n", fx->dir, fx->dir, fx->dir, lease, grace);
	put_file(fx->dir, "conf", conf);
	put_file(fx->dir, "exports", "# none\n");
	fixture_run(fx);
}

void
mds_fixture_restart(struct mds_fixture *fx)
{
	server_stop(fx->mds);
	fixture_run(fx);
}

void
mds_fixture_stop(struct mds_fixture *fx)
{
	static const char *const names[] = { "conf", "exports", "ctl", "handle.key", "state.mdb", "state.mdb-lock" };
	char path[128];
	server_stop(fx->mds);
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", fx->dir, names[i]);
		unlink(path);
	}
	rmdir(fx->dir);
}
