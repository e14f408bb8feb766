/* The file system side of opening an export; export/export.c calls it and adds device and provider. */
#ifndef PNFS_SERVER_FS_DESCRIBE_H
#define PNFS_SERVER_FS_DESCRIBE_H

struct export;

/*
 * Open the directory of export->line->path and fill root_fd, mount_fd, mount_id, dev, uuid, is_xfs, readonly,
 * block_size and id.  0, or -errno with *error (malloc'd) in the administrator's terms; nothing stays open then.
 */
int fs_export_describe(struct export *export, char **error);

/* Close what fs_export_describe() opened. */
void fs_export_close(struct export *export);

#endif
