/*
 * Is the stable store whole?  Asked by stable_open() before the store is used: a server that starts without what is recorded there would let clients take what
 * others are to reclaim, and give away blocks that may still be written.  LMDB keeps no checksums, and a page that is not what it should be may end the
 * process, so a child looks: at every record, by every way that leads to it, and at every page.
 *
 * What is seen: a file that is too short, pages and records that were changed.  Not: a whole older state of the file, put in place of the newest.
 */
#include "server/state/stable_private.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/log.h"

#define CHECK_SECONDS 60u

uint32_t
stable_sum(const void *key, size_t key_len, const void *value, size_t len)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	uint32_t sum;
	sha256_init(&ctx);
	sha256_update(&ctx, key_len, key);
	sha256_update(&ctx, len, value);
	sha256_digest(&ctx, sizeof digest, digest);
	memcpy(&sum, digest, sizeof sum);
	return sum ? sum : 1;
}

/* The key is the value's digest. */
static bool
client_ok(const MDB_val *key, const MDB_val *val)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	sha256_init(&ctx);
	sha256_update(&ctx, val->mv_size, val->mv_data);
	sha256_digest(&ctx, sizeof digest, digest);
	return key->mv_size == sizeof digest && memcmp(key->mv_data, digest, sizeof digest) == 0;
}

/* Empty in stores of before there were sums. */
static bool
key_ok(const MDB_val *key, const MDB_val *val)
{
	uint32_t sum = stable_sum(key->mv_data, key->mv_size, "", 0);
	return val->mv_size == 0 || (val->mv_size == sizeof sum && memcmp(val->mv_data, &sum, sizeof sum) == 0);
}

static bool
meta_ok(const MDB_val *key, const MDB_val *val)
{
	return key->mv_size <= 8 && (val->mv_size == 1 || val->mv_size == 4);
}

static const struct {
	const char *name;
	bool (*ok)(const MDB_val *key, const MDB_val *val);
} tables[] = {
	{ "clients.0", client_ok }, { "clients.1", client_ok }, { "keys", key_ok }, { "holders", stable_holder_ok }, { "meta", meta_ok },
};

/* In order and all of them, each found by its key. */
static bool
table_ok(MDB_txn *txn, MDB_dbi table, bool (*ok)(const MDB_val *, const MDB_val *))
{
	MDB_cursor *cursor;
	MDB_val key, val, again, last;
	MDB_stat st;
	size_t n = 0;
	int rc;
	if (mdb_stat(txn, table, &st) || mdb_cursor_open(txn, table, &cursor))
		return false;
	/* The transaction changes nothing: the last key stays where it is. */
	for (; (rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT)) == 0; n++, last = key)
		if (n > st.ms_entries || (n && mdb_cmp(txn, table, &last, &key) >= 0) || !ok(&key, &val) ||
		    mdb_get(txn, table, &key, &again) || again.mv_data != val.mv_data || again.mv_size != val.mv_size)
			return false;
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND && n == st.ms_entries;
}

/* In the child. */
static bool
store_ok(const char *path)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi table;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0 || mdb_env_create(&env) || mdb_env_set_maxdbs(env, 5) || mdb_env_set_mapsize(env, STABLE_MAP_SIZE) ||
	    mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NORDAHEAD, 0600) ||
	    mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
		return false;
	for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++) {
		int rc = mdb_dbi_open(txn, tables[i].name, 0, &table);
		/* A start that was cut short may not have made it yet; then it has made none. */
		if (rc == MDB_NOTFOUND && i == 0)
			break;
		if (rc || !table_ok(txn, table, tables[i].ok))
			return false;
		if (tables[i].ok == meta_ok && !stable_meta_ok(txn, table))
			return false;
	}
	mdb_txn_abort(txn);
	/* Goes through all pages, those of the list of free ones, too, and counts them. */
	return mdb_env_copyfd2(env, null, MDB_CP_COMPACT) == 0;
}

static void
check_child(const char *path)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM };
	struct rlimit none = { 0, 0 };
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	alarm(CHECK_SECONDS);
	_exit(store_ok(path) ? 0 : 1);
}

int
stable_check(const char *path)
{
	struct stat st;
	int status;
	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	fflush(NULL);
	pid_t pid = st.st_size ? fork() : 0;
	if (pid < 0)
		return -errno;
	if (pid == 0 && st.st_size)
		check_child(path);
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_error("%s is damaged: who may reclaim, and whose writes may be under way, is not known.  See pnfs-mds(8), THE STATE DIRECTORY", path);
	return -EUCLEAN;
}
