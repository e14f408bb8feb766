/* pnfs ls, stat, map. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/tools/tool.h"

static const char *
type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "directory";
	case S_IFLNK: return "symlink";
	case S_IFBLK: return "block";
	case S_IFCHR: return "character";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	default: return "?";
	}
}

static double
seconds(struct timespec ts)
{
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static json_t *
stat_json(const char *name, const struct stat *st)
{
	return json_pack("{s:s,s:s,s:I,s:i,s:i,s:I,s:I,s:I,s:f,s:f}", "name", name,
	    "type", type_name(st->st_mode), "size", (json_int_t)st->st_size, "mode", (int)(st->st_mode & 07777),
	    "nlink", (int)st->st_nlink, "uid", (json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid,
	    "fileid", (json_int_t)st->st_ino, "mtime", seconds(st->st_mtim), "ctime", seconds(st->st_ctim));
}

/* As ls -l has it; control characters of a name are not for the terminal. */
static void
stat_line(const char *name, const struct stat *st)
{
	static const char letters[] = "?pc?d?b?-?l?s???";
	char when[32], mode[11];
	struct tm tm;
	mode[0] = letters[(st->st_mode & S_IFMT) >> 12];
	for (int i = 0; i < 9; i++)
		mode[1 + i] = st->st_mode & (0400u >> i) ? "rwxrwxrwx"[i] : '-';
	mode[10] = 0;
	localtime_r(&st->st_mtim.tv_sec, &tm);
	strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s %3u %5u %5u %12" PRIu64 " %s ", mode, (unsigned)st->st_nlink, st->st_uid, st->st_gid,
	    (uint64_t)st->st_size, when);
	for (const char *p = name; *p; p++)
		putchar((unsigned char)*p < ' ' || *p == 127 ? '?' : *p);
	putchar('\n');
}

static void
print_json(const json_t *out)
{
	json_dumpf(out, stdout, JSON_INDENT(1));
	putchar('\n');
}

static int
list_entry(const struct pnfs_dirent *ent, void *arg)
{
	json_t *list = arg;
	if (list)	/* a name that is not UTF-8 cannot be in JSON */
		return json_array_append_new(list, stat_json(ent->name, &ent->st)) ? -EILSEQ : 0;
	stat_line(ent->name, &ent->st);
	return 0;
}

/* ls and stat: attributes of a name, or of what is in the directory. */
static int
show(struct tool *tool, const char *url, bool into_directory)
{
	struct pnfs *mount;
	char *name;
	struct stat st;
	int err = tool_mount(tool, url, &mount, &name);
	if (err)
		return tool_fail_mount(url, err);
	json_t *list = tool->json ? json_array() : NULL;
	err = pnfs_stat(mount, name, &st);
	if (!err && into_directory && S_ISDIR(st.st_mode)) {
		err = pnfs_list(mount, name, list_entry, list);
	} else if (!err) {
		struct pnfs_dirent ent = { .name = name, .st = st };
		err = list_entry(&ent, list);
	}
	int status = err ? tool_fail(url, err) : EXIT_DONE;
	if (!err && list) {
		print_json(into_directory ? list : json_array_get(list, 0));
		tool->reported = true;
	}
	json_decref(list);
	pnfs_unmount(mount);
	free(name);
	return status;
}

int
cmd_ls(struct tool *tool, int argc, char **argv)
{
	(void)argc;
	return show(tool, argv[0], true);
}

int
cmd_stat(struct tool *tool, int argc, char **argv)
{
	(void)argc;
	return show(tool, argv[0], false);
}

static bool
parse_bytes(const char *arg, uint64_t *out)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || *arg == '-') {
		tool_complain("'%s' is not a number of bytes", arg);
		return false;
	}
	*out = v;
	return true;
}

static json_int_t
get(const json_t *e, const char *key)
{
	return json_integer_value(json_object_get(e, key));
}

static void
print_extents(const json_t *extents)
{
	size_t i;
	json_t *e;
	printf("%16s %16s %-10s %16s %s\n", "offset", "length", "state", "device offset", "device");
	json_array_foreach(extents, i, e) {
		const char *device = json_string_value(json_object_get(e, "device"));
		printf("%16" JSON_INTEGER_FORMAT " %16" JSON_INTEGER_FORMAT " %-10s ", get(e, "offset"),
		    get(e, "length"), json_string_value(json_object_get(e, "state")));
		if (device)
			printf("%16" JSON_INTEGER_FORMAT " %s\n", get(e, "device_offset"), device);
		else
			printf("%16s -\n", "-");
	}
}

static int
map_file(struct tool *tool, struct pnfs *mount, const char *name, uint64_t offset, uint64_t length)
{
	struct pnfs_file *file;
	struct stat st;
	int err = pnfs_open(mount, name, O_RDONLY, 0, &file);
	if (err)
		return err;
	err = pnfs_fstat(file, &st);
	if (!err) {
		tool->bytes = (uint64_t)st.st_size;
		err = tool_note_extents(tool, file, offset, length, tool->bytes);
	}
	pnfs_close(file);
	return err;
}

int
cmd_map(struct tool *tool, int argc, char **argv)
{
	struct pnfs *mount;
	char *name;
	uint64_t offset = 0, length = UINT64_MAX;
	if ((argc > 1 && !parse_bytes(argv[1], &offset)) || (argc > 2 && !parse_bytes(argv[2], &length)))
		return EXIT_USAGE;
	int err = tool_mount(tool, argv[0], &mount, &name);
	if (err)
		return tool_fail_mount(argv[0], err);
	int status = EXIT_DONE;
	err = map_file(tool, mount, name, offset, length);
	if (err)
		status = tool_fail(argv[0], err);
	else if (tool->json)
		status = tool_report(tool, mount);
	else
		print_extents(tool->extents);
	pnfs_unmount(mount);
	free(name);
	return status;
}
