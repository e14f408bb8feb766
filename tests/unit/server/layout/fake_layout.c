/* See fake_layout.h. */
#include "tests/unit/server/layout/fake_layout.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/layout/device_notice.h"
#include "server/layout/extent.h"

struct fake_world w;

void (*cb_path_up)(struct mds *mds, struct client *client);
void (*export_on_break)(struct mds *mds, struct inode *inode);

static struct fake_file *files[128];
static unsigned nfiles;

/* ---- what other parts would do ---- */

uint64_t
mds_now_ms(void)
{
	return w.now_ms;
}

int
workers_new(struct workers **workers, unsigned threads, const char *name)
{
	static char nothing;
	(void)threads;
	(void)name;
	*workers = (struct workers *)&nothing;
	return 0;
}

void
workers_stop(struct workers *workers)
{
	(void)workers;
}

struct device *
device_get(struct device *device)
{
	device->refs++;
	return device;
}

void
device_put(struct device *device)
{
	ck_assert_int_gt(device->refs--, 1);
}

void
device_notice_key_locked(struct mds *mds, struct client *client)
{
	ck_assert_ptr_eq(mds, &w.mds);
	w.rekeyed[client - w.client]++;
}

int
device_prepare(struct device *device, enum reason *why)
{
	if (w.why) {
		*why = w.why;
		return -EIO;
	}
	device->reserved = true;
	return 0;
}

int
device_fence(struct device *device, const struct fence_target *target)
{
	ck_assert_ptr_eq(device, &w.device);
	ck_assert_uint_lt(w.nfenced, 64);
	/* No lock is held over a talk with a target. */
	ck_assert_int_eq(pthread_mutex_trylock(&w.mds.state_lock), 0);
	pthread_mutex_unlock(&w.mds.state_lock);
	w.fenced_key[w.nfenced++] = target->key;
	if (w.in_fence)
		w.in_fence();
	return w.fence_result;
}

static unsigned
on_disk(uint64_t clientid)
{
	unsigned i = 0;

	while (i < w.non_disk && w.on_disk[i].clientid != clientid)
		i++;
	return i;
}

int
stable_holder_put(struct mds *mds, const struct stable_holder *holder)
{
	unsigned i = on_disk(holder->clientid);

	ck_assert_int_eq(pthread_mutex_trylock(&mds->state_lock), 0);
	pthread_mutex_unlock(&mds->state_lock);
	ck_assert_str_eq(holder->device, "paper");
	if (w.stable_err)
		return w.stable_err;
	w.nstable++;
	w.on_disk[i].clientid = holder->clientid;
	w.on_disk[i].key = holder->key;
	w.non_disk += i == w.non_disk;
	return 0;
}

int
stable_holders_remove(struct mds *mds, const struct stable_holder *list, size_t n)
{
	(void)mds;
	for (size_t j = 0; j < n; j++) {
		unsigned i = on_disk(list[j].clientid);
		ck_assert_uint_lt(i, w.non_disk);
		w.on_disk[i] = w.on_disk[--w.non_disk];
	}
	return 0;
}

struct client *
client_find_locked(struct mds *mds, uint64_t id)
{
	(void)mds;
	for (unsigned i = 0; i < FAKE_CLIENTS; i++)
		if (w.client[i].id == id && !w.client[i].removed)
			return &w.client[i];
	return NULL;
}

struct client *
client_get(struct client *client)
{
	atomic_fetch_add(&client->refs, 1);
	return client;
}

void
client_put(struct mds *mds, struct client *client)
{
	(void)mds;
	ck_assert_int_gt(atomic_fetch_sub(&client->refs, 1), 1);
}

struct session *
session_find_locked(struct mds *mds, const uint8_t id[NFS4_SESSIONID_SIZE])
{
	(void)mds;
	for (unsigned i = 0; i < FAKE_CLIENTS; i++)
		if (!memcmp(w.session[i].id, id, NFS4_SESSIONID_SIZE))
			return w.session[i].dead ? NULL : &w.session[i];
	return NULL;
}

bool
cb_path_locked(const struct client *client)
{
	return w.path[client - w.client];
}

