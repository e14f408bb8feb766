/*
 * POSIX ACLs, and permission with them.  fs_permits() is called wherever rights are checked; fs_acl_get() by attr_acl.c; posix_acl_set() by posix_attr.c.
 *
 * By the kernel's extended attributes, not libacl: that one's fd calls refuse O_PATH descriptors, it allocates per entry,
 * and what the attributes hold is the kernel's public interface (linux/posix_acl_xattr.h), an array one looks through in place.
 *
 * What is remembered of a file is only that it has no ACL (the common case, which then costs a comparison); an ACL that is there is in the kernel's own cache
 * for as long as we hold a descriptor, and is asked for each time.
 */
#include "server/fs/fs_private.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

#define ACL_BYTES (64u << 10)		/* XATTR_SIZE_MAX */
#define FEW 64u				/* entries that are read to the stack */
#define COARSE (20 * 1000000ull)	/* ns; a tick of ctime, and then some: CHANGE_TICK in change.c */

_Static_assert(sizeof(struct posix_acl_xattr_header) == 4 && sizeof(struct posix_acl_xattr_entry) == 8, "the kernel's");
_Static_assert(FS_ACE_USER_OBJ == ACL_USER_OBJ && FS_ACE_USER == ACL_USER && FS_ACE_GROUP_OBJ == ACL_GROUP_OBJ &&
    FS_ACE_GROUP == ACL_GROUP && FS_ACE_MASK == ACL_MASK && FS_ACE_OTHER == ACL_OTHER, "the kernel's");

static const char *const names[] = {
	[FS_ACL_ACCESS] = "system.posix_acl_access", [FS_ACL_DEFAULT] = "system.posix_acl_default",
};

/* f*xattr(2) refuse O_PATH. */
static const char *
fd_path(char buf[32], const struct inode *inode)
{
	snprintf(buf, 32, "/proc/self/fd/%d", inode->fd);
	return buf;
}

bool
posix_acl_probe(int fd)
{
	return fgetxattr(fd, names[FS_ACL_ACCESS], NULL, 0) >= 0 || errno != EOPNOTSUPP;
}

bool
fs_acl_supported(const struct inode *inode)
{
	return !inode->pseudo && !S_ISLNK(inode->type) && inode->priv->fse->acls;
}

static int
take_apart(const uint8_t *buf, size_t len, struct fs_ace *e, unsigned max)
{
	struct posix_acl_xattr_header head;
	if (len < sizeof head || (len - sizeof head) % sizeof(struct posix_acl_xattr_entry))
		return -EIO;
	memcpy(&head, buf, sizeof head);
	unsigned n = (unsigned)((len - sizeof head) / sizeof(struct posix_acl_xattr_entry));
	if (le32toh(head.a_version) != POSIX_ACL_XATTR_VERSION)
		return -EIO;
	if (n > max)
		return -ERANGE;
	for (unsigned i = 0; i < n; i++) {
		struct posix_acl_xattr_entry x;
		memcpy(&x, buf + sizeof head + i * sizeof x, sizeof x);
		e[i] = (struct fs_ace){ le16toh(x.e_tag), le16toh(x.e_perm), le32toh(x.e_id) };
	}
	return (int)n;
}

