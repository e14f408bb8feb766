/* See fake.h. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/nfs4/attrs.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/export/former_lease.h"
#include "server/state/client.h"
#include "server/state/deleg.h"
#include "server/state/open.h"
#include "server/state/stateid.h"
#include "tests/unit/server/nfs4/fake.h"

struct fake *fake;
struct export fake_export, fake_hidden;
static struct export_line line, hidden_line;
struct export_client fake_client = { .rw = true, .sec = EXPORT_SEC_SYS, .nsec = 1 };

static struct fake_node *
node_of(const struct inode *inode)
{
	return (struct fake_node *)(uintptr_t)inode;	/* the first member */
}

struct fake_node *
fake_add(struct fake_node *parent, const char *name, mode_t mode)
{
	ck_assert_uint_lt(fake->nnodes, FAKE_NODES);
	struct fake_node *n = &fake->node[fake->nnodes];
	n->parent = parent;
	snprintf(n->name, sizeof n->name, "%s", name);
	n->inode.export = &fake_export;
	n->inode.type = mode & S_IFMT;
	n->inode.ino = 1000 + fake->nnodes;
	n->inode.handle_len = 4;
	memcpy(n->inode.handle, &fake->nnodes, 4);
	pthread_rwlock_init(&n->inode.io_lock, NULL);
	struct statx *stx = &n->st.stx;
	stx->stx_mask = STATX_BASIC_STATS | STATX_BTIME;
	stx->stx_mode = mode;
	stx->stx_uid = stx->stx_gid = 1000;
	stx->stx_ino = n->inode.ino;
	stx->stx_nlink = 1;
	n->st.change = 7000 + fake->nnodes;
	fake->nnodes++;
	return n;
}

struct fake_node *
fake_pseudo(struct fake_node *parent, const char *name)
{
	struct fake_node *n = fake_add(parent, name, S_IFDIR | 0555);
	n->inode.export = NULL;
	n->inode.pseudo = (struct pseudo_node *)n;	/* only looked at for being there */
	return n;
}

struct fake_node *
fake_root(struct fake_node *parent, const char *name, struct export *export)
{
	struct fake_node *n = fake_add(parent, name, S_IFDIR | 0755);
	n->inode.export = export;
	n->mounted_on = parent;
	return n;
}

struct fake_node *
fake_file(struct fake_node *parent, const char *name, const char *data)
{
	struct fake_node *n = fake_add(parent, name, S_IFREG | 0644);
	n->data = strdup(data);
	n->st.stx.stx_size = strlen(data);
	return n;
}

void
fake_setup(void)
{
	fake = calloc(1, sizeof *fake);
	fake_export = (struct export){ .id = 77, .line = &line, .layout_type = LAYOUT4_BLOCK_VOLUME, .block_size = 4096 };
	fake_hidden = (struct export){ .id = 78, .line = &hidden_line };
	fake->visible = true;
	fake->by_open = true;
	fake->room = FAKE_REPLY - 64;
	fake->mds.conf.lease = 90;
	memcpy(fake->mds.write_verifier, "verifier", 8);
	pthread_mutex_init(&fake->mds.state_lock, NULL);
	struct compound *c = &fake->c;
	c->mds = &fake->mds;
	c->conn = &fake->conn;
	c->minor = 2;
	c->sec = EXPORT_SEC_SYS;
	c->nops = 1;
	c->cred = (struct fs_cred){ .uid = 1000, .gid = 1000 };
	arena_init(&c->arena, 0);
	ax_init(&c->out, fake->reply, sizeof fake->reply, XDR_ENCODE, &c->arena);
	fake_cd(fake_add(NULL, "", S_IFDIR | 0755));
}

void
fake_teardown(void)
{
	for (unsigned i = 0; i < fake->nnodes; i++) {
		ck_assert(fake_unlocked(&fake->node[i].inode));
		free(fake->node[i].data);
	}
	arena_destroy(&fake->c.arena);
	free(fake);
}

void
fake_cd(struct fake_node *node)
{
	if (fake->c.cur)
		inode_put(fake->c.cur);
	fake->c.cur = inode_get(&node->inode);
	fake->c.cur_opts = node->inode.export ? &fake_client : NULL;
}