void
cb_send(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs,
    uint32_t timeout_ms, cb_done_fn *done, void *done_arg)
{
	struct fake_call *call = &w.call[w.ncalls];
	const layoutrecall_file4 *file = &arg->nfs_cb_argop4_u.opcblayoutrecall.clora_recall.layoutrecall4_u.lor_layout;

	(void)mds;
	(void)refs;
	ck_assert_uint_lt(w.ncalls, 256);
	ck_assert_int_eq(arg->argop, OP_CB_LAYOUTRECALL);
	ck_assert_int_eq(pthread_mutex_trylock(&w.mds.state_lock), 0);
	pthread_mutex_unlock(&w.mds.state_lock);
	*call = (struct fake_call){ .client = client_get(client), .args = arg->nfs_cb_argop4_u.opcblayoutrecall,
		.nrefs = nrefs, .timeout_ms = timeout_ms, .done = done, .arg = done_arg };
	ck_assert_uint_le(file->lor_fh.nfs_fh4_len, FS_HANDLE_MAX);
	memcpy(call->handle, file->lor_fh.nfs_fh4_val, file->lor_fh.nfs_fh4_len);
	w.ncalls++;
	w.nsent++;
}

static struct fake_file *
file_of(const struct inode *inode)
{
	for (unsigned i = 0; i < nfiles; i++)
		if (files[i]->inode == inode)
			return files[i];
	ck_abort_msg("not a file of this test");
	return NULL;
}

int
fs_getattr(struct inode *inode, struct fs_stat *st)
{
	memset(st, 0, sizeof *st);
	st->stx.stx_size = file_of(inode)->size;
	st->stx.stx_mode = S_IFREG | 0666;
	return 0;
}

int
fs_commit(struct inode *inode, bool coherent)
{
	(void)coherent;
	file_of(inode)->flushes++;
	return 0;
}

/* ---- the provider ---- */

/* io_lock is held for writing: nobody else gets it. */
static void
check_io_locked(struct inode *inode)
{
	ck_assert_int_eq(pthread_rwlock_tryrdlock(&inode->io_lock), EBUSY);
	ck_assert_int_eq(pthread_mutex_trylock(&w.mds.state_lock), 0);
	pthread_mutex_unlock(&w.mds.state_lock);
}

static int
fake_lease(struct inode *inode, struct layout_lease **lease, enum reason *why)
{
	struct fake_file *file = file_of(inode);

	check_io_locked(inode);
	*why = w.why;
	if (w.lease_err)
		return w.lease_err;
	ck_assert_uint_eq(file->leased, file->unleased);	/* one per inode */
	file->leased++;
	file->lease.broken = false;
	*lease = &file->lease;
	return 0;
}

static enum iomap_type *
fake_block(struct fake_file *file, uint64_t pos)
{
	static enum iomap_type mapped, hole;

	mapped = IOMAP_MAPPED;
	hole = IOMAP_HOLE;
	if (file->big)
		return &mapped;
	return pos / LAYOUT_UNIT < FAKE_BLOCKS ? &file->block[pos / LAYOUT_UNIT] : &hole;
}

/* One piece from POS on. */
static struct iomap
fake_piece(struct fake_file *file, uint64_t pos, uint64_t end)
{
	struct iomap m = { .offset = pos, .type = *fake_block(file, pos) };

	if (file->big) {
		m.length = end - pos;
	} else {
		while (pos < end && *fake_block(file, pos) == m.type && (m.length == 0 || m.type != IOMAP_MAPPED)) {
			pos += LAYOUT_UNIT;
			m.length += LAYOUT_UNIT;
		}
	}
	/* Blocks lie apart on the device, so that every mapped block is an extent (of a big file: all of it is one). */
	if (m.type != IOMAP_HOLE)
		m.addr = file->addr + (file->big ? m.offset : 2 * m.offset);
	return m;
}

