/* pnfs-mds: the command.  Options, signals, exit codes; the server itself is server.c. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "include/log.h"
#include "server/export/export.h"
#include "server/net/notify.h"
#include "server/net/server.h"
#include "server/nfs4/op_count.h"

#define DEFAULT_CONF "/etc/pnfs/pnfs-mds.conf"
#define DRAIN_LOOK_MS 10

struct options {
	const char *conf;
	bool foreground, check;
};

static int
usage(FILE *to, int code)
{
	fprintf(to, "usage: pnfs-mds [-f] [-c FILE] [-t]\n"
	    "  -f  stay in the foreground\n"
	    "  -c  configuration (" DEFAULT_CONF ")\n"
	    "  -t  check configuration and exports, and exit\n"
	    "  -V  version\n");
	return code;
}

/* -1: go on; else the exit code. */
static int
options_parse(struct options *o, int argc, char **argv)
{
	int opt;
	while ((opt = getopt(argc, argv, "fc:thV")) != -1) {
		switch (opt) {
		case 'f':
			o->foreground = true;
			break;
		case 'c':
			o->conf = optarg;
			break;
		case 't':
			o->check = true;
			break;
		case 'h':
			return usage(stdout, 0);
		case 'V':
			puts(PACKAGE_STRING);
			return 0;
		default:
			return usage(stderr, EX_USAGE);
		}
	}
	return optind == argc ? -1 : usage(stderr, EX_USAGE);
}

static int
fail(int err, char *error)
{
	fprintf(stderr, "pnfs-mds: %s\n", error ? error : strerror(-err));
	free(error);
	return err == -EINVAL || err == -ENOENT ? EX_CONFIG : EXIT_FAILURE;
}

/* Until SIGTERM or SIGINT. */
static void
serve(struct mds *mds, const sigset_t *signals)
{
	for (;;) {
		int sig;
		if (sigwait(signals, &sig) != 0)
			continue;
		if (sig == SIGUSR1) {
			op_count_print(stdout);
			continue;
		}
		if (sig != SIGHUP)
			return;
		notify_send("RELOADING=1");
		server_reload(mds);
		notify_send("READY=1");
	}
}

/* Until all layouts are back or their holders cut off.  A second SIGTERM or SIGINT: no longer. */
static void
drain(struct mds *mds, const sigset_t *signals)
{
	const struct timespec pause = { .tv_nsec = DRAIN_LOOK_MS * 1000000l };
	server_drain(mds);
	while (!server_drained(mds)) {
		int sig = sigtimedwait(signals, NULL, &pause);
		if (sig == SIGTERM || sig == SIGINT)
			return;
		if (sig == SIGUSR1)
			op_count_print(stdout);
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .conf = DEFAULT_CONF };
	int code = options_parse(&o, argc, argv);
	if (code >= 0)
		return code;

	char *error = NULL;
	if (o.check) {
		int err = server_check(o.conf, &error);
		return err ? fail(err, error) : 0;
	}
	/* Mistakes are told before the terminal is left; the READY line goes where stdout goes. */
	if (!o.foreground) {
		int err = server_check(o.conf, &error);
		if (err)
			return fail(err, error);
		if (daemon(0, 0) < 0)
			return fail(-errno, NULL);
	}

	/* Before any thread is made: all inherit the mask, this one takes the signals. */
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	export_block_signals();

	struct mds *mds;
	uint16_t port;
	int err = server_start(o.conf, &mds, &port, &error);
	if (err)
		return fail(err, error);
	printf("READY port=%u\n", port);
	fflush(stdout);
	notify_send("READY=1");
	serve(mds, &signals);
	notify_send("STOPPING=1");
	drain(mds, &signals);
	server_stop(mds);
	return 0;
}
