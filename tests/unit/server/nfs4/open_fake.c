/* See open_fake.h. */
#include "tests/unit/server/nfs4/open_fake.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/conf/exports.h"
#include "server/export/former_lease.h"
#include "server/net/conn.h"
#include "server/state/open.h"

struct open_fake *of;
static const struct export_client rw_client = { .rw = true, .sec = EXPORT_SEC_SYS, .nsec = 1 },
    ro_client = { .sec = EXPORT_SEC_SYS, .nsec = 1 };

static struct open_fake_file *
file_of(const struct inode *inode)
{
	for (unsigned i = 0; i < of->nfiles; i++)
		if (of->file[i].inode == inode)
			return &of->file[i];
	ck_abort_msg("no such inode");
	return NULL;
}

struct open_fake_file *
open_fake_find(const char *name)
{
	for (unsigned i = 1; i < of->nfiles; i++)
		if (!of->file[i].removed && !strcmp(of->file[i].name, name))
			return &of->file[i];
	return NULL;
}

struct open_fake_file *
open_fake_add(const char *name, mode_t mode, uid_t uid)
{
	struct open_fake_file *f = &of->file[of->nfiles++];

	ck_assert_uint_le(of->nfiles, OPEN_FAKE_FILES);
	snprintf(f->name, sizeof f->name, "%s", name);
	f->inode = fake_inode_new(mode & S_IFMT);
	f->inode->export = &of->export;
	f->st.stx.stx_mode = mode;
	f->st.stx.stx_nlink = 1;
	f->st.stx.stx_uid = f->st.stx.stx_gid = uid;
	f->st.change = 100;
	return f;
}

void
open_fake_setup(void)
{
	of = calloc(1, sizeof *of);
	fake_mds_init(&of->mds);
	pthread_mutex_unlock(&of->mds.state_lock);
	fake_client_init(&of->client[0], 51);
	fake_client_init(&of->client[1], 52);
	open_fake_add("", S_IFDIR | 0777, 0);
	of->c.mds = &of->mds;
	of->c.minor = 1;
	of->c.nops = 1;
	of->c.max_reply = 4096;
	arena_init(&of->c.arena, 0);
	open_fake_be(0, 1000);
}

void
open_fake_teardown(void)
{
	open_fake_cd(NULL);
	pthread_mutex_lock(&of->mds.state_lock);
	for (unsigned i = 0; i < 2; i++)
		fake_client_release(&of->mds, &of->client[i]);
	fake_mds_end(&of->mds);
	for (unsigned i = 0; i < of->nfiles; i++)
		fake_inode_free(of->file[i].inode);
	arena_destroy(&of->c.arena);
	free(of);
}

void
open_fake_cd(struct open_fake_file *file)
{
	if (file) {
		ck_assert_int_eq(compound_set_fh(&of->c, inode_get(file->inode)), NFS4_OK);
	} else if (of->c.cur) {
		inode_put(of->c.cur);
		of->c.cur = NULL;
	}
}

void
open_fake_be(unsigned client, uid_t uid)
{
	of->c.client = &of->client[client];
	of->c.sec = EXPORT_SEC_SYS;
	of->c.rpc_cred = (struct rpc_cred){ .flavor = AUTH_SYS, .uid = uid, .gid = uid };
	open_fake_cd(&of->file[0]);
}

nfsstat4
open_fake_run(op_fn *op)
{
	memset(&of->res, 0, sizeof of->res);
	nfsstat4 status = op(&of->c, &of->arg, &of->res);
	/* No lock may stay behind. */
	ck_assert_int_eq(pthread_mutex_trylock(&of->mds.state_lock), 0);
	pthread_mutex_unlock(&of->mds.state_lock);
	ck_assert_int_eq(pthread_rwlock_trywrlock(&of->c.cur->io_lock), 0);
	pthread_rwlock_unlock(&of->c.cur->io_lock);
	return status;
}

/* ---- fs/ ---- */

int
fs_lookup(struct inode *dir, const char *name, unsigned len, struct inode **inode)
{
	char buf[64] = { 0 };

	ck_assert_ptr_eq(dir, of->file[0].inode);
	memcpy(buf, name, len < sizeof buf ? len : sizeof buf - 1);
	struct open_fake_file *f = open_fake_find(buf);
	if (!f)
		return -ENOENT;
	*inode = inode_get(f->inode);
	return 0;
}

int
fs_create(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, mode_t mode,
    struct inode **inode, struct fs_change *change)
{
	char buf[64] = { 0 };
	struct open_fake_file *f = file_of(dir);

	memcpy(buf, name, len);
	change->before = f->st.change++;
	change->after = f->st.change;
	of->creates++;
	f = open_fake_add(buf, S_IFREG | mode, cred->uid);
	*inode = inode_get(f->inode);
	return 0;
}

int
fs_remove(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, struct fs_change *change)
{
	char buf[64] = { 0 };

	(void)dir;
	(void)cred;
	(void)change;
	memcpy(buf, name, len);
	open_fake_find(buf)->removed = true;
	return 0;
}

