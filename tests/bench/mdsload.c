/*
 * Load for a metadata server: a thread and a session per connection, SLOTS requests under way on each, the same call again and again with its
 * xid and sequence id patched.  Prints one JSON line: operations, latency, CPU time of the server per operation.
 *
 *	mdsload PORT PID PATH MODE CONNS SLOTS SECONDS
 *
 * MODE: seq, getattr (of PATH), access, lookup (of PATH/f00 ... f99), read (4 KiB of the file PATH), layoutget (RW of PATH, returned
 * each time; one connection), layoutread, layoutmiss (RW of PATH/f00 ... f99, each once, so that the server had none of it before; SECONDS do not
 * matter), layoutnew (RW of PATH from its start to its end, kept: what new space costs); echo0, echo1, echo2: the floor, against echod with its WORK 0, 1, 2.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/session.h"

#define MAX_CONNS 16u
#define MAX_SLOTS 128u
#define MAX_SAMPLES 200000u
#define FILE_SIZE (64u << 20)		/* of the file that is read or mapped */

struct load {
	struct session s;
	const char *path, *mode;
	unsigned slots;
	pthread_t thread;
	uint32_t len, seqid_at, patch_at;	/* the call; offsets in it */
	uint32_t seqids[MAX_SLOTS];
	uint64_t sent_at[MAX_SLOTS], ops, seed;
	uint64_t new_bytes, new_ns;	/* layoutnew */
	uint32_t nsamples;
	uint32_t *samples;		/* ns */
};

static atomic_bool stop;
static uint16_t port;

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}

static void
sample(struct load *l, uint64_t ns)
{
	if (l->nsamples < MAX_SAMPLES)
		l->samples[l->nsamples++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	l->ops++;
}

/* ---- calls that are repeated ---- */

static void
build_call(struct load *l)
{
	struct session *s = &l->s;
	char handle[NFS4_FHSIZE];
	bool seq = !strcmp(l->mode, "seq");
	PUTFH4args putfh = { 0 };
	if (!seq)
		putfh.object = session_lookup(s, l->path, handle);
	l->seqid_at = session_begin(s, 0, 0) + CALL_SEQID_FROM_ARGS;
	if (!seq)
		compound_call_op(&s->out, OP_PUTFH, &putfh);
	uint32_t want[] = { 0x0010011a, 0x00b0a23a };	/* what Linux asks for */
	GETATTR4args getattr = { { 2, want } };
	if (!strcmp(l->mode, "getattr")) {
		compound_call_op(&s->out, OP_GETATTR, &getattr);
	} else if (!strcmp(l->mode, "access")) {
		ACCESS4args access = { 0x3f };
		compound_call_op(&s->out, OP_ACCESS, &access);
	} else if (!strcmp(l->mode, "lookup")) {
		char name[] = "f00";
		LOOKUP4args lookup = { { 3, name } };
		compound_call_op(&s->out, OP_LOOKUP, &lookup);
		compound_call_op(&s->out, OP_GETFH, NULL);
		compound_call_op(&s->out, OP_GETATTR, &getattr);
	} else if (!strcmp(l->mode, "read")) {
		READ4args read = { .offset = 0x1122334455667788, .count = 4096 };
		compound_call_op(&s->out, OP_READ, &read);
	} else if (!seq) {
		session_die("no mode '%s'", l->mode);
	}
	l->len = session_end(s);
	static const uint8_t mark[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	uint8_t *p = memmem(s->call, l->len, mark, sizeof mark);
	if (!p)
		p = memmem(s->call, l->len, "f00", 4);
	l->patch_at = p ? (uint32_t)(p - s->call) : 0;
}

/* A record for echod of about the size of the call it stands for, and the length of the answer. */
static void
build_echo(struct load *l)
{
	uint32_t work = (uint32_t)(l->mode[4] - '0');
	uint32_t reply = work == 2 ? 4096 + 100 : work == 1 ? 200 : 84;
	l->len = work == 0 ? 132 : 200;
	memset(l->s.call, 0, l->len);
	put32(l->s.call, 0x80000000u | (l->len - 4));
	put32(l->s.call + 8, reply);
	put32(l->s.call + 12, work);
}

static uint32_t
next_call(struct load *l, unsigned slot, uint8_t *out)
{
	memcpy(out, l->s.call, l->len);
	put32(out + CALL_XID, slot);
	l->seed = l->seed * 6364136223846793005u + 1442695040888963407u;
	uint32_t random = (uint32_t)(l->seed >> 33);
	if (l->seqid_at) {
		put32(out + l->seqid_at, ++l->seqids[slot]);
		put32(out + l->seqid_at + 4, slot);
		put32(out + l->seqid_at + 8, l->slots - 1);
	} else {
		put32(out + 16, random % FILE_SIZE & ~4095u);
	}
	if (l->patch_at && !strcmp(l->mode, "read")) {
		put32(out + l->patch_at, 0);
		put32(out + l->patch_at + 4, random % FILE_SIZE & ~4095u);
	} else if (l->patch_at) {
		out[l->patch_at + 1] = (uint8_t)('0' + random % 10);
		out[l->patch_at + 2] = (uint8_t)('0' + random / 10 % 10);
	}
	l->sent_at[slot] = now_ns(CLOCK_MONOTONIC);
	return l->len;
}

/* The answers in BUF: count them and put the next calls into OUT.  Returns the bytes used up. */
static size_t
take_replies(struct load *l, const uint8_t *buf, size_t have, uint8_t *out, size_t *made)
{
	size_t at = 0;
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	while (have - at >= 4) {
		uint32_t len, slot, status;
		memcpy(&len, buf + at, 4);
		len = be32toh(len) & 0x7fffffff;
		if (have - at < len + 4)
			break;
		memcpy(&slot, buf + at + 4, 4);
		slot = be32toh(slot);
		memcpy(&status, buf + at + 28, 4);
		if (slot >= l->slots || (l->seqid_at && status))
			session_die("%s: answer for slot %u: status %u", l->mode, slot, be32toh(status));
		sample(l, now - l->sent_at[slot]);
		if (!atomic_load_explicit(&stop, memory_order_relaxed))
			*made += next_call(l, slot, out + *made);
		at += len + 4;
	}
	return at;
}

static void
send_all(int fd, const uint8_t *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, buf + at, len - at, MSG_NOSIGNAL);
		if (n < 0)
			session_die("send failed");
		at += (size_t)n;
	}
}