/* With BUF of SIZE bytes to read to. */
static int
acl_read(struct inode *inode, enum fs_acl_kind kind, uint8_t *buf, size_t size, struct fs_ace *e, unsigned max)
{
	char path[32];
	ssize_t n = getxattr(fd_path(path, inode), names[kind], buf, size);
	if (n < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
	return n == 0 ? 0 : take_apart(buf, (size_t)n, e, max);
}

int
fs_acl_get(struct inode *inode, enum fs_acl_kind kind, struct fs_ace *e, unsigned max)
{
	if (!fs_acl_supported(inode) || (kind == FS_ACL_DEFAULT && !S_ISDIR(inode->type)))
		return 0;
	CLEANUP_FREE uint8_t *buf = malloc(ACL_BYTES);
	return buf ? acl_read(inode, kind, buf, ACL_BYTES, e, max) : -ENOMEM;
}

int
posix_acl_set(struct inode *inode, enum fs_acl_kind kind, const struct fs_acl *acl)
{
	char path[32];
	fd_path(path, inode);
	if (!acl->n)
		return removexattr(path, names[kind]) < 0 && errno != ENODATA ? -errno : 0;
	if (acl->n > FS_ACL_MAX)
		return -EFBIG;
	CLEANUP_FREE uint8_t *buf = malloc(ACL_BYTES);
	if (!buf)
		return -ENOMEM;
	struct posix_acl_xattr_header head = { htole32(POSIX_ACL_XATTR_VERSION) };
	memcpy(buf, &head, sizeof head);
	size_t len = sizeof head;
	for (unsigned i = 0; i < acl->n; i++, len += sizeof(struct posix_acl_xattr_entry)) {
		const struct fs_ace *e = &acl->e[i];
		struct posix_acl_xattr_entry x = { htole16(e->tag), htole16(e->perm), htole32(e->id) };
		memcpy(buf + len, &x, sizeof x);
	}
	if (setxattr(path, names[kind], buf, len, 0) < 0)
		return errno == E2BIG || errno == ERANGE ? -EFBIG : -errno;
	return 0;
}

/* ---- permission ---- */

/* POSIX.1e 23.1.5, as the kernel has it in posix_acl_permission(): one entry must grant all of WANT. */
static bool
acl_grants(const struct fs_ace *e, unsigned n, const struct fs_stat *st, const struct fs_cred *cred, unsigned want)
{
	const struct fs_ace *fits = NULL, *mask = NULL;
	bool member = false;
	for (const struct fs_ace *end = e + n; e < end; e++) {
		switch (e->tag) {
		case FS_ACE_USER:
			if (!fits && e->id == cred->uid)
				fits = e;
			break;
		case FS_ACE_GROUP_OBJ:
		case FS_ACE_GROUP:
			if (fits || !posix_in_group(cred, e->tag == FS_ACE_GROUP ? e->id : st->stx.stx_gid))
				break;
			member = true;
			if ((e->perm & want) == want)
				fits = e;
			break;
		case FS_ACE_MASK:
			mask = e;
			break;
		case FS_ACE_OTHER:
			if (!fits)
				return !member && (e->perm & want) == want;
			break;
		default:	/* the owner's: seen to before */
			break;
		}
	}
	return fits && (fits->perm & want & (mask ? mask->perm : ~0u)) == want;
}

/* Will any change after now have another ctime than C, which the file has? */
static bool
ctime_settled(const struct inode_private *p, uint64_t c)
{
	struct timespec now;
	if (p->fse->fine_ctime)
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	return now_ns > c && now_ns - c > COARSE;
}

/* Its ACL: 1 and *granted, 0 if it has none, or -errno. */
static int
acl_check(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, unsigned want, bool nowait,
    bool *granted)
{
	struct inode_private *p = inode->priv;
	uint64_t c = change_ctime(&st->stx);
	if (atomic_load(&p->acl_none) == c)
		return 0;
	/* The first look may have to read the inode's attributes from the disk; then they are in the kernel's cache. */
	if (nowait && !atomic_load(&p->acl_seen))
		return -EAGAIN;
	struct fs_ace few[FEW], *e = few;
	uint8_t buf[sizeof(struct posix_acl_xattr_header) + FEW * sizeof(struct posix_acl_xattr_entry)];
	CLEANUP_FREE struct fs_ace *many = NULL;
	bool settled = ctime_settled(p, c);
	int n = acl_read(inode, FS_ACL_ACCESS, buf, sizeof buf, e, FEW);
	if (n == -ERANGE) {
		e = many = calloc(FS_ACL_MAX, sizeof *many);
		n = many ? fs_acl_get(inode, FS_ACL_ACCESS, many, FS_ACL_MAX) : -ENOMEM;
	}
	if (n < 0)
		return n;
	atomic_store(&p->acl_seen, true);
	if (n == 0) {
		if (settled)
			atomic_store(&p->acl_none, c);
		return 0;
	}
	*granted = acl_grants(e, (unsigned)n, st, cred, want);
	return 1;
}

/*
 * The first class that fits decides, even if a later one would grant more (POSIX 4.5).  The owner's rights are the mode's with an ACL, too; and as the kernel
 * has it, an ACL whose mask (the mode's bits for the group) is empty is not looked at.
 */
int
fs_permits(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, unsigned want, bool nowait)
{
	mode_t mode = st->stx.stx_mode;
	unsigned granted;
	bool by_acl = false;
	if (cred->uid == 0) {
		granted = R_OK | W_OK | (S_ISDIR(mode) || (mode & 0111) ? X_OK : 0);
	} else if (cred->uid == st->stx.stx_uid) {
		granted = mode >> 6 & 7;
	} else {
		int found = (mode & S_IRWXG) && fs_acl_supported(inode) ?
		    acl_check(inode, st, cred, want, nowait, &by_acl) : 0;
		if (found)
			return found < 0 ? found : by_acl ? 0 : -EACCES;
		granted = posix_in_group(cred, st->stx.stx_gid) ? mode >> 3 & 7 : mode & 7;
	}
	return (granted & want) == want ? 0 : -EACCES;
}