void
fake_save(struct fake_node *node)
{
	if (fake->c.saved)
		inode_put(fake->c.saved);
	fake->c.saved = inode_get(&node->inode);
	fake->c.saved_opts = &fake_client;
	fake->c.saved_cred = fake->c.cred;
}

bool
fake_unlocked(struct inode *inode)
{
	if (pthread_rwlock_trywrlock(&inode->io_lock) != 0)
		return false;
	pthread_rwlock_unlock(&inode->io_lock);
	return true;
}

component4
fake_name(const char *s)
{
	return (component4){ .utf8string_len = strlen(s), .utf8string_val = (char *)(uintptr_t)s };
}

fattr4
fake_fattr(const struct nfs_attrs *a)
{
	fattr4 f;
	ck_assert(attrs_to_fattr4(&f, a, &fake->c.arena));
	return f;
}

/* ---- fs/ ---- */

struct inode *
inode_get(struct inode *inode)
{
	node_of(inode)->refs++;
	return inode;
}

void
inode_put(struct inode *inode)
{
	ck_assert_uint_gt(node_of(inode)->refs, 0);
	node_of(inode)->refs--;
}

static struct fake_node *
child(struct inode *dir, const char *name, unsigned len)
{
	for (unsigned i = 0; i < fake->nnodes; i++) {
		struct fake_node *n = &fake->node[i];
		if (!n->removed && n->parent == node_of(dir) && strlen(n->name) == len && memcmp(n->name, name, len) == 0)
			return n;
	}
	return NULL;
}

int
fs_lookup(struct inode *dir, const char *name, unsigned len, struct inode **inode)
{
	struct fake_node *n = child(dir, name, len);
	fake->lookups++;
	if (!n || n->err)
		return n ? n->err : -ENOENT;
	*inode = inode_get(&n->inode);
	return 0;
}

int
fs_lookup_nowait(struct inode *dir, const char *name, unsigned len, struct inode **inode)
{
	return fake->contended ? -EAGAIN : fs_lookup(dir, name, len, inode);
}

int
fs_lookupp(struct inode *dir, struct inode **inode)
{
	if (!node_of(dir)->parent)
		return -ENOENT;
	*inode = inode_get(&node_of(dir)->parent->inode);
	return 0;
}

int
fs_root(struct fs *fs, struct inode **inode)
{
	(void)fs;
	*inode = inode_get(&fake->node[0].inode);
	return 0;
}

int
fs_inode(struct fs *fs, const void *handle, unsigned len, struct inode **inode)
{
	uint32_t i;
	(void)fs;
	if (len != 4)
		return -EBADMSG;
	memcpy(&i, handle, 4);
	if (i >= fake->nnodes)
		return -ESTALE;
	*inode = inode_get(&fake->node[i].inode);
	return 0;
}

int
fs_inode_nowait(struct fs *fs, const void *handle, unsigned len, struct inode **inode)
{
	return fake->contended ? -EAGAIN : fs_inode(fs, handle, len, inode);
}

bool
fs_pseudo_leads(const struct inode *inode, bool (*admits)(const struct export *, void *), void *arg)
{
	for (unsigned i = 0; i < fake->nnodes; i++)
		for (const struct fake_node *up = fake->node[i].parent; up; up = up->parent)
			if (up == node_of(inode) && fake->node[i].inode.export && admits(fake->node[i].inode.export, arg))
				return true;
	return false;
}

uint64_t
fs_mounted_on(const struct inode *inode)
{
	return inode->ino == 1000 ? 5 : inode->ino;
}

int
fs_getattr(struct inode *inode, struct fs_stat *st)
{
	*st = node_of(inode)->st;
	return 0;
}

int
fs_glance(struct inode *inode, struct fs_stat *st)
{
	return fs_getattr(inode, st);
}

int
fs_statfs(struct inode *inode, struct fs_space *space)
{
	(void)inode;
	*space = (struct fs_space){ .total = 1000, .free = 900, .avail = 800, .files_total = 70, .files_free = 60, .files_avail = 50 };
	return 0;
}

int
fs_permits(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, unsigned want, bool nowait)
{
	mode_t m = st->stx.stx_mode;
	unsigned bits = cred->uid == st->stx.stx_uid ? m >> 6 : cred->gid == st->stx.stx_gid ? m >> 3 : m;
	(void)inode;
	(void)nowait;
	return (bits & want) == want ? 0 : -EACCES;
}