static void *
run_calls(void *arg)
{
	struct load *l = arg;
	static const size_t size = 1 << 20;
	uint8_t *in = malloc(size), *out = malloc(size);
	size_t have = 0, made = 0;
	if (!in || !out)
		session_die("no memory");
	for (unsigned i = 0; i < l->slots; i++)
		made += next_call(l, i, out + made);
	while (made) {
		send_all(l->s.fd, out, made);
		made = 0;
		while (!made && !atomic_load(&stop)) {
			ssize_t n = recv(l->s.fd, in + have, size - have, 0);
			if (n <= 0)
				session_die("the server closed the connection");
			have += (size_t)n;
			size_t used = take_replies(l, in, have, out, &made);
			memmove(in, in + used, have - used);
			have -= used;
		}
	}
	free(in);
	free(out);
	return NULL;
}

/* ---- layouts: one call after the other ---- */

static stateid4
open_file(struct session *s, const char *path, char handle[NFS4_FHSIZE], PUTFH4args *putfh, bool write)
{
	nfs_resop4 res;
	char owner[] = "mdsload";
	OPEN4args open = { .share_access = write ? OPEN4_SHARE_ACCESS_BOTH : OPEN4_SHARE_ACCESS_READ,
		.owner = { s->clientid, { 7, owner } }, .openhow.opentype = OPEN4_NOCREATE, .claim.claim = CLAIM_FH };
	putfh->object = session_lookup(s, path, handle);
	session_begin(s, 0, ++s->seqid);
	compound_call_op(&s->out, OP_PUTFH, putfh);
	compound_call_op(&s->out, OP_OPEN, &open);
	session_call(s);
	session_result(s, OP_PUTFH, &res);
	session_result(s, OP_OPEN, &res);
	return res.nfs_resop4_u.opopen.OPEN4res_u.resok4.stateid;
}

