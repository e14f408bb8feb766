/* pnfs cat, get, put. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/tools/tool.h"
#include "include/cleanup.h"

static int
copy_failed(const struct tool *tool, const char *what, int err, uint64_t at)
{
	char where[4200];
	snprintf(where, sizeof where, "%s at byte %llu", what, (unsigned long long)at);
	int status = tool_fail(where, err);
	if (!tool->json)
		tool_print_fallbacks(tool);
	return status;
}

/* Read FILE into FD; an exit status. */
static int
fetch_file(struct tool *tool, struct pnfs_file *file, const char *name, int fd)
{
	struct stat st;
	uint64_t at = 0;
	int err = pnfs_fstat(file, &st);
	if (err)
		return tool_fail(name, err);
	tool->bytes = (uint64_t)st.st_size;
	progress_start(tool, name, tool->bytes);
	err = pipe_copy(file, fd, tool->bytes, false, &at);
	progress_end();
	tool_note_fallbacks(tool, file);
	if (err)
		return copy_failed(tool, name, err, at);
	if (tool->json)
		tool_note_extents(tool, file, 0, UINT64_MAX, tool->bytes);
	return EXIT_DONE;
}

/* Copy URL to standard output, or to the local file PATH - which is not touched before the other one is open. */
static int
fetch(struct tool *tool, const char *url, const char *path)
{
	struct pnfs *mount;
	struct pnfs_file *file;
	char *name;
	int err = tool_mount(tool, url, &mount, &name);
	if (err)
		return tool_fail_mount(url, err);
	int status = EXIT_ERROR;
	CLEANUP_CLOSE int fd = -1;
	err = pnfs_open(mount, name, O_RDONLY, 0, &file);
	if (err) {
		status = tool_fail(url, err);
	} else {
		if (path && (fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
			tool_complain("%s: %s", path, strerror(errno));
		else
			status = fetch_file(tool, file, name, path ? fd : STDOUT_FILENO);
		if (status == EXIT_DONE && path && fsync(fd) && errno != EINVAL && errno != EROFS) {	/* a pipe has none */
			tool_complain("%s: %s", path, strerror(errno));
			status = EXIT_ERROR;
		}
		err = pnfs_close(file);
		if (status == EXIT_DONE)
			status = err ? tool_fail(url, err) : tool_report(tool, mount);
	}
	pnfs_unmount(mount);
	free(name);
	return status;
}

int
cmd_cat(struct tool *tool, int argc, char **argv)
{
	(void)argc;
	if (tool->json) {
		tool_complain("cat and --json both want standard output");
		return EXIT_USAGE;
	}
	tool->quiet = true;
	return fetch(tool, argv[0], NULL);
}

int
cmd_get(struct tool *tool, int argc, char **argv)
{
	(void)argc;
	return fetch(tool, argv[0], argv[1]);
}

/*
 * The size is set first: a server whose layouts end with the last whole block of
 * a file (provider plain) can then grant all of it, and no whole block needs an
 * NFS WRITE.
 */
static int
store_file(struct tool *tool, struct pnfs_file *file, int fd, const char *name)
{
	uint64_t at = 0;
	int err = pnfs_ftruncate(file, tool->bytes);
	if (err)
		return tool_fail(name, err);
	progress_start(tool, name, tool->bytes);
	err = pipe_copy(file, fd, tool->bytes, true, &at);
	progress_end();
	tool_note_fallbacks(tool, file);
	if (err)
		return copy_failed(tool, name, err, at);
	err = pnfs_fsync(file);
	if (err)
		return tool_fail(name, err);
	if (tool->json)
		tool_note_extents(tool, file, 0, UINT64_MAX, tool->bytes);
	return EXIT_DONE;
}

int
cmd_put(struct tool *tool, int argc, char **argv)
{
	(void)argc;
	const char *url = argv[1];
	struct stat st;
	struct pnfs *mount;
	struct pnfs_file *file;
	char *name;
	CLEANUP_CLOSE int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		tool_complain("%s: %s", argv[0], fd < 0 ? strerror(errno) : "not a regular file");
		return EXIT_ERROR;
	}
	tool->bytes = (uint64_t)st.st_size;
	int err = tool_mount(tool, url, &mount, &name);
	if (err)
		return tool_fail_mount(url, err);
	int status;
	err = pnfs_open(mount, name, O_RDWR | O_CREAT | O_TRUNC, st.st_mode & 0777, &file);
	if (err) {
		status = tool_fail(url, err);
	} else {
		status = store_file(tool, file, fd, name);
		err = pnfs_close(file);
		if (status == EXIT_DONE)
			status = err ? tool_fail(url, err) : tool_report(tool, mount);
	}
	pnfs_unmount(mount);
	free(name);
	return status;
}