bool
fs_acl_supported(const struct inode *inode)
{
	return !fake->no_acls && !inode->pseudo;
}

int
fs_acl_get(struct inode *inode, enum fs_acl_kind kind, struct fs_ace *e, unsigned max)
{
	(void)inode;
	if (fake->acl[kind].n > max)
		return -ERANGE;
	for (unsigned i = 0; i < fake->acl[kind].n; i++)
		e[i] = fake->acl[kind].e[i];
	return (int)fake->acl[kind].n;
}

static void
changed(struct inode *inode)
{
	fake->lock_held_at_change = !fake_unlocked(inode);
}

int
fs_setattr(struct inode *inode, const struct fs_cred *cred, const struct fs_setattr *set, bool may_write)
{
	struct fake_node *n = node_of(inode);
	(void)cred;
	(void)may_write;
	fake->setattrs++;
	if (set->what & fake->setattr_fails_at)
		return fake->setattr_err;
	if (set->what & FS_SET_SIZE) {
		changed(inode);
		n->st.stx.stx_size = set->size;
	}
	if (set->what & FS_SET_MODE)
		n->st.stx.stx_mode = (n->st.stx.stx_mode & S_IFMT) | set->mode;
	if (set->what & FS_SET_UID)
		n->st.stx.stx_uid = set->uid;
	return 0;
}

static int
add_child(struct inode *dir, const char *name, unsigned len, mode_t mode, struct inode **inode, struct fs_change *change)
{
	char buf[256] = { 0 };
	if (child(dir, name, len))
		return -EEXIST;
	memcpy(buf, name, len);
	*inode = inode_get(&fake_add(node_of(dir), buf, mode)->inode);
	*change = (struct fs_change){ node_of(dir)->st.change, node_of(dir)->st.change + 1 };
	node_of(dir)->st.change++;
	return 0;
}

int
fs_mkdir(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, mode_t mode,
    struct inode **inode, struct fs_change *change)
{
	(void)cred;
	return add_child(dir, name, len, S_IFDIR | mode, inode, change);
}

int
fs_mknod(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, mode_t mode, dev_t dev,
    struct inode **inode, struct fs_change *change)
{
	(void)cred;
	int err = add_child(dir, name, len, mode, inode, change);
	if (err == 0) {
		node_of(*inode)->st.stx.stx_rdev_major = dev >> 8;
		node_of(*inode)->st.stx.stx_rdev_minor = dev & 0xff;
	}
	return err;
}

int
fs_symlink(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, const char *target,
    unsigned target_len, struct inode **inode, struct fs_change *change)
{
	(void)cred;
	int err = add_child(dir, name, len, S_IFLNK | 0777, inode, change);
	if (err == 0)
		memcpy(node_of(*inode)->target, target, target_len);
	return err;
}

int
fs_readlink(struct inode *inode, char *buf, size_t size, size_t *len)
{
	*len = strlen(node_of(inode)->target);
	ck_assert_uint_le(*len, size);
	memcpy(buf, node_of(inode)->target, *len);
	return 0;
}

int
fs_remove(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, struct fs_change *change)
{
	struct fake_node *n = child(dir, name, len);
	(void)cred;
	fake->removes++;
	changed(&n->inode);
	n->removed = true;
	*change = (struct fs_change){ 1, 2 };
	return 0;
}

int
fs_rename(struct inode *from, const char *oldname, unsigned oldlen, struct inode *to, const char *newname,
    unsigned newlen, const struct fs_cred *cred, struct fs_change *from_change, struct fs_change *to_change)
{
	struct fake_node *n = child(from, oldname, oldlen), *over = child(to, newname, newlen);
	(void)cred;
	fake->renames++;
	if (over) {
		changed(&over->inode);
		over->removed = true;
	}
	n->parent = node_of(to);
	memset(n->name, 0, sizeof n->name);
	memcpy(n->name, newname, newlen);
	*from_change = *to_change = (struct fs_change){ 1, 2 };
	return 0;
}

int
fs_link(struct inode *inode, struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred,
    struct fs_change *change)
{
	(void)cred;
	if (child(dir, name, len))
		return -EEXIST;
	node_of(inode)->st.stx.stx_nlink++;
	*change = (struct fs_change){ 1, 2 };
	return 0;
}

bool
fs_xattr_supported(const struct inode *inode)
{
	return !fake->no_xattrs && !inode->pseudo;
}

