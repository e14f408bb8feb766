/*
 * NFSv4 ACLs of POSIX ACLs, and back; see acl.h.
 *
 * To NFSv4: an entry is an ALLOW, with a DENY before it of what later entries would give the same user; all groups' ALLOWs come before their DENYs, for a user
 * may be in several.  A directory's default ACL is the ACEs that are inherited only.
 *
 * To POSIX: for each user and group that is named, and for owner, group and others, what the ACEs would allow and deny is gathered in their order; a denial to a group is one to
 * everybody who may be in it.  In doubt less is granted.
 */
#include "server/nfs4/acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/acl.h"
#include "proto/nfs4/status.h"
#include "server/nfs4/attr.h"

#define READS ACE4_READ_DATA
#define WRITES (ACE4_WRITE_DATA | ACE4_APPEND_DATA)
#define EXECUTES ACE4_EXECUTE
/* What everybody may, and the owner besides, whatever the bits are. */
#define ANYBODY (ACE4_READ_ATTRIBUTES | ACE4_READ_ACL | ACE4_SYNCHRONIZE)
#define OWNER (ACE4_WRITE_ATTRIBUTES | ACE4_WRITE_ACL)
#define INHERIT (ACE4_FILE_INHERIT_ACE | ACE4_DIRECTORY_INHERIT_ACE)
#define FLAGS (INHERIT | ACE4_INHERIT_ONLY_ACE | ACE4_IDENTIFIER_GROUP)

#define STR(s) { sizeof (s) - 1, s }
static const struct nfs_str owner_at = STR("OWNER@"), group_at = STR("GROUP@"), everyone_at = STR("EVERYONE@");

static uint32_t
writes(bool dir)
{
	return dir ? WRITES | ACE4_DELETE_CHILD : WRITES;
}

/* ---- to NFSv4 ---- */

/* The ACEs that are being made. */
struct making {
	struct compound *c;
	struct nfs_ace *aces;		/* room for two for each entry */
	uint32_t n, size;		/* encoded */
	uint32_t flag;			/* of all */
	bool dir, failed;
};

static uint32_t
mask_of(const struct making *m, unsigned perm)
{
	return (perm & 4 ? READS : 0) | (perm & 2 ? writes(m->dir) : 0) | (perm & 1 ? EXECUTES : 0);
}

static void
add(struct making *m, const struct fs_ace *e, uint32_t type, uint32_t mask)
{
	struct nfs_ace *ace = &m->aces[m->n];

	*ace = (struct nfs_ace){ type, m->flag, mask, everyone_at };
	switch (e->tag) {
	case FS_ACE_USER_OBJ:
		ace->who = owner_at;
		break;
	case FS_ACE_GROUP_OBJ:
		ace->who = group_at;
		break;
	case FS_ACE_GROUP:
		ace->flag |= ACE4_IDENTIFIER_GROUP;
		m->failed |= !attr_id_string(m->c, e->id, true, &ace->who);
		break;
	case FS_ACE_USER:
		m->failed |= !attr_id_string(m->c, e->id, false, &ace->who);
		break;
	default:
		break;
	}
	m->n++;
	m->size += nfs_ace_size(ace->who.len);
}

static void
allow(struct making *m, const struct fs_ace *e, unsigned perm)
{
	add(m, e, ACE4_ACCESS_ALLOWED_ACE_TYPE, mask_of(m, perm) | ANYBODY | (e->tag == FS_ACE_USER_OBJ ? OWNER : 0));
}

/* Of what LATER entries give. */
static void
deny(struct making *m, const struct fs_ace *e, unsigned perm, unsigned later)
{
	if (later & ~perm & 7)
		add(m, e, ACE4_ACCESS_DENIED_ACE_TYPE, mask_of(m, later & ~perm & 7));
}

/* Rights that count, the mask taken off; of all entries of a kind together. */
struct summary {
	unsigned mask, users, group, groups, other;
};

