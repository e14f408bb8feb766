/*
 * How large it may get: many clients over a restart of the server, much state, large directories.  Prints JSON lines; scripts/bench --only scale runs it.
 *
 *	scale PORT PID clients PATH N		N clients with a session and an open of the file PATH each
 *	scale PORT PID reclaim PATH N		the same clients after a restart: all of them reclaim; how long until grace is over
 *	scale PORT PID state DIR FILES CLIENTS	each client opens DIR/0 ... and takes a layout for reading of each; what that costs the server in memory
 *	scale PORT PID readdir DIR		all entries with their attributes
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/status.h"
#include "tests/bench/session.h"

#define CONNS 16u
#define BATCH 16u		/* files in a compound */

struct client {
	uint64_t clientid;
	char id[NFS4_SESSIONID_SIZE];
	uint32_t seqid;
};

static uint16_t port;
static int pid;
static const char *path;
static unsigned total;
static bool reclaim;
static atomic_uint next;
static char handle[NFS4_FHSIZE];
static nfs_fh4 fh;

static double
now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Bytes the server has in memory. */
static double
rss(void)
{
	char name[64];
	unsigned long size, resident;
	snprintf(name, sizeof name, "/proc/%d/statm", pid);
	FILE *f = fopen(name, "r");
	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		session_die("no memory of process %d", pid);
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void
open_args(struct session *s, OPEN4args *a, open_claim_type4 claim)
{
	*a = (OPEN4args){ .share_access = OPEN4_SHARE_ACCESS_READ | OPEN4_SHARE_ACCESS_WANT_NO_DELEG, .owner = { s->clientid, { 1, (char *)(uintptr_t)"o" } } };
	a->claim.claim = claim;
	if (claim == CLAIM_PREVIOUS)
		a->claim.open_claim4_u.delegate_type = OPEN_DELEGATE_NONE;
}

/* ---- clients ---- */

static void
one_client(struct session *s, unsigned i)
{
	char owner[32];
	nfs_resop4 res;
	OPEN4args open;
	PUTFH4args putfh = { fh };
	snprintf(owner, sizeof owner, "scale %u", i);
	session_client(s, owner);
	session_create(s, 1);
	if (!reclaim)
		session_complete(s);
	open_args(s, &open, reclaim ? CLAIM_PREVIOUS : CLAIM_FH);
	session_begin(s, 0, ++s->seqid);
	compound_call_op(&s->out, OP_PUTFH, &putfh);
	compound_call_op(&s->out, OP_OPEN, &open);
	session_call(s);
	session_result(s, OP_PUTFH, &res);
	session_result(s, OP_OPEN, &res);
	if (reclaim)
		session_complete(s);
}

static void *
run_clients(void *arg)
{
	struct session *s = arg;
	unsigned i;
	while ((i = atomic_fetch_add(&next, 1)) < total)
		one_client(s, i);
	return NULL;
}

/* Until something new is given. */
static void
wait_grace(struct session *s)
{
	nfs_resop4 res;
	nfsstat4 status;
	OPEN4args open;
	PUTFH4args putfh = { fh };
	open_args(s, &open, CLAIM_FH);
	do {
		usleep(10000);
		session_begin(s, 0, ++s->seqid);
		compound_call_op(&s->out, OP_PUTFH, &putfh);
		compound_call_op(&s->out, OP_OPEN, &open);
		session_call(s);
		session_result(s, OP_PUTFH, &res);
		status = session_status(s, OP_OPEN, &res);
	} while (status == NFS4ERR_GRACE || status == NFS4ERR_DELAY);
	if (status != NFS4_OK)
		session_die("OPEN after grace: %s", nfs4_status_name(status));
}

static void
bench_clients(const char *mode, unsigned n)
{
	static struct session conns[CONNS], own;
	pthread_t threads[CONNS];
	session_connect(&own, port);
	session_client(&own, "scale");
	session_create(&own, 1);
	if (!reclaim)
		session_complete(&own);
	fh = session_lookup(&own, path, handle);
	total = n;
	double before = rss(), start = now(), end;
	for (unsigned i = 0; i < CONNS; i++) {
		session_connect(&conns[i], port);
		if (pthread_create(&threads[i], NULL, run_clients, &conns[i]))
			session_die("no thread");
	}
	for (unsigned i = 0; i < CONNS; i++)
		pthread_join(threads[i], NULL);
	end = now();
	if (reclaim) {
		session_complete(&own);
		wait_grace(&own);
	}
	printf("{\"scale\": \"%s\", \"clients\": %u, \"seconds\": %.2f, \"until_grace_is_over\": %.2f, \"bytes_per_client\": %.0f}\n", mode, n, end - start,
	    now() - start, (rss() - before) / n);
}

/* ---- state ---- */

static struct client *clients;
static stateid4 *opens;
static char (*handles)[NFS4_FHSIZE];
static nfs_fh4 *fhs;
static unsigned files;

static void
be(struct session *s, const struct client *c)
{
	s->clientid = c->clientid;
	s->seqid = c->seqid;
	memcpy(s->id, c->id, sizeof s->id);
}

/* What is to be said again. */
static bool
later(nfsstat4 status)
{
	if (status == NFS4_OK)
		return false;
	if (status != NFS4ERR_DELAY && status != NFS4ERR_LAYOUTTRYLATER && status != NFS4ERR_RECALLCONFLICT)
		session_die("%s", nfs4_status_name(status));
	usleep(10000);
	return true;
}

static void
open_all(struct session *s, stateid4 *sids)
{
	nfs_resop4 res;
	OPEN4args open;
	open_args(s, &open, CLAIM_FH);
	for (unsigned i = 0, done; i < files; i += done) {
		unsigned n = files - i < BATCH ? files - i : BATCH;
		session_begin(s, 0, ++s->seqid);
		for (unsigned k = 0; k < n; k++) {
			PUTFH4args putfh = { fhs[i + k] };
			compound_call_op(&s->out, OP_PUTFH, &putfh);
			compound_call_op(&s->out, OP_OPEN, &open);
		}
		session_call(s);
		for (done = 0; done < n; done++) {
			session_result(s, OP_PUTFH, &res);
			if (later(session_status(s, OP_OPEN, &res)))
				break;
			sids[i + done] = res.nfs_resop4_u.opopen.OPEN4res_u.resok4.stateid;
		}
	}
}

static void
layouts_all(struct session *s, const stateid4 *sids)
{
	nfs_resop4 res;
	for (unsigned i = 0, done; i < files; i += done) {
		unsigned n = files - i < BATCH ? files - i : BATCH;
		session_begin(s, 0, ++s->seqid);
		for (unsigned k = 0; k < n; k++) {
			PUTFH4args putfh = { fhs[i + k] };
			LAYOUTGET4args get = { .loga_layout_type = LAYOUT4_BLOCK_VOLUME, .loga_length = 4096, .loga_minlength = 4096,
				.loga_iomode = LAYOUTIOMODE4_READ, .loga_stateid = sids[i + k], .loga_maxcount = 4096 };
			get.loga_stateid.seqid = 0;
			compound_call_op(&s->out, OP_PUTFH, &putfh);
			compound_call_op(&s->out, OP_LAYOUTGET, &get);
		}
		session_call(s);
		for (done = 0; done < n; done++) {
			session_result(s, OP_PUTFH, &res);
			if (later(session_status(s, OP_LAYOUTGET, &res)))
				break;
		}
	}
}

static void
state_report(const char *what, unsigned n, double before, double start)
{
	double bytes = rss() - before;
	printf("{\"scale\": \"%s\", \"count\": %u, \"files\": %u, \"seconds\": %.1f, \"bytes_each\": %.0f, \"mib\": %.0f, \"server_mib\": %.0f}\n", what, n,
	    files, now() - start, bytes / n, bytes / 1048576, rss() / 1048576);
	fflush(stdout);
}

static void
bench_state(unsigned nclients)
{
	static struct session s;
	char name[512], owner[32];
	clients = calloc(nclients, sizeof *clients);
	opens = calloc((size_t)nclients * files, sizeof *opens);
	handles = calloc(files, sizeof *handles);
	fhs = calloc(files, sizeof *fhs);
	if (!clients || !opens || !handles || !fhs)
		session_die("no memory");
	session_connect(&s, port);
	for (unsigned i = 0; i < nclients; i++) {
		snprintf(owner, sizeof owner, "scale %u", i);
		session_client(&s, owner);
		session_create(&s, 1);
		session_complete(&s);
		clients[i] = (struct client){ .clientid = s.clientid, .seqid = s.seqid };
		memcpy(clients[i].id, s.id, sizeof s.id);
	}
	double before = rss(), start = now();
	for (unsigned i = 0; i < files; i++) {
		snprintf(name, sizeof name, "%s/%u", path, i);
		fhs[i] = session_lookup(&s, name, handles[i]);
	}
	clients[nclients - 1].seqid = s.seqid;
	state_report("files known", files, before, start);
	before = rss();
	start = now();
	for (unsigned i = 0; i < nclients; i++) {
		be(&s, &clients[i]);
		open_all(&s, opens + (size_t)i * files);
		clients[i].seqid = s.seqid;
	}
	state_report("opens", nclients * files, before, start);
	before = rss();
	start = now();
	for (unsigned i = 0; i < nclients; i++) {
		be(&s, &clients[i]);
		layouts_all(&s, opens + (size_t)i * files);
		clients[i].seqid = s.seqid;
	}
	state_report("layout segments", nclients * files, before, start);
}

/* ---- directories ---- */

static void
bench_readdir(void)
{
	static struct session s;
	nfs_resop4 res;
	unsigned n = 0, calls = 0;
	uint32_t want[] = { 0x0010011a, 0x00b0a23a };	/* what Linux asks for */
	session_open(&s, port, 1);
	PUTFH4args putfh = { session_lookup(&s, path, handle) };
	READDIR4args a = { .dircount = 8192, .maxcount = 65536, .attr_request = { 2, want } };
	double start = now();
	for (bool eof = false; !eof; calls++) {
		session_begin(&s, 0, ++s.seqid);
		compound_call_op(&s.out, OP_PUTFH, &putfh);
		compound_call_op(&s.out, OP_READDIR, &a);
		session_call(&s);
		session_result(&s, OP_PUTFH, &res);
		session_result(&s, OP_READDIR, &res);
		READDIR4resok *ok = &res.nfs_resop4_u.opreaddir.READDIR4res_u.resok4;
		for (entry4 *e = ok->reply.entries; e; e = e->nextentry, n++)
			a.cookie = e->cookie;
		memcpy(a.cookieverf, ok->cookieverf, sizeof a.cookieverf);
		eof = ok->reply.eof;
	}
	double seconds = now() - start;
	printf("{\"scale\": \"readdir\", \"entries\": %u, \"calls\": %u, \"seconds\": %.2f, \"us_per_entry\": %.1f}\n", n, calls, seconds,
	    seconds * 1e6 / (n ? n : 1));
}

int
main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: scale PORT PID clients|reclaim|state|readdir PATH [N [CLIENTS]]\n");
		return 2;
	}
	port = (uint16_t)atoi(argv[1]);
	pid = atoi(argv[2]);
	path = argv[4];
	unsigned n = argc > 5 ? (unsigned)atoi(argv[5]) : 0, m = argc > 6 ? (unsigned)atoi(argv[6]) : 0;
	reclaim = !strcmp(argv[3], "reclaim");
	files = n;
	if (!strcmp(argv[3], "readdir"))
		bench_readdir();
	else if (!strcmp(argv[3], "state") && n && m)
		bench_state(m);
	else if ((reclaim || !strcmp(argv[3], "clients")) && n)
		bench_clients(argv[3], n);
	else
		session_die("no mode '%s'", argv[3]);
	return 0;
}