static struct fake_xattr *
xattr_find(const char *name, unsigned len)
{
	for (unsigned i = 0; i < fake->nxattrs; i++)
		if (strlen(fake->xattr[i].name) == len && !memcmp(fake->xattr[i].name, name, len))
			return &fake->xattr[i];
	return NULL;
}

ssize_t
fs_xattr_get(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len, void *value, size_t size)
{
	struct fake_xattr *x = xattr_find(name, len);
	(void)cred;
	if (!fs_xattr_supported(inode))
		return -EOPNOTSUPP;
	if (!x)
		return -ENODATA;
	if (fake->xattr_grows && size) {
		fake->xattr_grows--;
		x->value[x->len++] = '+';
	}
	if (size && size < x->len)
		return -ERANGE;
	if (size)
		memcpy(value, x->value, x->len);
	return x->len;
}

ssize_t
fs_xattr_list(struct inode *inode, const struct fs_cred *cred, char *names, size_t size)
{
	size_t at = 0;
	(void)cred;
	if (!fs_xattr_supported(inode))
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < fake->nxattrs; i++) {
		size_t len = strlen(fake->xattr[i].name) + 1;
		if (size && at + len > size)
			return -ERANGE;
		if (size)
			memcpy(names + at, fake->xattr[i].name, len);
		at += len;
	}
	return (ssize_t)at;
}

int
fs_xattr_set(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len, const void *value,
    size_t size, enum fs_xattr_how how, struct fs_change *change)
{
	struct fake_xattr *x = xattr_find(name, len);
	(void)inode;
	(void)cred;
	if (fake->xattr_err)
		return fake->xattr_err;
	if ((how == FS_XATTR_CREATE && x) || (how == FS_XATTR_REPLACE && !x))
		return x ? -EEXIST : -ENODATA;
	if (!x) {
		ck_assert_uint_lt(fake->nxattrs, FAKE_XATTRS);
		x = &fake->xattr[fake->nxattrs++];
		memset(x, 0, sizeof *x);
		memcpy(x->name, name, len);
	}
	ck_assert_uint_le(size, sizeof x->value);
	memcpy(x->value, value, size);
	x->len = (unsigned)size;
	*change = (struct fs_change){ 3, 4 };
	return 0;
}

int
fs_xattr_remove(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len,
    struct fs_change *change)
{
	struct fake_xattr *x = xattr_find(name, len);
	(void)inode;
	(void)cred;
	if (fake->xattr_err || !x)
		return x ? fake->xattr_err : -ENODATA;
	*x = fake->xattr[--fake->nxattrs];
	*change = (struct fs_change){ 5, 6 };
	return 0;
}

/* Cookies are 10, 20, 30... */
int
fs_readdir(struct inode *dir, uint64_t cookie, fs_emit_fn *emit, void *arg, bool *eof)
{
	*eof = false;
	if (cookie > INT64_MAX)
		return -EINVAL;
	for (unsigned i = cookie / 10; i < fake->nnodes; i++) {
		struct fake_node *n = &fake->node[i];
		if (n->parent != node_of(dir) || n->removed)
			continue;
		struct fs_dirent ent = { .cookie = (i + 1) * 10, .name = n->name, .len = strlen(n->name), .ino = n->inode.ino,
			.type = n->inode.type };
		if (!emit(arg, &ent))
			return 0;
	}
	*eof = true;
	return 0;
}

ssize_t
fs_read(struct inode *inode, void *buf, size_t len, uint64_t offset, bool nowait, bool coherent)
{
	struct fake_node *n = node_of(inode);
	fake->read_nowait = nowait;
	fake->read_coherent = coherent;
	ck_assert(!fake_unlocked(inode));
	if (fake->read_err)
		return fake->read_err;
	if (offset >= n->st.stx.stx_size)
		return 0;
	uint64_t left = n->st.stx.stx_size - offset;
	size_t k = len < left ? len : left;
	memcpy(buf, n->data + offset, k);
	return k;
}

ssize_t
fs_write(struct inode *inode, const void *buf, size_t len, uint64_t offset, bool sync, bool coherent)
{
	(void)buf;
	(void)offset;
	(void)coherent;
	ck_assert(!fake_unlocked(inode));
	fake->writes++;
	fake->wrote_sync = sync;
	return len;
}