static int
fake_map(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write, struct iomap *map, unsigned max, enum reason *why)
{
	struct fake_file *file = file_of(lease->inode);
	uint64_t end = offset + length;
	unsigned n = 0;

	check_io_locked(lease->inode);
	ck_assert_uint_eq(offset % LAYOUT_UNIT, 0);
	ck_assert_uint_eq(length % LAYOUT_UNIT, 0);
	file->mapped++;
	if (w.in_map)
		w.in_map(file);
	*why = w.why;
	if (w.map_err)
		return w.map_err;
	if (write && !lease->ops->past_eof && end > file->size / LAYOUT_UNIT * LAYOUT_UNIT) {
		*why = REASON_EOF_BLOCK;
		end = file->size / LAYOUT_UNIT * LAYOUT_UNIT;
	}
	for (uint64_t pos = offset; write && pos < end && !file->big; pos += LAYOUT_UNIT) {
		if (*fake_block(file, pos) != IOMAP_MAPPED)
			file->zeroed += LAYOUT_UNIT;
		*fake_block(file, pos) = IOMAP_MAPPED;
	}
	while (offset < end && n < max) {
		map[n] = fake_piece(file, offset, end);
		offset += map[n++].length;
	}
	return (int)n;
}

static int
fake_commit_blocks(struct layout_lease *lease, const struct iomap *ranges, unsigned n, const struct commit_attr *attr)
{
	struct fake_file *file = file_of(lease->inode);

	(void)ranges;
	check_io_locked(lease->inode);
	if (w.in_commit)
		w.in_commit(file);
	if (w.commit_err)
		return w.commit_err;
	file->commits++;
	file->commit_n = n;
	file->commit_attr = *attr;
	if (attr->size_valid && !w.keeps_size)
		file->size = attr->size;
	return 0;
}

static void
fake_unlease(struct layout_lease *lease)
{
	struct fake_file *file = file_of(lease->inode);
	file->unleased++;
	ck_assert_uint_eq(file->leased, file->unleased);
}

static const struct export_ops fake_ops = { .name = "paper", .lease = fake_lease, .map_blocks = fake_map,
	.commit_blocks = fake_commit_blocks, .unlease = fake_unlease };

/* ---- the world ---- */

void
fake_world_init(uint32_t layout_type)
{
	memset(&w, 0, sizeof w);
	fake_mds_init(&w.mds);
	pthread_mutex_unlock(&w.mds.state_lock);
	w.mds.conf.lease = 90;
	w.mds.conf.recall_timeout = 30;
	w.mds.conf.max_io_time = 30;
	w.now_ms = 1000000;
	w.line.path = (char *)(uintptr_t)"/paper";
	w.export = (struct export){ .refs = 1, .mds = &w.mds, .line = &w.line, .is_xfs = true, .block_size = 4096,
		.device = &w.device, .ops = &fake_ops, .layout_type = layout_type };
	static const struct device_conf conf = { .name = (char *)(uintptr_t)"paper" };
	w.device = (struct device){ .refs = 1, .layout_type = layout_type, .conf = &conf };
	memcpy(w.device.id, "device of paper!", DEVICE_ID_SIZE);
	for (unsigned i = 0; i < FAKE_CLIENTS; i++) {
		fake_client_init(&w.client[i], 100 + i);
		w.client[i].ownerid = (uint8_t *)(uintptr_t)"paper";
		w.client[i].ownerid_len = 5;
		w.client[i].pr_key = 0x1000 + i;
		atomic_init(&w.client[i].refs, 1);
		atomic_init(&w.client[i].renewed_ms, w.now_ms);
		w.path[i] = true;
		memset(w.session[i].id, (int)i + 1, NFS4_SESSIONID_SIZE);
		w.session[i].client = &w.client[i];
		w.session[i].slots = w.slot[i];
		w.session[i].nslots = 4;
		pthread_mutex_init(&w.session[i].lock, NULL);
	}
	arena_init(&w.arena, 0);
	ck_assert_int_eq(layouts_alloc(&w.mds), 0);
	ck_assert_int_eq(workers_new(&w.mds.layouts->fencers, 1, "fencer"), 0);
	nfiles = 0;
}

static void
client_end(unsigned c)
{
	pthread_mutex_lock(&w.mds.state_lock);
	w.client[c].removed = true;
	layout_client_gone_locked(&w.mds, &w.client[c], LAYOUT_GONE_DESTROYED);
	fake_client_release(&w.mds, &w.client[c]);
	pthread_mutex_unlock(&w.mds.state_lock);
}

