/* Parts of check_export: one world (MNT, the devices) for maps, leases and fences. */
#ifndef PNFS_TESTS_INTEG_EXPORT_H
#define PNFS_TESTS_INTEG_EXPORT_H

#include "server/export/export.h"
#include "server/fence/iscsi_nexus.h"
#include "server/fs/fs.h"
#include "server/layout/device.h"
#include "server/mds.h"
#include "tests/integ/integ.h"

#define MIB (UINT64_C(1) << 20)
#define BS 4096u
#define MAP_MAX 4096u

extern struct mds server;
extern const char *mnt;
extern bool kernel;			/* provider kernel is looked at, else plain */
extern struct iomap map[MAP_MAX];	/* of the map asked for last */

/* ---- main.c ---- */

/* MNT as an export with this device, layout type and provider; dies if there is none at all. */
struct export *open_export(const char *device, uint32_t type, const char *provider);
/* It is refused layouts for REASON, and nothing of them is left in it; or has them (REASON_NONE). */
void expect_reason(const char *device, uint32_t type, const char *provider, enum reason reason);
/* A host at the LUN, by its initiator name. */
struct nexus *client_login(const char *name);
/* A file of the export through fs/: referenced. */
struct inode *inode_of(const char *name);
/* The byte that stands at OFFSET of a test file. */
uint8_t pattern(uint64_t offset, unsigned seed);
void fill(int fd, uint64_t offset, uint64_t length, unsigned seed);
/* A new file below MNT, open locally. */
int create(const char *name);
/* Into map[], under the inode's lock. */
int map_locked(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write, unsigned max, enum reason *why);
/* The lease, or NULL if that is what is wanted. */
struct layout_lease *lease_of(struct inode *inode, int want, enum reason want_why);

/* ---- maps.c ---- */
void check_random(struct export *export, unsigned seed);
void check_unwritten(struct export *export);
void check_write(struct nexus *client);
/* Provider kernel only: behind EOF. */
void check_append(struct nexus *client);
void measure(void);

/* ---- leases.c ---- */
void check_refused(void);
void check_break(void);
void check_overflow(void);
int break_time(void);
/* For export_on_break. */
void on_break(struct mds *mds, struct inode *inode);

/* ---- fences.c ---- */
void check_scsi(void);

#endif
