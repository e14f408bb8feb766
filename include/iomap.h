/* One extent of a file on its device: what providers give and layouts carry.  Bytes. */
#ifndef PNFS_IOMAP_H
#define PNFS_IOMAP_H

#include <stdint.h>

enum iomap_type { IOMAP_HOLE, IOMAP_UNWRITTEN, IOMAP_MAPPED };

struct iomap {
	uint64_t offset, length;	/* in the file */
	uint64_t addr;			/* on the export's device; 0 for a hole */
	enum iomap_type type;
};

#endif