void
fake_world_end(void)
{
	for (unsigned i = 0; i < FAKE_CLIENTS; i++)
		if (!w.client[i].removed)
			client_end(i);
	while (w.ncalls)
		fake_answer((unsigned)(w.call[0].client - w.client), -ECONNRESET);
	fake_pass(300000);
	records_sweep(&w.mds, false);
	ck_assert_uint_eq(w.non_disk, 0);
	ck_assert(TAILQ_EMPTY(&w.mds.layouts->files));
	ck_assert(TAILQ_EMPTY(&w.mds.layouts->fences));
	ck_assert(TAILQ_EMPTY(&w.mds.layouts->recalls));
	ck_assert_ptr_null(w.mds.layouts->holders);
	ck_assert_ptr_null(w.mds.layouts->fenced);
	ck_assert_uint_eq(w.mds.layouts->nreturned, 0);
	layouts_free(&w.mds);
	ck_assert_int_eq(w.device.refs, 1);
	pthread_mutex_lock(&w.mds.state_lock);
	fake_mds_end(&w.mds);
	for (unsigned i = 0; i < FAKE_CLIENTS; i++)
		ck_assert_int_eq(atomic_load(&w.client[i].refs), 1);
	for (unsigned i = 0; i < nfiles; i++) {
		ck_assert_uint_eq(files[i]->leased, files[i]->unleased);
		ck_assert_uint_eq(atomic_load(&files[i]->inode->layouts), 0);
		fake_inode_free(files[i]->inode);
		free(files[i]);
	}
	arena_destroy(&w.arena);
}

struct fake_file *
fake_file_new(uint64_t size)
{
	struct fake_file *file = calloc(1, sizeof *file);

	ck_assert_uint_lt(nfiles, 128);
	file->inode = fake_inode_new(S_IFREG);
	file->inode->export = &w.export;
	file->inode->handle_len = 20;
	memset(file->inode->handle, 0x40 + (int)nfiles, 20);
	file->size = size;
	file->addr = (1 + nfiles) << 30;
	file->lease = (struct layout_lease){ .inode = file->inode, .ops = &fake_ops };
	files[nfiles++] = file;
	return file;
}

stateid4
fake_open(unsigned c, struct fake_file *file, bool write)
{
	char owner[2] = { (char)('a' + c), write };
	struct open_ask ask = { .owner = owner, .owner_len = 2,
		.access = write ? OPEN4_SHARE_ACCESS_BOTH : OPEN4_SHARE_ACCESS_READ };
	struct open_undo undo;
	stateid4 sid;

	pthread_mutex_lock(&w.mds.state_lock);
	ck_assert_int_eq(open_add_locked(&w.mds, &w.client[c], file->inode, &ask, &undo, &sid), NFS4_OK);
	pthread_mutex_unlock(&w.mds.state_lock);
	sid.seqid = 0;
	return sid;
}

void
fake_close(unsigned c, struct fake_file *file)
{
	const struct layout *layout = layout_find_locked(file->inode, &w.client[c]);
	stateid4 sid;

	if (layout) {
		state_sid(&layout->obj, &sid);
		ck_assert_int_eq(fake_return(c, file, &sid, 0, UINT64_MAX, NULL), NFS4_OK);
	}
	fake_close_only(c, file);
}

void
fake_close_only(unsigned c, struct fake_file *file)
{
	struct state_obj *obj, *next;

	pthread_mutex_lock(&w.mds.state_lock);
	for (obj = TAILQ_FIRST(&w.client[c].states); obj; obj = next) {
		struct inode *iref;
		next = TAILQ_NEXT(obj, of_client);
		if (obj->cls->kind != STATE_OPEN || obj->inode != file->inode)
			continue;
		open_close_locked(&w.mds, (struct open_state *)obj, &iref);
		if (iref)
			inode_put(iref);
	}
	pthread_mutex_unlock(&w.mds.state_lock);
	layout_closed(&w.mds, file->inode, &w.client[c]);
}

nfsstat4
fake_way(unsigned c, struct fake_file *file, enum layout_need need, uint64_t offset, uint64_t length)
{
	return layout_make_way(&w.mds, file->inode, c == FAKE_CLIENTS ? NULL : &w.client[c], need, offset, length);
}