static struct summary
summarize(const struct fs_acl *acl)
{
	struct summary s = { .mask = 7 };

	for (unsigned i = 0; i < acl->n; i++)
		if (acl->e[i].tag == FS_ACE_MASK)
			s.mask = acl->e[i].perm;
	for (unsigned i = 0; i < acl->n; i++) {
		const struct fs_ace *e = &acl->e[i];
		if (e->tag == FS_ACE_USER)
			s.users |= e->perm & s.mask;
		else if (e->tag == FS_ACE_GROUP_OBJ)
			s.group = e->perm & s.mask;
		else if (e->tag == FS_ACE_GROUP)
			s.groups |= e->perm & s.mask;
		else if (e->tag == FS_ACE_OTHER)
			s.other = e->perm;
	}
	return s;
}

static bool
is_group(const struct fs_ace *e)
{
	return e->tag == FS_ACE_GROUP_OBJ || e->tag == FS_ACE_GROUP;
}

/* The kernel keeps entries in the order of their tags. */
static void
make(struct making *m, const struct fs_acl *acl)
{
	struct summary s = summarize(acl);

	for (unsigned i = 0; i < acl->n; i++) {
		const struct fs_ace *e = &acl->e[i];
		if (e->tag == FS_ACE_USER_OBJ) {
			deny(m, e, e->perm, s.users | s.group | s.groups | s.other);
			allow(m, e, e->perm);
		} else if (e->tag == FS_ACE_USER) {
			deny(m, e, e->perm & s.mask, s.group | s.groups | s.other);
			allow(m, e, e->perm & s.mask);
		} else if (is_group(e)) {
			allow(m, e, e->perm & s.mask);
		} else if (e->tag == FS_ACE_OTHER) {
			for (unsigned g = 0; g < i; g++)
				if (is_group(&acl->e[g]))
					deny(m, &acl->e[g], acl->e[g].perm & s.mask, s.other);
			allow(m, e, e->perm);
		}
	}
}

static nfsstat4
encode(struct making *m, struct nfs_acl *acl)
{
	XDR x;
	uint8_t *buf = m->failed ? NULL : arena_alloc(&m->c->arena, m->size);

	if (!buf)
		return NFS4ERR_DELAY;
	ax_init(&x, buf, m->size, XDR_ENCODE, NULL);
	for (uint32_t i = 0; i < m->n; i++)
		nfs_ace_put(&x, &m->aces[i]);
	*acl = (struct nfs_acl){ m->n, { m->size, (const char *)buf } };
	return NFS4_OK;
}

/* FEW: room for what a file mostly has. */
static nfsstat4
read_acl(struct compound *c, struct inode *inode, enum fs_acl_kind kind, struct fs_acl *acl)
{
	for (unsigned max = 16; ; max = FS_ACL_MAX) {
		acl->e = arena_alloc(&c->arena, max * sizeof *acl->e);
		if (!acl->e)
			return NFS4ERR_DELAY;
		int n = fs_acl_get(inode, kind, acl->e, max);
		acl->n = n < 0 ? 0 : (unsigned)n;
		if (n >= 0)
			return NFS4_OK;
		if (n != -ERANGE || max == FS_ACL_MAX)
			return nfs4_status(n);
	}
}

nfsstat4
acl_get(struct compound *c, struct inode *inode, struct nfs_acl *acl)
{
	struct fs_acl access, dflt;
	struct making m = { .c = c, .dir = inode->type == S_IFDIR };
	struct fs_stat st = { .change = 0 };
	nfsstat4 status = read_acl(c, inode, FS_ACL_ACCESS, &access);

	if (status == NFS4_OK)
		status = read_acl(c, inode, FS_ACL_DEFAULT, &dflt);
	if (status != NFS4_OK)
		return status;
	int err = access.n ? 0 : fs_getattr(inode, &st);
	if (err)
		return nfs4_status(err);
	struct fs_ace by_mode[3] = {
		{ FS_ACE_USER_OBJ, st.stx.stx_mode >> 6 & 7, 0 }, { FS_ACE_GROUP_OBJ, st.stx.stx_mode >> 3 & 7, 0 },
		{ FS_ACE_OTHER, st.stx.stx_mode & 7, 0 },
	};
	if (!access.n)
		access = (struct fs_acl){ 3, by_mode };
	m.aces = arena_alloc(&c->arena, 2 * (access.n + dflt.n) * sizeof *m.aces);
	if (!m.aces)
		return NFS4ERR_DELAY;
	make(&m, &access);
	m.flag = INHERIT | ACE4_INHERIT_ONLY_ACE;
	make(&m, &dflt);
	return encode(&m, acl);
}

