/* Which files may have layouts, and what a grant to write does to a file: the same for all providers.  plain.c, kernel.c. */
#ifndef PNFS_SERVER_EXPORT_FILE_RULES_H
#define PNFS_SERVER_EXPORT_FILE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "include/reason.h"

struct export;
struct inode;
struct statx;

/* Can exports like this have layouts at all (XFS, writable)?  0, or -ENOTSUP with export->reason. */
int file_rules_export(struct export *export);
/* May the blocks of this file (open as FD) be handed out?  -ENOTSUP with *why; other -errno. */
int file_rules_check(const struct inode *inode, int fd, enum reason *why);
/*
 * No space: XFS may hold some behind the ends of files that are being written.  The kernel looks for it itself, but not at files with dirty pages; as
 * NOSPC is final for clients (PITFALLS A32), those give it back, too.  True: try once more.
 */
bool file_rules_make_room(int fd);
/*
 * Blocks behind the end that XFS has ready after a write it takes back when somebody closes the file, layouts or not (seen with 6.1; nfsd hands them out as they are),
 * and a commit then allocates others, which nobody has written (PITFALLS A40).  Those that were asked for stay: the inode says so (FS_XFLAG_PREALLOC).
 * Does it?  1, 0, -errno.
 */
int file_rules_end_stays(int fd);
/* If there are any: ask for them.  Before there is a layout, as fallocate() waits for it.  0 or -errno. */
int file_rules_keep_end(int fd, uint32_t block_size);
/* A write strips suid, sgid and file capabilities: so does a grant to write. */
int file_rules_strip(int fd, const struct statx *stx);

#endif
