/*
 * File data through the metadata server: READ, WRITE, COMMIT (RFC 8881 18.22, 18.32, 18.3).
 *
 * WRITEs answered UNSTABLE4 are kept until COMMIT says with the same verifier that they are durable; after a restart of the server they are sent again.
 * Service thread.
 */
#ifndef PNFS_CLIENT_MDSIO_H
#define PNFS_CLIENT_MDSIO_H

#include "client/file.h"

/* Done with the count (short at the end of the file) or -errno. */
typedef void mdsio_fn(void *arg, ssize_t result);

void mdsio_read(struct pnfs_file *file, void *buf, uint64_t offset, size_t len, mdsio_fn *done, void *arg);
void mdsio_write(struct pnfs_file *file, const void *buf, uint64_t offset, size_t len, mdsio_fn *done, void *arg);

/* What was written and answered before is durable. */
void mdsio_commit(struct node *node, done_fn *done, void *arg);

#endif