/* ---- to POSIX ---- */

struct rights { uint32_t allow, deny; };
struct named { uint32_t id; struct rights r; };
struct names { struct named *of; unsigned n; };

/* What the ACEs so far come to. */
struct state {
	bool any;
	struct rights owner, group, other, everyone;	/* everyone: what a name begins with that comes now */
	struct names users, groups;
};

static void
rights_change(struct rights *r, bool allow, uint32_t mask)
{
	if (allow)
		r->allow |= mask & ~r->deny;
	else
		r->deny |= mask & ~r->allow;
}

static void
names_change(struct names *names, bool allow, uint32_t mask)
{
	for (unsigned i = 0; i < names->n; i++)
		rights_change(&names->of[i].r, allow, mask);
}

/* There is room for as many names as there are ACEs. */
static struct rights *
names_find(struct state *s, struct names *names, uint32_t id)
{
	for (unsigned i = 0; i < names->n; i++)
		if (names->of[i].id == id)
			return &names->of[i].r;
	names->of[names->n] = (struct named){ id, s->everyone };
	return &names->of[names->n++].r;
}

static void
state_user(struct state *s, uint32_t id, bool allow, uint32_t mask)
{
	struct rights *r = names_find(s, &s->users, id);

	rights_change(r, allow, mask);
	/* He may be the owner. */
	if (!allow)
		rights_change(&s->owner, false, r->deny);
}

/* R: the group's.  Anybody may be in it. */
static void
state_group(struct state *s, struct rights *r, bool allow, uint32_t mask)
{
	rights_change(r, allow, mask);
	if (allow)
		return;
	mask = r->deny;
	rights_change(&s->owner, false, mask);
	rights_change(&s->group, false, mask);
	rights_change(&s->everyone, false, mask);
	names_change(&s->users, false, mask);
	names_change(&s->groups, false, mask);
}

static void
state_everyone(struct state *s, bool allow, uint32_t mask)
{
	rights_change(&s->owner, allow, mask);
	rights_change(&s->group, allow, mask);
	rights_change(&s->other, allow, mask);
	rights_change(&s->everyone, allow, mask);
	names_change(&s->users, allow, mask);
	names_change(&s->groups, allow, mask);
}

static bool
is_who(const struct nfs_str *who, const struct nfs_str *what)
{
	return who->len == what->len && memcmp(who->data, what->data, who->len) == 0;
}

static nfsstat4
state_ace(struct compound *c, struct state *s, const struct nfs_ace *ace)
{
	bool allow = ace->type == ACE4_ACCESS_ALLOWED_ACE_TYPE, group = ace->flag & ACE4_IDENTIFIER_GROUP;
	uint32_t id;

	s->any = true;
	if (is_who(&ace->who, &owner_at)) {
		rights_change(&s->owner, allow, ace->mask);
	} else if (is_who(&ace->who, &group_at)) {
		state_group(s, &s->group, allow, ace->mask);
	} else if (is_who(&ace->who, &everyone_at)) {
		state_everyone(s, allow, ace->mask);
	} else {
		nfsstat4 status = attr_id_parse(c, &ace->who, group, &id);
		if (status != NFS4_OK)
			return status;
		if (group)
			state_group(s, names_find(s, &s->groups, id), allow, ace->mask);
		else
			state_user(s, id, allow, ace->mask);
	}
	return NFS4_OK;
}

static uint16_t
perm_of(uint32_t allowed, bool dir)
{
	return (uint16_t)((allowed & READS ? 4 : 0) | ((allowed & writes(dir)) == writes(dir) ? 2 : 0) |
	    (allowed & EXECUTES ? 1 : 0));
}

