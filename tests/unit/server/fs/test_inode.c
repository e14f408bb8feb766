/* The cache: one inode per file, its bound, files without a name, the data descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/fs/fs_private.h"
#include "tests/unit/server/fs/fs_fixture.h"

#define THREADS 8
#define ROUNDS 300

struct racer {
	struct fs_env *env;
	pthread_barrier_t *barrier;
	struct inode *got[ROUNDS];
	int fd[ROUNDS];
};

/* Everybody looks for the same file, which nobody holds, by name or by handle. */
static void *
race(void *arg)
{
	struct racer *r = arg;
	char name[16];
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof name, "race%d", i % 3);
		pthread_barrier_wait(r->barrier);
		if (fs_lookup(r->env->root, name, (unsigned)strlen(name), &r->got[i]))
			r->got[i] = NULL;
		r->fd[i] = r->got[i] ? inode_data_fd(r->got[i]) : -1;
		pthread_barrier_wait(r->barrier);
		if (r->got[i])
			inode_put(r->got[i]);
	}
	return NULL;
}

static bool
cached(struct fs *fs, const void *handle, unsigned len)
{
	struct inode *inode;
	int err = fs_inode_nowait(fs, handle, len, &inode);

	if (err == 0)
		inode_put(inode);
	else
		ck_assert_int_eq(err, -EAGAIN);
	return err == 0;
}

START_TEST(concurrent_lookups_get_one_inode)
{
	static struct racer racers[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t barrier;
	struct fs_env env;
	env_open(&env);
	for (int i = 0; i < 3; i++) {
		char name[16];
		snprintf(name, sizeof name, "race%d", i);
		inode_put(env_create(&env, name, 0600));
	}
	env.fs->max_fds = 1;		/* nothing stays cached: each round races to open */
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int t = 0; t < THREADS; t++) {
		racers[t] = (struct racer){ .env = &env, .barrier = &barrier };
		ck_assert_int_eq(pthread_create(&threads[t], NULL, race, &racers[t]), 0);
	}
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	for (int i = 0; i < ROUNDS; i++) {
		ck_assert_ptr_nonnull(racers[0].got[i]);
		ck_assert_int_ge(racers[0].fd[i], 0);
		for (int t = 1; t < THREADS; t++) {
			ck_assert_ptr_eq(racers[t].got[i], racers[0].got[i]);
			ck_assert_int_eq(racers[t].fd[i], racers[0].fd[i]);
		}
	}
	env_close(&env);
}
END_TEST

static unsigned
open_fds(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(unused_inodes_keep_to_the_bound)
{
	struct fs_env env;
	env_open(&env);
	unsigned before = open_fds();
	env.fs->max_fds = 40;
	struct inode *held = env_create(&env, "held", 0600), *again;
	for (int i = 0; i < 500; i++) {
		char name[16];
		snprintf(name, sizeof name, "many%d", i);
		inode_put(env_create(&env, name, 0600));
		ck_assert_uint_le(env.fs->fds, 40);
	}
	ck_assert_uint_le(open_fds(), before + 40);
	ck_assert_uint_ge(open_fds(), before + 30);
	/* What is in use stays, and is found again. */
	ck_assert_ok(fs_inode(env.fs, held->handle, held->handle_len, &again));
	ck_assert_ptr_eq(again, held);
	inode_put(again);
	inode_put(held);
	env_close(&env);
}
END_TEST

/* What a file system keeps behind the end of a file that was written comes back when the descriptor is closed. */
START_TEST(space_behind_the_end)
{
	struct fs_env env;
	struct inode *inode[3];
	static const char *const names[] = { "spacious", "lean", "used" };
	env_open(&env);
	for (int i = 0; i < 3; i++) {
		inode[i] = env_create(&env, names[i], 0600);
		int fd = inode_data_fd(inode[i]);
		ck_assert_int_eq(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, i == 1 ? 512 << 10 : 4 << 20), 0);
	}
	uint8_t handle[2][FS_HANDLE_MAX];
	unsigned len = inode[0]->handle_len, before = open_fds();
	for (int i = 0; i < 2; i++) {
		memcpy(handle[i], inode[i]->handle, len);
		inode_put(inode[i]);
	}
	inode_sweep(env.fs);
	ck_assert(!cached(env.fs, handle[0], len));
	ck_assert(cached(env.fs, handle[1], len));
	ck_assert(cached(env.fs, inode[2]->handle, len));
	ck_assert_uint_eq(open_fds(), before - 2);
	inode_put(inode[2]);
	env_close(&env);
}
END_TEST