/* A layout of the first MiB, and it is given back: only the first of it is what is measured. */
static void
layout_get_return(struct load *l, const PUTFH4args *putfh, stateid4 open, bool write)
{
	struct session *s = &l->s;
	nfs_resop4 res;
	LAYOUTGET4args get = { .loga_layout_type = LAYOUT4_BLOCK_VOLUME, .loga_length = 1 << 20, .loga_minlength = 4096,
		.loga_iomode = write ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ, .loga_stateid = open, .loga_maxcount = 4096 };
	LAYOUTRETURN4args ret = { .lora_layout_type = LAYOUT4_BLOCK_VOLUME, .lora_iomode = LAYOUTIOMODE4_ANY,
		.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_FILE };
	layoutreturn_file4 *file = &ret.lora_layoutreturn.layoutreturn4_u.lr_layout;

	get.loga_stateid.seqid = 0;
	session_begin(s, 0, ++s->seqid);
	compound_call_op(&s->out, OP_PUTFH, putfh);
	compound_call_op(&s->out, OP_LAYOUTGET, &get);
	uint64_t start = now_ns(CLOCK_MONOTONIC);
	session_call(s);
	session_result(s, OP_PUTFH, &res);
	session_result(s, OP_LAYOUTGET, &res);
	sample(l, now_ns(CLOCK_MONOTONIC) - start);
	file->lrf_length = NFS4_UINT64_MAX;
	file->lrf_stateid = res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4.logr_stateid;
	session_begin(s, 0, ++s->seqid);
	compound_call_op(&s->out, OP_PUTFH, putfh);
	compound_call_op(&s->out, OP_LAYOUTRETURN, &ret);
	session_call(s);
	session_result(s, OP_PUTFH, &res);
	session_result(s, OP_LAYOUTRETURN, &res);
}

static void *
run_layouts(void *arg)
{
	struct load *l = arg;
	char handle[NFS4_FHSIZE];
	PUTFH4args putfh;
	bool write = !strcmp(l->mode, "layoutget");
	stateid4 open = open_file(&l->s, l->path, handle, &putfh, write);

	while (!atomic_load(&stop))
		layout_get_return(l, &putfh, open, write);
	return NULL;
}

static void *
run_misses(void *arg)
{
	struct load *l = arg;
	char handle[NFS4_FHSIZE], path[4096];
	PUTFH4args putfh;

	for (unsigned i = 0; i < 100; i++) {
		snprintf(path, sizeof path, "%s/f%02u", l->path, i);
		stateid4 open = open_file(&l->s, path, handle, &putfh, true);
		layout_get_return(l, &putfh, open, true);
	}
	return NULL;
}

/* One layout after the other, up to the end of the file; bytes are told as "bytes". */
static void *
run_new_layouts(void *arg)
{
	struct load *l = arg;
	struct session *s = &l->s;
	nfs_resop4 res;
	char handle[NFS4_FHSIZE];
	PUTFH4args putfh;
	stateid4 sid = open_file(s, l->path, handle, &putfh, true);
	sid.seqid = 0;
	while (l->new_bytes < FILE_SIZE) {
		LAYOUTGET4args get = { .loga_layout_type = LAYOUT4_BLOCK_VOLUME, .loga_iomode = LAYOUTIOMODE4_RW,
			.loga_offset = l->new_bytes, .loga_length = FILE_SIZE - l->new_bytes, .loga_minlength = 4096,
			.loga_stateid = sid, .loga_maxcount = 65536 };
		session_begin(s, 0, ++s->seqid);
		compound_call_op(&s->out, OP_PUTFH, &putfh);
		compound_call_op(&s->out, OP_LAYOUTGET, &get);
		uint64_t start = now_ns(CLOCK_MONOTONIC);
		session_call(s);
		session_result(s, OP_PUTFH, &res);
		session_result(s, OP_LAYOUTGET, &res);
		l->new_ns += now_ns(CLOCK_MONOTONIC) - start;
		sample(l, now_ns(CLOCK_MONOTONIC) - start);
		LAYOUTGET4resok *ok = &res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4;
		if (ok->logr_layout.logr_layout_len < 1 || !ok->logr_layout.logr_layout_val->lo_length)
			session_die("an empty layout");
		l->new_bytes = ok->logr_layout.logr_layout_val->lo_offset + ok->logr_layout.logr_layout_val->lo_length;
		sid = ok->logr_stateid;
	}
	return NULL;
}

