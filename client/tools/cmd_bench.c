/*
 * pnfs bench: a file by libpnfs beside the same blocks on the raw LUN, in turn, so that noise falls on both alike.
 * The file's contents are overwritten.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tools/bench_load.h"
#include "client/tools/tool.h"

#define MAX_PAIRS 100u

static const struct cell {
	const char *name;
	struct load load;
} cells[] = {
	{ "read 1M seq d1", { .sequential = true, .size = 1 << 20, .depth = 1, .ops = 48 } },
	{ "read 1M seq d32", { .sequential = true, .size = 1 << 20, .depth = 32, .ops = 96 } },
	{ "write 1M seq d1", { .write = true, .sequential = true, .size = 1 << 20, .depth = 1, .ops = 48 } },
	{ "write 1M seq d32", { .write = true, .sequential = true, .size = 1 << 20, .depth = 32, .ops = 96 } },
	{ "read 4K random d1", { .size = 4096, .depth = 1, .ops = 1200 } },
	{ "read 4K random d32", { .size = 4096, .depth = 32, .ops = 6000 } },
	{ "write 4K random d1", { .write = true, .size = 4096, .depth = 1, .ops = 1200 } },
	{ "write 4K random d32", { .write = true, .size = 4096, .depth = 32, .ops = 6000 } },
};
enum { NCELLS = sizeof cells / sizeof cells[0] };

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double
median(double *v, unsigned n)
{
	qsort(v, n, sizeof *v, by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Of the pairs of one cell. */
struct results {
	double direct[MAX_PAIRS], raw[MAX_PAIRS], ratio[MAX_PAIRS];	/* seconds, and raw / direct */
	double direct_cpu[MAX_PAIRS], raw_cpu[MAX_PAIRS];
};

static json_t *
cell_result(const struct cell *cell, struct results *r, unsigned pairs)
{
	double ops = cell->load.ops, bytes = ops * cell->load.size;
	double ratio = median(r->ratio, pairs);
	return json_pack("{s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:i}", "name", cell->name,
	    "direct_mb_s", bytes / median(r->direct, pairs) / 1e6, "raw_mb_s", bytes / median(r->raw, pairs) / 1e6,
	    "ratio", ratio, "ratio_min", r->ratio[0], "ratio_max", r->ratio[pairs - 1],
	    "direct_cpu_us", median(r->direct_cpu, pairs) / ops * 1e6, "raw_cpu_us", median(r->raw_cpu, pairs) / ops * 1e6,
	    "pairs", (int)pairs);
}

/* One kind of transfer, PAIRS times on both; the order within a pair changes with each. */
static int
run_cell(const struct cell *cell, struct pnfs_file *file, struct raw *raw, uint64_t span, unsigned pairs, json_t *out)
{
	struct results r = { 0 };
	struct load_cost direct, lun = { 0 };
	struct load load = cell->load;
	load.span = span - span % load.size;
	int err = load_file(&load, file, &direct);
	for (unsigned i = 0; i < pairs && !err; i++) {
		if (i % 2)
			err = load_raw(&load, raw, &lun);
		err = err ? err : load_file(&load, file, &direct);
		if (!err && i % 2 == 0)
			err = load_raw(&load, raw, &lun);
		r.direct[i] = direct.wall;
		r.direct_cpu[i] = direct.cpu;
		r.raw[i] = lun.wall;
		r.raw_cpu[i] = lun.cpu;
		r.ratio[i] = err ? 0 : lun.wall / direct.wall;
	}
	if (!err)
		json_array_append_new(out, cell_result(cell, &r, pairs));
	return err;
}

static int
run_cells(struct pnfs_file *file, struct pnfs_map *map, const char *initiator, uint64_t size, unsigned pairs, json_t *out)
{
	struct raw raw = { 0 };
	raw.nextents = pnfs_map_extents(map, &raw.extents);
	if (!raw.nextents || !raw.extents[0].device)
		return -EOPNOTSUPP;
	uint64_t span = raw.extents[0].length < size ? raw.extents[0].length : size;
	int err = span < 32u << 20 ? -EFBIG : raw_open(&raw, raw.extents[0].device, initiator);
	if (err == -EFBIG)
		tool_complain("bench: the first extent of the file is shorter than 32 MiB");
	for (unsigned i = 0; i < NCELLS && !err; i++)
		err = run_cell(&cells[i], file, &raw, span, pairs, out);
	raw_close(&raw);
	return err;
}

static int
bench_file(struct tool *tool, struct pnfs *mount, const char *name, unsigned pairs, json_t *out)
{
	struct pnfs_file *file;
	struct pnfs_map *map;
	struct stat st;
	int err = pnfs_open(mount, name, O_RDWR, 0, &file);
	if (err)
		return err;
	err = pnfs_fstat(file, &st);
	uint64_t size = err ? 0 : (uint64_t)st.st_size & ~(uint64_t)4095;
	if (!err)
		err = pnfs_map(file, 0, size, true, NULL, NULL, &map);
	if (!err) {
		err = run_cells(file, map, tool->options.initiator_name, size, pairs, out);
		pnfs_map_release(map);
	}
	int close_err = pnfs_close(file);
	return err ? err : close_err;
}

static void
print_table(const json_t *out)
{
	size_t i;
	json_t *c;
	printf("%-20s %12s %12s %7s %15s %20s\n", "", "direct MB/s", "raw MB/s", "ratio", "min .. max", "CPU us, direct raw");
	json_array_foreach(out, i, c)
		printf("%-20s %12.1f %12.1f %7.3f %6.3f .. %.3f %10.1f %8.1f\n", json_string_value(json_object_get(c, "name")),
		    json_real_value(json_object_get(c, "direct_mb_s")), json_real_value(json_object_get(c, "raw_mb_s")),
		    json_real_value(json_object_get(c, "ratio")), json_real_value(json_object_get(c, "ratio_min")),
		    json_real_value(json_object_get(c, "ratio_max")), json_real_value(json_object_get(c, "direct_cpu_us")),
		    json_real_value(json_object_get(c, "raw_cpu_us")));
}

int
cmd_bench(struct tool *tool, int argc, char **argv)
{
	struct pnfs *mount;
	char *name;
	unsigned long pairs = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;
	if (pairs < 1 || pairs > MAX_PAIRS) {
		tool_complain("bench: '%s' is not a number of pairs from 1 to %u", argv[1], MAX_PAIRS);
		return EXIT_USAGE;
	}
	tool->options.direct = PNFS_DIRECT_REQUIRE;
	int err = tool_mount(tool, argv[0], &mount, &name);
	if (err)
		return tool_fail_mount(argv[0], err);
	json_t *out = json_array();
	int status = EXIT_DONE;
	err = bench_file(tool, mount, name, (unsigned)pairs, out);
	if (err) {
		status = tool_fail(argv[0], err);
	} else if (tool->json) {
		tool->reported = true;
		json_dumpf(out, stdout, JSON_INDENT(1));
		putchar('\n');
	} else {
		print_table(out);
	}
	json_decref(out);
	pnfs_unmount(mount);
	free(name);
	return status;
}