/* ---- who waits for the storage ---- */

static pthread_t putter;
static bool watched;
static atomic_uint mine, others, hold;

/* The C library's, with a look at who calls it. */
int
fdatasync(int fd)
{
	if (watched) {
		atomic_fetch_add(pthread_equal(pthread_self(), putter) ? &mine : &others, 1);
		for (unsigned i = 0; i < 5000 && atomic_load(&hold); i++)
			usleep(1000);
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static void
wait_for_sweeper(struct fs *fs)
{
	bool busy = true;
	for (unsigned i = 0; i < 5000 && busy; i++, usleep(1000)) {
		pthread_mutex_lock(&fs->lock);
		busy = !TAILQ_EMPTY(&fs->dead) || fs->work || (fs->fds > fs->max_fds && fs->nunused);
		pthread_mutex_unlock(&fs->lock);
	}
	ck_assert(!busy);
}

/* Loops put inodes: unstable data of what leaves the cache is another thread's to wait for, however long that takes. */
START_TEST(putting_never_waits_for_storage)
{
	struct fs_env env;
	env_open(&env);
	struct inode *dirty = env_create(&env, "dirty", 0600), *gone = env_create(&env, "gone", 0600), *more;
	ck_assert_int_eq(fs_write(dirty, "data", 4, 0, false, false), 4);
	ck_assert_int_eq(fs_write(gone, "data", 4, 0, false, false), 4);
	int fd = inode_data_fd(gone);
	more = env_create(&env, "more", 0600);
	putter = pthread_self();
	atomic_store(&hold, 1);
	watched = true;
	env.fs->max_fds = 0;
	inode_put(dirty);
	inode_put(more);
	ck_assert_uint_eq(atomic_load(&mine), 0);
	for (unsigned i = 0; i < 5000 && !atomic_load(&others); i++)
		usleep(1000);
	ck_assert_uint_eq(atomic_load(&others), 1);
	/* While that waits: a file without a name any more. */
	ck_assert_int_eq(unlinkat(env.root->fd, "gone", 0), 0);
	pthread_mutex_lock(&env.fs->lock);
	gone->priv->unlinked = true;
	pthread_mutex_unlock(&env.fs->lock);
	inode_put(gone);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);	/* not closed by us */
	atomic_store(&hold, 0);
	env.fs->max_fds = 100;
	wait_for_sweeper(env.fs);
	for (unsigned i = 0; i < 5000 && fcntl(fd, F_GETFD) >= 0; i++)
		usleep(1000);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
	ck_assert_uint_eq(atomic_load(&mine), 0);
	watched = false;
	env_close(&env);
}
END_TEST

/* PITFALLS D12 */
START_TEST(unlinked_file_is_served_while_in_use)
{
	struct fs_env env;
	char buf[8];
	env_open(&env);
	struct inode *inode = env_create(&env, "open", 0600), *again;
	ck_assert_int_eq(fs_write(inode, "kept", 4, 0, false, false), 4);
	ck_assert_ok(fs_remove(env.root, "open", 4, &alice, NULL));
	ck_assert_ok(fs_inode(env.fs, inode->handle, inode->handle_len, &again));
	ck_assert_ptr_eq(again, inode);
	inode_put(again);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, false, false), 4);
	ck_assert_mem_eq(buf, "kept", 4);
	inode_put(inode);
	ck_assert_uint_eq(env.fs->nunused, 0);
	env_close(&env);
}
END_TEST

