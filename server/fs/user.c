/*
 * Creating as the user: owner, group, default ACL, sgid directories and quota then
 * come out as the kernel has them.  Called by posix_modify.c around the one system call.
 *
 * The identity is the thread's own (setfsuid(2); setgroups by the raw system call, since glibc's
 * changes all threads).
 */
#include "server/fs/fs_private.h"

#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

#include "include/log.h"

static int
thread_setgroups(int n, const gid_t *groups)
{
#ifdef SYS_setgroups32
	return (int)syscall(SYS_setgroups32, (long)n, groups);
#else
	return (int)syscall(SYS_setgroups, (long)n, groups);
#endif
}

/* setfs?id report no errors: ask what holds now, with an id that cannot be set. */
static bool
is_now(uid_t uid, gid_t gid)
{
	return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid;
}

static bool
is_ourselves(const struct fs_cred *cred)
{
	return cred->uid == 0 && cred->gid == 0 && cred->ngids == 0;
}

int
user_enter(struct fs *fs, const struct fs_cred *cred)
{
	if (is_ourselves(cred))
		return 0;
	if (cred->uid == (uid_t)-1 || cred->gid == (gid_t)-1)
		return -EINVAL;
	if (thread_setgroups((int)cred->ngids, cred->gids) < 0)
		return -errno;
	setfsgid(cred->gid);
	setfsuid(cred->uid);
	if (is_now(cred->uid, cred->gid))
		return 0;
	user_leave(fs, cred);
	return -EPERM;
}

/* A thread that cannot become itself again would serve everybody as this user: our own invariant, which no peer can break. */
void
user_leave(struct fs *fs, const struct fs_cred *cred)
{
	if (is_ourselves(cred))
		return;
	int saved = errno;
	setfsuid(geteuid());
	setfsgid(getegid());
	if (thread_setgroups(fs->ngroups, fs->groups) < 0 || !is_now(geteuid(), getegid())) {
		log_error("cannot switch back from uid %u: %s", (unsigned)cred->uid, strerror(errno));
		abort();
	}
	errno = saved;
}
