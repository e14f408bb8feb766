/* The pnfs command: what its subcommands share. */
#ifndef PNFS_CLIENT_TOOLS_TOOL_H
#define PNFS_CLIENT_TOOLS_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "pnfs/pnfs.h"

/* Exit statuses; scripts rely on them. */
enum { EXIT_DONE = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_NOT_DIRECT = 3, EXIT_DIRECT_IMPOSSIBLE = 4 };

struct tool {
	bool json, quiet;
	bool reported;			/* JSON is on stdout */
	struct pnfs_options options;
	const char **devices;
	unsigned ndevices;
	/* filled in while it runs */
	double started;
	uint64_t bytes;
	json_t *extents, *fallbacks;
};

struct command {
	const char *name, *args, *help;
	int min, max;			/* number of arguments */
	int (*run)(struct tool *tool, int argc, char **argv);
};

int cmd_ls(struct tool *tool, int argc, char **argv);
int cmd_stat(struct tool *tool, int argc, char **argv);
int cmd_cat(struct tool *tool, int argc, char **argv);
int cmd_get(struct tool *tool, int argc, char **argv);
int cmd_put(struct tool *tool, int argc, char **argv);
int cmd_map(struct tool *tool, int argc, char **argv);
int cmd_bench(struct tool *tool, int argc, char **argv);

/* Monotonic seconds. */
double tool_now(void);

/* "pnfs: TEXT" on stderr; kept for tool_report_failure(). */
void tool_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* An error in words on stderr; EXIT_ERROR, or EXIT_DIRECT_IMPOSSIBLE if ERR is that of --direct require. */
int tool_fail(const char *what, int err);
/* The same of tool_mount(): a wrong URL is EXIT_USAGE. */
int tool_fail_mount(const char *url, int err);
/* With --json there is an object on stdout in any case: "error" in words, "status", and what was noted. */
void tool_report_failure(const struct tool *tool, int status);
/* Why bytes did not go direct, on stderr. */
void tool_print_fallbacks(const struct tool *tool);

/*
 * Mount the directory of a file URL: "nfs://host/export/dir/file" becomes a
 * mount of ".../dir" and *name "file".  A URL that ends in "/" names the
 * directory itself: *name is ".".  *name is to be freed.
 */
int tool_mount(struct tool *tool, const char *url, struct pnfs **mount, char **name);

/* Keep the file's fallbacks for the report. */
void tool_note_fallbacks(struct tool *tool, struct pnfs_file *file);

/*
 * Keep what of FILE lies where, for the report: maps the blocks of
 * [offset, offset+length), cut at SIZE, for reading.  0 or -errno; what could be
 * mapped before is kept.
 */
int tool_note_extents(struct tool *tool, struct pnfs_file *file, uint64_t offset, uint64_t length, uint64_t size);

/*
 * What went where: JSON on stdout with --json, else a line and the fallbacks on
 * stderr.  Returns the exit status: EXIT_NOT_DIRECT if bytes went through the
 * MDS though --direct auto could have gone direct.
 */
int tool_report(struct tool *tool, struct pnfs *mount);

/* ---- progress.c: a bar on a terminal, nothing elsewhere ---- */
void progress_start(const struct tool *tool, const char *what, uint64_t total);
void progress_add(uint64_t bytes);
void progress_end(void);

/* ---- pipe.c: a file copied with several transfers under way ---- */

#define PIPE_CHUNK (1u << 20)
#define PIPE_DEPTH 16u

/*
 * Move [0, size) between FILE and FD: to FILE if PUT (FD is then a regular
 * file), else to FD, in order.  0 or -errno; *failed_at says where.
 */
int pipe_copy(struct pnfs_file *file, int fd, uint64_t size, bool put, uint64_t *failed_at);

#endif