unsigned
fake_layouts_of(const struct fake_file *file)
{
	const struct layout_file *f = layout_file_find(file->inode);
	const struct layout *l;
	unsigned n = 0;

	if (f)
		TAILQ_FOREACH(l, &f->list, of_file)
			n++;
	return n;
}

struct fake_got
fake_get_min(unsigned c, struct fake_file *file, const stateid4 *sid, bool rw, uint64_t offset, uint64_t length,
    uint64_t minlength, uint32_t extents)
{
	struct fake_got got = { 0 };
	struct layout_ask ask = { .client = &w.client[c], .inode = file->inode, .rw = rw, .offset = offset,
		.length = length, .minlength = minlength, .max_extents = extents, .arena = &w.arena };

	memcpy(ask.ref.session, w.session[c].id, NFS4_SESSIONID_SIZE);
	ask.ref.seqid = ++w.slot[c][0].seqid;
	arena_reset(&w.arena);
	got.status = layout_check_sid(&w.mds, &w.client[c], file->inode, sid, &ask.by_layout);
	if (got.status == NFS4_OK && !ask.by_layout) {
		struct state_obj *obj;		/* as state_check_io() does */
		pthread_mutex_lock(&w.mds.state_lock);
		got.status = state_find_locked(&w.mds, &w.client[c], sid, STATE_OPEN, file->inode, &obj);
		pthread_mutex_unlock(&w.mds.state_lock);
	}
	if (got.status == NFS4_OK)
		got.status = layout_get(&w.mds, &ask, &got.a);
	return got;
}

struct fake_got
fake_get(unsigned c, struct fake_file *file, const stateid4 *sid, bool rw, uint64_t offset, uint64_t length)
{
	return fake_get_min(c, file, sid, rw, offset, length, LAYOUT_UNIT, 92);
}

nfsstat4
fake_return(unsigned c, struct fake_file *file, stateid4 *sid, uint64_t offset, uint64_t length, bool *present)
{
	bool there;
	stateid4 next = *sid;

	nfsstat4 status = layout_return_file(&w.mds, &w.client[c], file->inode, sid, offset, length, true, true, &next, &there);
	if (present)
		*present = there;
	if (status == NFS4_OK && there)
		*sid = next;
	return status;
}

nfsstat4
fake_commit(unsigned c, struct fake_file *file, const stateid4 *sid, const struct layout_range *range, uint32_t n)
{
	struct layout_commit commit = { .client = &w.client[c], .inode = file->inode, .sid = sid, .ranges = range, .n = n,
		.arena = &w.arena };
	bool size_set;
	uint64_t size;

	arena_reset(&w.arena);
	nfsstat4 status = layout_commit(&w.mds, &commit, &size_set, &size);
	ck_assert(status != NFS4_OK || !size_set);
	return status;
}

void
fake_pass(uint64_t ms)
{
	uint64_t end = w.now_ms + ms;

	fake_workers_run();
	while (w.now_ms < end) {
		w.now_ms += end - w.now_ms < 100 ? end - w.now_ms : 100;
		layouts_tick(&w.mds);
		fake_workers_run();
		layouts_tick(&w.mds);
	}
}

void
fake_lease_ends(void)
{
	fake_pass(2200);
}

struct fake_call *
fake_call_of(unsigned c)
{
	for (unsigned i = 0; i < w.ncalls; i++)
		if (w.call[i].client == &w.client[c])
			return &w.call[i];
	return NULL;
}

bool
fake_answer(unsigned c, int status)
{
	struct fake_call *found = fake_call_of(c);

	if (!found)
		return false;
	struct fake_call call = *found;
	size_t index = (size_t)(found - w.call);
	memmove(found, found + 1, (--w.ncalls - index) * sizeof *found);
	call.done(&w.mds, call.arg, status);
	client_put(&w.mds, call.client);
	return true;
}

/* ---- a program of tests ---- */

static void
setup_block(void)
{
	fake_world_init(LAYOUT4_BLOCK_VOLUME);
}

int
fake_suite(const char *name, const TTest *const *tests, unsigned n)
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup_block, fake_world_end);
	for (unsigned i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