/* ---- */

static void
connect_echo(struct session *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s->fd, (struct sockaddr *)&sin, sizeof sin))
		session_die("cannot connect to port %u", port);
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void
report(struct load *loads, unsigned conns, double seconds, uint64_t cpu)
{
	uint64_t ops = 0;
	size_t n = 0;
	uint32_t *all = malloc((size_t)conns * MAX_SAMPLES * sizeof *all);
	if (!all)
		session_die("no memory");
	for (unsigned i = 0; i < conns; i++) {
		memcpy(all + n, loads[i].samples, loads[i].nsamples * sizeof *all);
		n += loads[i].nsamples;
		ops += loads[i].ops;
	}
	if (!n)
		session_die("nothing was answered");
	qsort(all, n, sizeof *all, by_value);
	printf("{\"mode\": \"%s\", \"connections\": %u, \"slots\": %u, \"ops\": %llu, \"ops_s\": %.0f, \"cpu_us\": %.3f, "
	    "\"p50_us\": %.1f, \"p99_us\": %.1f, \"new_mb_s\": %.1f}\n", loads[0].mode, conns, loads[0].slots, (unsigned long long)ops,
	    (double)ops / seconds, (double)cpu / 1e3 / (double)ops, all[n / 2] / 1e3, all[n * 99 / 100] / 1e3,
	    loads[0].new_ns ? (double)loads[0].new_bytes * 1e3 / (double)loads[0].new_ns : 0.);
	free(all);
}

int
main(int argc, char **argv)
{
	static struct load loads[MAX_CONNS];
	if (argc != 8) {
		fprintf(stderr, "usage: mdsload PORT PID PATH MODE CONNECTIONS SLOTS SECONDS\n");
		return 2;
	}
	port = (uint16_t)atoi(argv[1]);
	const char *mode = argv[4];
	unsigned conns = (unsigned)atoi(argv[5]), slots = (unsigned)atoi(argv[6]);
	bool echo = !strncmp(mode, "echo", 4), layouts = !strncmp(mode, "layout", 6);
	if (conns < 1 || conns > MAX_CONNS || slots < 1 || slots > MAX_SLOTS || (layouts && (conns > 1 || slots > 1)))
		session_die("too many connections or slots");
	clockid_t server;
	if (clock_getcpuclockid(atoi(argv[2]), &server))
		session_die("no process %s", argv[2]);
	for (unsigned i = 0; i < conns; i++) {
		struct load *l = &loads[i];
		*l = (struct load){ .path = argv[3], .mode = mode, .slots = slots, .seed = i + 1,
			.samples = malloc(MAX_SAMPLES * sizeof *l->samples) };
		if (!l->samples)
			session_die("no memory");
		if (echo) {
			connect_echo(&l->s);
			build_echo(l);
		} else {
			session_open(&l->s, port, slots);
			l->seqids[0] = l->s.seqid;
			if (!layouts)
				build_call(l);
			l->seqids[0] = l->s.seqid;
		}
	}
	uint64_t cpu = now_ns(server), start = now_ns(CLOCK_MONOTONIC);
	void *(*run)(void *) = !strcmp(mode, "layoutnew") ? run_new_layouts : layouts ? run_layouts : run_calls;
	for (unsigned i = 0; i < conns; i++)
		if (pthread_create(&loads[i].thread, NULL, run, &loads[i]))
			session_die("no thread");
	if (run == run_new_layouts || run == run_misses)
		pthread_join(loads[0].thread, NULL);
	else
		usleep((useconds_t)(atof(argv[7]) * 1e6));
	cpu = now_ns(server) - cpu;
	double seconds = (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
	atomic_store(&stop, true);
	if (run == run_layouts)
		pthread_join(loads[0].thread, NULL);	/* or the last layout stays out, in the way of the next run */
	report(loads, conns, seconds, cpu);
	return 0;			/* the threads go with the process */
}