START_TEST(renamed_over_file_is_served_while_in_use)
{
	struct fs_env env;
	char buf[8];
	env_open(&env);
	struct inode *over = env_create(&env, "over", 0600);
	inode_put(env_create(&env, "new", 0600));
	ck_assert_int_eq(fs_write(over, "old", 3, 0, false, false), 3);
	ck_assert_ok(fs_rename(env.root, "new", 3, env.root, "over", 4, &alice, NULL, NULL));
	ck_assert_int_eq(fs_read(over, buf, sizeof buf, 0, false, false), 3);
	struct fs_stat st;
	ck_assert_ok(fs_getattr(over, &st));
	ck_assert_uint_eq(st.stx.stx_nlink, 0);
	inode_put(over);
	env_close(&env);
}
END_TEST

/* A local rm: the cached descriptor must not keep the space for ever. */
START_TEST(sweep_drops_files_removed_locally)
{
	struct fs_env env;
	char path[128];
	env_open(&env);
	inode_put(env_create(&env, "local", 0600));
	inode_put(env_create(&env, "stays", 0600));
	ck_assert_uint_eq(env.fs->nunused, 2);
	snprintf(path, sizeof path, "%s/local", xfs.mnt);
	ck_assert_int_eq(unlink(path), 0);
	inode_sweep(env.fs);
	ck_assert_uint_eq(env.fs->nunused, 1);
	env_close(&env);
}
END_TEST

/* XFS.md "Leases": the lease needs the only open description. */
START_TEST(write_lease_works_on_the_data_descriptor)
{
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "lease", 0600);
	int fd = inode_data_fd(inode);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	struct fs_setattr set = { .what = FS_SET_SIZE, .size = 5000 };
	ck_assert_ok(fs_setattr(inode, &alice, &set, false));
	set = (struct fs_setattr){ .what = FS_SET_MODE, .mode = 0640 };
	ck_assert_ok(fs_setattr(inode, &alice, &set, false));
	ck_assert_int_eq(fs_write(inode, "x", 1, 4999, false, true), 1);
	ck_assert_ok(fs_commit(inode, true));
	inode_put(env_lookup(env.root, "lease"));
	ck_assert_int_eq(fcntl(fd, F_GETLEASE), F_WRLCK);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(data_descriptor_is_for_files_only)
{
	struct fs_env env;
	env_open(&env);
	struct inode *link;
	ck_assert_err(inode_data_fd(env.root), EISDIR);
	ck_assert_ok(fs_symlink(env.root, "ln", 2, &alice, "x", 1, &link, NULL));
	ck_assert_err(inode_data_fd(link), EINVAL);
	inode_put(link);
	env_close(&env);
}
END_TEST

START_TEST(removed_export_is_stale)
{
	struct fs_env env;
	env_open(&env);
	struct inode *held = env_create(&env, "exported", 0600), *got;
	uint8_t h[FS_HANDLE_MAX];
	memcpy(h, held->handle, held->handle_len);
	ck_assert(cached(env.fs, h, held->handle_len));
	fs_export_remove(env.fs, env.export);
	ck_assert(!cached(env.fs, h, held->handle_len));
	ck_assert_err(fs_inode(env.fs, h, held->handle_len, &got), ESTALE);
	/* And back: the same handle leads to a new inode, the old one still works for who holds it. */
	ck_assert_ok(fs_export_add(env.fs, env.export));
	ck_assert_ok(fs_inode(env.fs, h, held->handle_len, &got));
	ck_assert_ptr_ne(got, held);
	ck_assert_uint_eq(env_mode(held), 0600);
	inode_put(got);
	inode_put(held);
	env_close(&env);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("inode");
	TCase *tc = tcase_create("inode");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, concurrent_lookups_get_one_inode);
	tcase_add_test(tc, unused_inodes_keep_to_the_bound);
	tcase_add_test(tc, space_behind_the_end);
	tcase_add_test(tc, putting_never_waits_for_storage);
	tcase_add_test(tc, unlinked_file_is_served_while_in_use);
	tcase_add_test(tc, renamed_over_file_is_served_while_in_use);
	tcase_add_test(tc, sweep_drops_files_removed_locally);
	tcase_add_test(tc, write_lease_works_on_the_data_descriptor);
	tcase_add_test(tc, data_descriptor_is_for_files_only);
	tcase_add_test(tc, removed_export_is_stale);
	return fs_fixture_main(suite);
}
