/* See xfs_fixture.h. */
#include "tests/unit/xfs_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_BYTES (512ll << 20)

static struct xfs_fixture *ours;
static pid_t maker;

static void __attribute__((noreturn))
skip(const char *why)
{
	fprintf(stderr, "skipped: %s\n", why);
	exit(77);
}

static int __attribute__((format(printf, 1, 2)))
run(const char *fmt, ...)
{
	char command[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	return system(command);
}

static void
at_exit(void)
{
	if (ours && getpid() == maker)
		xfs_fixture_remove(ours);
}

static void
loop_attach(struct xfs_fixture *f)
{
	char command[256];
	snprintf(command, sizeof command, "losetup -f --show %s", f->image);
	FILE *p = popen(command, "r");
	if (!p || !fgets(f->loop, sizeof f->loop, p)) {
		if (p)
			pclose(p);
		f->loop[0] = 0;
		skip("no loop device");
	}
	pclose(p);
	f->loop[strcspn(f->loop, "\n")] = 0;
}

void
xfs_fixture_make(struct xfs_fixture *f)
{
	if (geteuid() != 0)
		skip("needs root");
	memset(f, 0, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/pnfs-test-XXXXXX");
	if (!mkdtemp(f->dir))
		skip("no temporary directory");
	ours = f;
	maker = getpid();
	atexit(at_exit);
	snprintf(f->image, sizeof f->image, "%s/xfs.img", f->dir);
	snprintf(f->mnt, sizeof f->mnt, "%s/mnt", f->dir);
	int fd = open(f->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, IMAGE_BYTES) < 0 || mkdir(f->mnt, 0755) < 0)
		skip("no room for an image");
	close(fd);
	if (run("mkfs.xfs -q %s >/dev/null 2>&1", f->image) != 0)
		skip("no mkfs.xfs");
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip("no mount namespace");
	loop_attach(f);
	if (mount(f->loop, f->mnt, "xfs", 0, NULL) < 0)
		skip("cannot mount XFS");
	chmod(f->mnt, 01777);
}

void
xfs_fixture_remount(struct xfs_fixture *f)
{
	if (umount(f->mnt) < 0 || mount(f->loop, f->mnt, "xfs", 0, NULL) < 0) {
		perror("remount");
		exit(1);
	}
}

void
xfs_fixture_remove(struct xfs_fixture *f)
{
	ours = NULL;
	if (*f->mnt)
		umount2(f->mnt, MNT_DETACH);
	if (*f->loop)
		run("losetup -d %s", f->loop);
	if (*f->dir)
		run("rm -rf --one-file-system %s", f->dir);
}