int
fs_getattr(struct inode *inode, struct fs_stat *st)
{
	*st = file_of(inode)->st;
	return 0;
}

int
fs_glance(struct inode *inode, struct fs_stat *st)
{
	return fs_getattr(inode, st);
}

int
fs_setattr(struct inode *inode, const struct fs_cred *cred, const struct fs_setattr *set, bool may_write)
{
	struct open_fake_file *f = file_of(inode);
	bool free = pthread_rwlock_tryrdlock(&inode->io_lock) == 0;

	(void)cred;
	ck_assert(may_write);
	if (free)
		pthread_rwlock_unlock(&inode->io_lock);
	if (set->what & of->setattr_fails_at)
		return of->setattr_err;
	if (set->what & FS_SET_SIZE) {
		of->truncates++;
		of->locked_at_truncate = !free;
		f->st.stx.stx_size = set->size;
	}
	if (set->what & FS_SET_ATIME)
		f->st.stx.stx_atime.tv_sec = set->atime.tv_sec;
	if (set->what & FS_SET_MTIME)
		f->st.stx.stx_mtime.tv_sec = set->mtime.tv_sec;
	if (set->what & FS_SET_UID)
		f->st.stx.stx_uid = set->uid;
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
	(void)inode;
	return false;
}

int
fs_acl_get(struct inode *inode, enum fs_acl_kind kind, struct fs_ace *e, unsigned max)
{
	(void)inode;
	(void)kind;
	(void)e;
	(void)max;
	return 0;
}

bool
fs_xattr_supported(const struct inode *inode)
{
	(void)inode;
	return true;
}

int
fs_statfs(struct inode *inode, struct fs_space *space)
{
	(void)inode;
	*space = (struct fs_space){ 0 };
	return 0;
}

uint64_t
fs_mounted_on(const struct inode *inode)
{
	return inode->ino;
}

bool
fs_pseudo_leads(const struct inode *inode, bool (*admits)(const struct export *, void *), void *arg)
{
	(void)inode;
	return admits(&of->export, arg);
}

/* ---- layout/, net/, compound.c ---- */

nfsstat4
layout_make_way(struct mds *mds, struct inode *inode, struct client *client, enum layout_need need, uint64_t offset,
    uint64_t length)
{
	(void)mds;
	(void)inode;
	(void)client;
	ck_assert(need == LAYOUT_NEED_BLOCKS && offset == 0 && length == UINT64_MAX);
	of->ways++;
	return of->make_way;
}

bool
layout_clear_locked(const struct inode *inode, const struct client *client, enum layout_need need, uint64_t offset,
    uint64_t length)
{
	(void)inode;
	(void)client;
	(void)need;
	(void)offset;
	(void)length;
	return true;
}

bool
layout_any(const struct inode *inode)
{
	(void)inode;
	return false;
}

bool
layout_writers_wait(const struct inode *inode)
{
	(void)inode;
	return false;
}

bool
former_nfsd_any(const struct mds *mds)
{
	(void)mds;
	return false;
}

void
layout_let_go(struct mds *mds, struct inode *inode)
{
	(void)mds;
	(void)inode;
}

void
layout_closed(struct mds *mds, struct inode *inode, struct client *client)
{
	(void)mds;
	if (!open_held_locked(inode, client, false))
		of->layouts_closed++;
}

void
layout_fence_acked_locked(struct mds *mds, struct client *client)
{
	(void)mds;
	(void)client;
}

const struct export_client *
conn_export_client(struct conn *conn, const struct export_line *line, bool on_loop)
{
	(void)conn;
	(void)line;
	(void)on_loop;
	return of->readonly ? &ro_client : &rw_client;
}

/* Replies are no longer than what is there. */
bool
compound_grow(struct compound *c, uint32_t need)
{
	return ax_left(&c->out) >= need;
}

/* ---- operations ---- */

const stateid4 open_fake_current = { .seqid = 1 };

OPEN4args *
open_fake_args(const char *name, uint32_t access, uint32_t deny)
{
	OPEN4args *a = &of->arg.nfs_argop4_u.opopen;

	memset(&of->arg, 0, sizeof of->arg);
	a->share_access = access;
	a->share_deny = deny;
	a->owner.owner.owner_val = (char *)(uintptr_t)"owner";
	a->owner.owner.owner_len = 5;
	a->claim.claim = name ? CLAIM_NULL : CLAIM_FH;
	if (name) {
		a->claim.open_claim4_u.file.utf8string_val = (char *)(uintptr_t)name;
		a->claim.open_claim4_u.file.utf8string_len = (u_int)strlen(name);
	}
	return a;
}

OPEN4resok *
open_fake_ok(void)
{
	return &of->res.nfs_resop4_u.opopen.OPEN4res_u.resok4;
}

nfsstat4
open_fake_open(const char *name, uint32_t access, uint32_t deny)
{
	open_fake_args(name, access, deny);
	return open_fake_run(op_open);
}

nfsstat4
open_fake_close(stateid4 sid)
{
	of->arg.nfs_argop4_u.opclose = (CLOSE4args){ .open_stateid = sid };
	return open_fake_run(op_close);
}