int
fs_commit(struct inode *inode, bool coherent)
{
	(void)coherent;
	ck_assert(!fake_unlocked(inode));
	fake->write_errors += fake->commit_err != 0;
	return fake->commit_err;
}

uint64_t
fs_write_errors(const struct fs *fs)
{
	(void)fs;
	return fake->write_errors;
}

static bool
locked_for_writing(struct inode *inode)
{
	return pthread_rwlock_tryrdlock(&inode->io_lock) == EBUSY;
}

int
fs_allocate(struct inode *inode, uint64_t offset, uint64_t len, bool coherent)
{
	ck_assert(locked_for_writing(inode) && coherent == layout_any(inode));
	fake->spaces++;
	fake->space_offset = offset;
	fake->space_len = len;
	return fake->space_err;
}

int
fs_deallocate(struct inode *inode, uint64_t offset, uint64_t len, bool coherent)
{
	return fs_allocate(inode, offset, len, coherent);
}

int
fs_clone(struct inode *src, uint64_t src_offset, struct inode *dst, uint64_t dst_offset, uint64_t len, bool coherent)
{
	ck_assert(locked_for_writing(src));
	fake->clone_from = src_offset;
	return fs_allocate(dst, dst_offset, len, coherent);
}

int64_t
fs_copy(const struct fs_copy *copy)
{
	ck_assert(locked_for_writing(copy->dst) && !fake_unlocked(copy->src));
	fake->copy = *copy;
	return fake->copied ? fake->copied : (int64_t)copy->len;
}

bool
offload_start(struct mds *mds, struct client *client, const struct offload_ask *ask, stateid4 *sid)
{
	ck_assert(mds == fake->c.mds && client == fake->c.client);
	fake->offload = *ask;
	*sid = (stateid4){ .seqid = 1, .other = "offload" };
	return fake->offloads;
}

nfsstat4
offload_progress(struct mds *mds, struct client *client, const stateid4 *sid, const struct inode *dst, struct offload_progress *is)
{
	ck_assert(mds == fake->c.mds && client == fake->c.client && sid->seqid == 1 && dst == fake->c.cur);
	*is = fake->progress;
	return fake->offload_status;
}

nfsstat4
offload_cancel(struct mds *mds, struct client *client, const stateid4 *sid, const struct inode *dst)
{
	ck_assert(mds == fake->c.mds && client == fake->c.client && sid->seqid == 1 && dst == fake->c.cur);
	return fake->offload_status;
}

int
fs_seek(struct inode *inode, uint64_t offset, bool data, uint64_t *found)
{
	uint64_t size = node_of(inode)->st.stx.stx_size;
	ck_assert(!fake_unlocked(inode));
	if (offset >= size)
		return -ENXIO;
	*found = offset;
	for (unsigned i = 0; fake->data[i][1]; i++) {
		uint64_t start = fake->data[i][0], end = fake->data[i][1];
		if (offset >= end)
			continue;
		if (data)
			*found = offset < start ? start : offset;
		else if (offset >= start)
			*found = end;
		return 0;
	}
	return data ? -ENXIO : 0;
}

void
fs_forget(struct inode *inode, uint64_t offset, uint64_t len)
{
	(void)inode;
	fake->space_offset = offset;
	fake->space_len = len;
}

/* ---- layout/, state/, conf/ ---- */

nfsstat4
deleg_make_way(struct mds *mds, struct inode *inode, struct client *client, enum deleg_need need)
{
	(void)mds;
	(void)client;
	(void)need;
	ck_assert(fake_unlocked(inode));
	fake->deleg_ways++;
	fake->deleg_of = inode;
	return fake->deleg_in_way ? NFS4ERR_DELAY : NFS4_OK;
}

nfsstat4
deleg_getattr(struct mds *mds, struct inode *inode, const struct client *client, struct deleg_seen *seen)
{
	(void)mds;
	(void)inode;
	(void)client;
	*seen = fake->seen;
	return fake->deleg_in_way ? NFS4ERR_DELAY : NFS4_OK;
}

void
deleg_getattr_told(struct mds *mds, struct inode *inode, const struct client *client)
{
	(void)mds;
	(void)inode;
	(void)client;
	fake->seen.told = true;
}

