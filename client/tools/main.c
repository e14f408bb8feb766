/* pnfs: files on a shared XFS, straight on its LUN; see pnfs(1). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tools/tool.h"
#include "include/log.h"

static const struct command commands[] = {
	{ "ls", "URL", "list a directory", 1, 1, cmd_ls },
	{ "stat", "URL", "show attributes of a file", 1, 1, cmd_stat },
	{ "cat", "URL", "write a file to standard output", 1, 1, cmd_cat },
	{ "get", "URL FILE", "copy a file from the server", 2, 2, cmd_get },
	{ "put", "FILE URL", "copy a file to the server", 2, 2, cmd_put },
	{ "map", "URL [OFFSET [LENGTH]]", "show where a file's blocks are", 1, 3, cmd_map },
	{ "bench", "URL [PAIRS]", "direct I/O on a file beside its blocks on the raw LUN", 1, 2, cmd_bench },
};
enum { NCOMMANDS = sizeof commands / sizeof commands[0] };

static void
usage(FILE *out)
{
	fputs("usage: pnfs [OPTION]... COMMAND ARGUMENT...\n\n", out);
	for (unsigned i = 0; i < NCOMMANDS; i++)
		fprintf(out, "  %-6s %-22s %s\n", commands[i].name, commands[i].args, commands[i].help);
	fputs("\nURL is nfs://HOST[:PORT]/export/path\n\n"
	    "  --device DEV          where LUNs may be found: iscsi://HOST[:PORT]/IQN/LUN or /dev/...;\n"
	    "                        may be given several times (else PNFS_DEVICES, separated by blanks)\n"
	    "  --initiator-name IQN  our name towards iSCSI targets\n"
	    "  --direct MODE         require, auto or never (auto)\n"
	    "  --minor N             minor version of NFSv4, 1 or 2\n"
	    "  --sec FLAVOR          sys, krb5, krb5i or krb5p (sys; ?sec=FLAVOR in a URL)\n"
	    "  --timeout SECONDS     give up on a server that does not answer\n"
	    "  --json                the report as JSON on standard output\n"
	    "  --quiet               no progress, no report\n"
	    "  --debug               say what is done, on standard error\n", out);
}

static int
add_device(struct tool *tool, const char *name)
{
	const char **grown = realloc(tool->devices, (tool->ndevices + 2) * sizeof *grown);
	if (!grown)
		return -ENOMEM;
	tool->devices = grown;
	grown[tool->ndevices++] = name;
	grown[tool->ndevices] = NULL;
	return 0;
}

static int
add_device_list(struct tool *tool, char *list)
{
	char *save = NULL;
	for (char *d = strtok_r(list, " \t\n", &save); d; d = strtok_r(NULL, " \t\n", &save))
		if (add_device(tool, d))
			return -ENOMEM;
	return 0;
}

static bool
parse_direct(const char *arg, enum pnfs_direct *direct)
{
	static const struct { const char *name; enum pnfs_direct mode; } modes[] = {
		{ "auto", PNFS_DIRECT_AUTO }, { "never", PNFS_DIRECT_NEVER }, { "require", PNFS_DIRECT_REQUIRE } };
	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(arg, modes[i].name)) {
			*direct = modes[i].mode;
			return true;
		}
	tool_complain("--direct: '%s' is none of auto, never, require", arg);
	return false;
}

static bool
parse_number(const char *what, const char *arg, unsigned min, unsigned max, unsigned *out)
{
	char *end;
	errno = 0;
	unsigned long v = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || v < min || v > max) {
		tool_complain("%s: '%s' is not a number from %u to %u", what, arg, min, max);
		return false;
	}
	*out = (unsigned)v;
	return true;
}

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' }, { "quiet", no_argument, NULL, 'q' },
	{ "device", required_argument, NULL, 'd' }, { "initiator-name", required_argument, NULL, 'i' },
	{ "direct", required_argument, NULL, 'D' }, { "minor", required_argument, NULL, 'm' },
	{ "timeout", required_argument, NULL, 't' }, { "sec", required_argument, NULL, 's' }, { "debug", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' }, { 0 },
};

/* False: do not go on, *status is the exit status. */
static bool
parse_options(struct tool *tool, int argc, char **argv, int *status)
{
	int c;
	bool ok = true;
	while (ok && (c = getopt_long(argc, argv, "+h", long_options, NULL)) != -1) {
		switch (c) {
		case 'j': tool->json = true; break;
		case 'q': tool->quiet = true; break;
		case 'd': ok = add_device(tool, optarg) == 0; break;
		case 'i': tool->options.initiator_name = optarg; break;
		case 'D': ok = parse_direct(optarg, &tool->options.direct); break;
		case 'm': ok = parse_number("--minor", optarg, 1, 2, &tool->options.minor); break;
		case 't': ok = parse_number("--timeout", optarg, 1, 86400, &tool->options.timeout); break;
		case 's': tool->options.sec = optarg; break;
		case 'v': log_set_level(LOG_LEVEL_DEBUG); break;
		case 'h': usage(stdout); *status = EXIT_DONE; return false;
		default: ok = false;
		}
	}
	*status = EXIT_USAGE;
	return ok;
}

static int
run_command(struct tool *tool, int argc, char **argv)
{
	if (argc == 0) {
		usage(stderr);
		return EXIT_USAGE;
	}
	for (unsigned i = 0; i < NCOMMANDS; i++) {
		const struct command *cmd = &commands[i];
		if (strcmp(cmd->name, argv[0]))
			continue;
		if (argc - 1 < cmd->min || argc - 1 > cmd->max) {
			tool_complain("usage: pnfs [OPTION]... %s %s", cmd->name, cmd->args);
			return EXIT_USAGE;
		}
		return cmd->run(tool, argc - 1, argv + 1);
	}
	tool_complain("no command '%s'; see pnfs --help", argv[0]);
	return EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	struct tool tool = { 0 };
	int status;
	log_set_level(LOG_LEVEL_WARN);
	const char *env = getenv("PNFS_DEVICES");
	char *list = env ? strdup(env) : NULL;
	if (parse_options(&tool, argc, argv, &status)) {
		if (list && !tool.ndevices && add_device_list(&tool, list))
			return tool_fail("PNFS_DEVICES", -ENOMEM);
		tool.options.devices = tool.devices;
		tool.started = tool_now();
		status = run_command(&tool, argc - optind, argv + optind);
	}
	if (tool.json && !tool.reported && status != EXIT_DONE)
		tool_report_failure(&tool, status);
	json_decref(tool.extents);
	json_decref(tool.fallbacks);
	free(tool.devices);
	free(list);
	return status;
}