/* What no mode can deny must not be. */
static bool
undeniable(const struct rights *r, bool owner)
{
	return r->deny & (ACE4_READ_ATTRIBUTES | ACE4_READ_ACL | (owner ? OWNER : 0));
}

static int
named_compare(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* Entries of NAMES behind those of ACL; *allowed: what any of them grants. */
static bool
entries_add(struct fs_acl *acl, struct names *names, uint16_t tag, bool dir, uint32_t *allowed)
{
	qsort(names->of, names->n, sizeof *names->of, named_compare);
	for (unsigned i = 0; i < names->n; i++) {
		const struct named *n = &names->of[i];
		if (undeniable(&n->r, false))
			return false;
		acl->e[acl->n++] = (struct fs_ace){ tag, perm_of(n->r.allow, dir), n->id };
		*allowed |= n->r.allow;
	}
	return true;
}

/* False: it denies what cannot be denied. */
static bool
state_entries(struct state *s, bool dir, struct fs_acl *acl)
{
	uint32_t allowed = s->group.allow;

	if (undeniable(&s->owner, true) || undeniable(&s->group, false) || undeniable(&s->other, false))
		return false;
	acl->e[acl->n++] = (struct fs_ace){ FS_ACE_USER_OBJ, perm_of(s->owner.allow, dir), 0 };
	if (!entries_add(acl, &s->users, FS_ACE_USER, dir, &allowed))
		return false;
	acl->e[acl->n++] = (struct fs_ace){ FS_ACE_GROUP_OBJ, perm_of(s->group.allow, dir), 0 };
	if (!entries_add(acl, &s->groups, FS_ACE_GROUP, dir, &allowed))
		return false;
	if (s->users.n || s->groups.n)
		acl->e[acl->n++] = (struct fs_ace){ FS_ACE_MASK, perm_of(allowed, dir), 0 };
	acl->e[acl->n++] = (struct fs_ace){ FS_ACE_OTHER, perm_of(s->other.allow, dir), 0 };
	return true;
}

static bool
state_init(struct compound *c, struct state *s, unsigned count, struct fs_acl *acl)
{
	*s = (struct state){ .any = false };
	acl->n = 0;
	s->users.of = arena_alloc(&c->arena, count * sizeof *s->users.of);
	s->groups.of = arena_alloc(&c->arena, count * sizeof *s->groups.of);
	acl->e = arena_alloc(&c->arena, (count + 4) * sizeof *acl->e);
	return s->users.of && s->groups.of && acl->e;
}

nfsstat4
acl_to_set(struct compound *c, bool dir, const struct nfs_acl *acl, struct fs_setattr *set)
{
	struct state now, later;
	struct nfs_ace ace;
	XDR x;

	if (acl->count > FS_ACL_MAX)
		return NFS4ERR_FBIG;
	if (!state_init(c, &now, acl->count, &set->acl) || !state_init(c, &later, acl->count, &set->default_acl))
		return NFS4ERR_DELAY;
	nfs_acl_open(&x, acl);
	for (uint32_t i = 0; i < acl->count; i++) {
		nfsstat4 status = NFS4_OK;
		if (!nfs_ace_get(&x, &ace))
			return NFS4ERR_BADXDR;
		if (ace.type > ACE4_ACCESS_DENIED_ACE_TYPE || (ace.flag & ~FLAGS) || ((ace.flag & INHERIT) && !dir))
			return NFS4ERR_ATTRNOTSUPP;
		/* A default ACL is for files and directories: one of the two flags is both. */
		bool inherit = ace.flag & INHERIT;
		if (inherit)
			status = state_ace(c, &later, &ace);
		if (status == NFS4_OK && !(inherit && (ace.flag & ACE4_INHERIT_ONLY_ACE)))
			status = state_ace(c, &now, &ace);
		if (status != NFS4_OK)
			return status;
	}
	/* Nothing to inherit is no default ACL; nothing else is one that grants nothing. */
	if (!state_entries(&now, dir, &set->acl) || (later.any && !state_entries(&later, dir, &set->default_acl)))
		return NFS4ERR_ATTRNOTSUPP;
	set->what |= FS_SET_ACL;
	return NFS4_OK;
}
