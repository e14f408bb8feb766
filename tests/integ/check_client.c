/*
 * For test_client.sh: writes through libpnfs with 16 requests under way while the script makes trouble.
 *
 *	check_client write URL FILE MiB PASSES PAUSE_MS	MiB number i holds the letter 'A' + i % 16
 *	check_client map URL FILE			pnfs_map, until it is revoked
 *	check_client hole URL FILE			holes that were read, then written through the server, then read
 *	check_client chain URL FILE			reads of a hole, each from the callback of the one before; close with writes under way
 *
 * The LUN is in $DEV.  Prints "ready" when the trouble may start, and its counters at the end as key=value.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pnfs/pnfs.h"

#define DEPTH 16
#define MIB (1u << 20)

static sem_t done, revoked;
static int errors;

static void
io_done(struct pnfs_io *io)
{
	errors += io->result != (ssize_t)io->len;
	sem_post(&done);
}

static void
say(struct pnfs *m)
{
	struct pnfs_stats s;
	pnfs_get_stats(m, &s);
	printf("errors=%d direct_write=%llu mds_write=%llu layoutget=%llu recalls=%llu reconnects=%llu recoveries=%llu\n", errors,
	    (unsigned long long)s.direct_write, (unsigned long long)s.mds_write, (unsigned long long)s.layoutget,
	    (unsigned long long)s.recalls, (unsigned long long)s.reconnects, (unsigned long long)s.recoveries);
}

static int
do_write(struct pnfs *m, struct pnfs_file *f, char **argv)
{
	unsigned mib = (unsigned)atoi(argv[0]), passes = (unsigned)atoi(argv[1]), pause = (unsigned)atoi(argv[2]);
	struct pnfs_io io[DEPTH];
	char *buf = aligned_alloc(4096, (size_t)DEPTH * MIB);
	int err = !buf || pnfs_ftruncate(f, (uint64_t)mib * MIB);
	for (unsigned i = 0; buf && i < DEPTH; i++)
		memset(buf + (size_t)i * MIB, 'A' + (int)i, MIB);
	puts("ready");
	for (unsigned p = 0; !err && p < passes; p++)
		for (unsigned at = 0; at < mib; at += DEPTH) {
			for (unsigned i = 0; i < DEPTH; i++) {
				io[i] = (struct pnfs_io){ .file = f, .op = PNFS_IO_WRITE, .buf = buf + (size_t)i * MIB, .len = MIB,
					.offset = (uint64_t)(at + i) * MIB, .done = io_done };
				pnfs_submit(&io[i]);
			}
			for (unsigned i = 0; i < DEPTH; i++)
				sem_wait(&done);
			usleep(pause * 1000);
		}
	err = err ? err : pnfs_fsync(f);
	if (err)
		printf("fsync: %s\n", pnfs_error());
	say(m);
	free(buf);
	return err || errors;
}

static void
on_revoke(struct pnfs_map *map, uint64_t offset, uint64_t length, bool lost, double deadline, void *arg)
{
	(void)arg;
	printf("revoked offset=%llu length=%llu lost=%d deadline=%.0f release=%d\n", (unsigned long long)offset,
	    (unsigned long long)length, lost, deadline, pnfs_map_release(map));
	sem_post(&revoked);
}

static int
do_map(struct pnfs *m, struct pnfs_file *f)
{
	struct pnfs_map *map;
	const struct pnfs_extent *ext;
	int err = pnfs_ftruncate(f, 8 * MIB);
	err = err ? err : pnfs_map(f, 0, 4 * MIB, true, on_revoke, NULL, &map);
	if (err) {
		printf("map: %s\n", pnfs_error());
		return 1;
	}
	size_t n = pnfs_map_extents(map, &ext);
	uint64_t at = 0;
	for (size_t i = 0; i < n; i++) {
		errors += ext[i].offset != at || !ext[i].device || ext[i].state != PNFS_EXTENT_READ_WRITE;
		at += ext[i].length;
	}
	errors += at != 4 * MIB || !pnfs_map_valid(map) || pnfs_map_commit(map, 0, MIB);
	puts("ready");
	sem_wait(&revoked);
	errors += pnfs_map_valid(map) || pnfs_map_commit(map, MIB, MIB) || pnfs_map_release(map);
	say(m);
	return errors;
}

static void
chain_done(struct pnfs_io *io)
{
	errors += io->result != (ssize_t)io->len || ((char *)io->buf)[0];
	io->offset += io->len;
	if (io->offset < 64 * MIB)
		pnfs_submit(io);
	else
		sem_post(&done);
}

/* The caller closes F with the writes still under way. */
static int
do_chain(struct pnfs *m, struct pnfs_file *f)
{
	static char buf[DEPTH * 4096] __attribute__((aligned(4096)));
	static struct pnfs_io io[DEPTH];
	int err = pnfs_ftruncate(f, 64 * MIB);
	io[0] = (struct pnfs_io){ .file = f, .op = PNFS_IO_READ, .buf = buf, .len = 4096, .done = chain_done };
	pnfs_submit(&io[0]);
	sem_wait(&done);
	say(m);
	puts("ready");
	for (unsigned i = 0; i < DEPTH; i++) {
		io[i] = (struct pnfs_io){ .file = f, .op = PNFS_IO_WRITE, .buf = buf + i * 4096, .len = 4096, .offset = (uint64_t)i * MIB, .done = io_done };
		pnfs_submit(&io[i]);
	}
	return err;
}

/* A hole that was read under a READ layout is filled through the server: the next read has to see it. */
static int
do_hole(struct pnfs *m, struct pnfs_file *f)
{
	static const struct { uint64_t offset; size_t len; } writes[] = { { 9000, 100 }, { 995328, 4672 }, { 300001, 8192 } };
	static char data[8192], got[8192];
	int err = pnfs_ftruncate(f, 1000000);
	memset(data, 'x', sizeof data);
	for (unsigned i = 0; i < 3; i++) {
		ssize_t len = (ssize_t)writes[i].len;
		err |= pnfs_pread(f, got, writes[i].len, writes[i].offset) != len || got[0];
		err |= pnfs_pwrite(f, data, writes[i].len, writes[i].offset) != len;
		err |= pnfs_pread(f, got, writes[i].len, writes[i].offset) != len || memcmp(got, data, writes[i].len);
	}
	say(m);
	puts("ready");
	return err;
}

int
main(int argc, char **argv)
{
	const char *devices[] = { getenv("DEV"), NULL };
	struct pnfs_options options = { .devices = devices };
	struct pnfs *m;
	struct pnfs_file *f;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sem_init(&done, 0, 0);
	sem_init(&revoked, 0, 0);
	if (argc < 4 || (argc != 7 && !strcmp(argv[1], "write")))
		return 2;
	if (pnfs_mount(argv[2], &options, &m) || pnfs_open(m, argv[3], O_RDWR | O_CREAT, 0644, &f)) {
		printf("%s\n", pnfs_error());
		return 1;
	}
	int err = !strcmp(argv[1], "write") ? do_write(m, f, argv + 4) :
	    !strcmp(argv[1], "chain") ? do_chain(m, f) :
	    !strcmp(argv[1], "hole") ? do_hole(m, f) : do_map(m, f);
	err |= pnfs_close(f) != 0;
	if (!strcmp(argv[1], "chain")) {
		int ended;
		sem_getvalue(&done, &ended);
		err |= ended != DEPTH || errors;
	}
	pnfs_unmount(m);
	return err;
}
