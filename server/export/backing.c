/* The block device under a file system; see backing.h. */
#include "server/export/backing.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "include/cleanup.h"

/* The text of DIR/NAME without white space at its end; false if it is not there. */
static bool
attr_read(int dir, const char *name, char *buf, size_t size)
{
	CLEANUP_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		return false;
	while (n > 0 && isspace((unsigned char)buf[n - 1]))
		n--;
	buf[n] = 0;
	return true;
}

static uint64_t
attr_number(int dir, const char *name)
{
	char buf[32];
	return attr_read(dir, name, buf, sizeof buf) ? strtoull(buf, NULL, 10) : 0;
}

static bool
attr_exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

/* Whole disks whose sectors are what they seem. */
static bool
disk_known(const char *name)
{
	static const char *const disks[] = { "loop", "sd", "vd", "xvd", "nvme", "ubd", "nbd", "mmcblk", "pmem" };
	for (unsigned i = 0; i < sizeof disks / sizeof disks[0]; i++)
		if (strncmp(name, disks[i], strlen(disks[i])) == 0)
			return true;
	return false;
}

static int
refuse(struct backing *backing, const char *what)
{
	snprintf(backing->why, sizeof backing->why, "%s: %s", backing->name, what);
	return -ENOTSUP;
}

int
backing_look(const char *sysfs, dev_t dev, struct backing *backing)
{
	char path[PATH_MAX];
	memset(backing, 0, sizeof *backing);
	snprintf(path, sizeof path, "%s/dev/block/%u:%u", sysfs, major(dev), minor(dev));
	CLEANUP_FREE char *real = realpath(path, NULL);
	if (!real) {
		snprintf(backing->why, sizeof backing->why, "%u:%u is no block device", major(dev), minor(dev));
		return -errno;
	}
	snprintf(backing->name, sizeof backing->name, "%s", strrchr(real, '/') + 1);
	CLEANUP_CLOSE int dir = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	backing->size = attr_number(dir, "size") * 512;
	if (attr_exists(dir, "partition"))
		return refuse(backing, "a partition: use the whole disk");
	if (attr_exists(dir, "dm"))
		return refuse(backing, "a device-mapper device: its mapping is not understood");
	if (!disk_known(backing->name))
		return refuse(backing, "not a kind of disk whose mapping is understood");
	if (!attr_read(dir, "device/wwid", backing->wwid, sizeof backing->wwid))
		attr_read(dir, "wwid", backing->wwid, sizeof backing->wwid);
	backing->loop = attr_exists(dir, "loop");
	if (backing->loop) {
		char dio[8] = "";
		if (attr_number(dir, "loop/offset"))
			return refuse(backing, "a loop device with an offset");
		attr_read(dir, "loop/dio", dio, sizeof dio);
		backing->loop_direct = dio[0] == '1';
	}
	return 0;
}
