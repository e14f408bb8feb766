/* Which files may have layouts, and what a grant to write does to a file: the same for all providers.  plain.c, kernel.c. */
#ifndef PNFS_SERVER_EXPORT_FILE_RULES_H
#define PNFS_SERVER_EXPORT_FILE_RULES_H

#include <stdbool.h>

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
/* A write strips suid, sgid and file capabilities: so does a grant to write. */
int file_rules_strip(int fd, const struct statx *stx);

#endif