/* Weak, too: stateid.c asks it when its table is full. */
__attribute__((weak)) bool
lease_make_room_locked(struct mds *mds)
{
	(void)mds;
	return false;
}

struct state_obj *fake_deleg;

/* Weak: where the operation has stateid.c with it, that one's. */
__attribute__((weak)) nfsstat4
state_find_locked(struct mds *mds, const struct client *client, const stateid4 *sid, unsigned kinds,
    const struct inode *inode, struct state_obj **obj)
{
	(void)mds;
	(void)client;
	(void)sid;
	(void)inode;
	ck_assert_uint_eq(kinds, STATE_DELEG);
	*obj = fake_deleg;
	return fake_deleg ? NFS4_OK : NFS4ERR_BAD_STATEID;
}

bool
deleg_clear_locked(const struct inode *inode, const struct client *client, enum deleg_need need)
{
	(void)inode;
	(void)client;
	(void)need;
	return !fake->deleg_in_way;
}

nfsstat4
layout_make_way(struct mds *mds, struct inode *inode, struct client *client, enum layout_need need, uint64_t offset,
    uint64_t length)
{
	(void)mds;
	(void)client;
	ck_assert(fake_unlocked(inode));
	fake->ways[fake->make_way++ % 8] = (struct fake_way){ inode, need, offset, length };
	fake->need = need;
	fake->need_offset = offset;
	fake->need_length = length;
	return fake->in_way && (!fake->way_of || fake->way_of == inode) ? NFS4ERR_DELAY : NFS4_OK;
}

bool
layout_clear_locked(const struct inode *inode, const struct client *client, enum layout_need need, uint64_t offset,
    uint64_t length)
{
	(void)client;
	(void)need;
	(void)offset;
	(void)length;
	ck_assert(!fake_unlocked((struct inode *)(uintptr_t)inode));
	ck_assert_int_eq(pthread_mutex_trylock(&fake->mds.state_lock), EBUSY);
	if (fake->clear_after) {
		fake->clear_after--;
		return false;
	}
	return true;
}

bool
layout_any(const struct inode *inode)
{
	return atomic_load(&((struct inode *)(uintptr_t)inode)->layouts) != 0;
}

bool
layout_writers_wait(const struct inode *inode)
{
	(void)inode;
	return fake->writers_wait;
}

void
layout_let_go(struct mds *mds, struct inode *inode)
{
	(void)mds;
	ck_assert(fake->writers_wait);
	/* io_lock is held for writing. */
	ck_assert_int_eq(pthread_rwlock_tryrdlock(&inode->io_lock), EBUSY);
	fake->let_go++;
}

bool
former_nfsd_any(const struct mds *mds)
{
	(void)mds;
	return fake->former_nfsd;
}

bool
open_any_locked(const struct inode *inode)
{
	(void)inode;
	return fake->open;
}

bool
grace_active(const struct mds *mds)
{
	(void)mds;
	return fake->grace;
}

nfsstat4
state_check_io(struct compound *c, const stateid4 *sid, struct inode *inode, bool write, bool *by_open)
{
	(void)c;
	(void)sid;
	(void)inode;
	(void)write;
	*by_open = fake->by_open;
	return fake->io_status;
}

const struct export_client *
conn_export_client(struct conn *conn, const struct export_line *l, bool on_loop)
{
	(void)conn;
	(void)on_loop;
	return fake->visible && l != &hidden_line ? &fake_client : NULL;
}

/* ---- compound_fh.c ---- */

nfsstat4
compound_set_fh(struct compound *c, struct inode *inode)
{
	if (c->cur)
		inode_put(c->cur);
	c->cur = inode;
	c->cur_opts = inode->export ? &fake_client : NULL;
	c->cur_sid_valid = false;
	return NFS4_OK;
}

nfsstat4
compound_resolve_stateid(struct compound *c, stateid4 *sid)
{
	(void)c;
	(void)sid;
	return NFS4_OK;
}

nfsstat4
compound_check_rw(struct compound *c)
{
	return c->cur_opts && !fake->readonly ? NFS4_OK : NFS4ERR_ROFS;
}

uint32_t
compound_room(struct compound *c)
{
	(void)c;
	return fake->room;
}

uint8_t *
compound_reply_data(struct compound *c, uint32_t header, uint32_t len)
{
	return header + len <= fake->room ? ax_pos(&c->out) + 8 + header : NULL;
}
