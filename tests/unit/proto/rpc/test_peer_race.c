/*
 * Lifetime under threads: senders, callers, closers and the other side's end all
 * at once.  Every call ends exactly once, closed() comes exactly once, nothing leaks
 * (run under ASan and, by hand, TSan).
 */
#include "peer_fixture.h"

enum { THREADS = 4, CALLS = 200, ROUNDS = 40 };

static atomic_uint ended, sent_calls;

static void
count_done(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len,
    struct rpc_rec *rec)
{
	(void)peer;
	(void)body;
	(void)rec;
	ck_assert(status == 0 ? len == 2000 : status == -ECONNRESET || status == -ETIMEDOUT);
	atomic_fetch_add((atomic_uint *)arg, 1);
	atomic_fetch_add(&ended, 1);
}

struct racer { struct side *side; unsigned id, close_at; atomic_uint mine; };

static void *
race(void *arg)
{
	struct racer *r = arg;
	char args[2000] = { 0 };
	for (unsigned i = 0; i < CALLS; i++) {
		if (i == r->close_at)
			rpc_peer_close(r->side->peer);
		atomic_fetch_add(&sent_calls, 1);
		rpc_peer_call(r->side->peer, call_out(args, sizeof args), i % 3 ? 1 : 0, count_done, &r->mine);
	}
	return NULL;
}

/* ROUND decides who closes when. */
static void
one_round(unsigned round)
{
	struct side a, b;
	pthread_t thread[THREADS];
	struct racer racer[THREADS];
	pair_open(&a, &b);
	for (unsigned i = 0; i < THREADS; i++) {
		racer[i] = (struct racer){ .side = i & 1 ? &a : &b, .id = i,
			.close_at = i == round % THREADS ? round * 7 % CALLS : CALLS };
		pthread_create(&thread[i], NULL, race, &racer[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	side_end(&a);
	side_end(&b);
	ck_assert_int_ne(sem_trywait(&a.closed), 0);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_uint_eq(atomic_load(&racer[i].mine), CALLS);
}

START_TEST(close_races)
{
	for (unsigned round = 0; round < ROUNDS; round++)
		one_round(round);
	ck_assert_uint_eq(atomic_load(&ended), ROUNDS * THREADS * CALLS);
	ck_assert_uint_eq(atomic_load(&sent_calls), ROUNDS * THREADS * CALLS);
}
END_TEST

/* ---- replies from workers, the record kept till then; the connection ends below them ---- */

struct job { struct rpc_peer *peer; struct rpc_call call; pthread_t thread; struct job *next; };
static struct job *jobs;	/* the one server loop's */

static void *
work(void *arg)
{
	struct job *job = arg;
	struct rpc_out *out = rpc_out_get(200000);
	rpc_reply_header(out, job->call.xid, RPC_OK, 0, 0);
	memcpy(out->data + out->len, job->call.args, job->call.args_len);
	memset(out->data + out->len + job->call.args_len, 1, 150000);
	out->len += job->call.args_len + 150000;
	rpc_peer_send(job->peer, out);
	rpc_rec_put(job->call.rec);
	rpc_peer_put(job->peer);
	return NULL;
}

static void
to_worker(struct side *side, struct rpc_call *call)
{
	struct job *job = malloc(sizeof *job);
	*job = (struct job){ .peer = rpc_peer_get(side->peer), .call = *call, .next = jobs };
	rpc_rec_get(call->rec);
	jobs = job;
	pthread_create(&job->thread, NULL, work, job);
}

static void
any_end(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec)
{
	struct waiter *w = arg;
	(void)peer;
	(void)rec;
	if (status == 0) {
		ck_assert_uint_eq(len, 150008);
		ck_assert_mem_eq(body, "unharmed", 8);
		ck_assert_uint_eq(body[150007], 1);
	} else {
		ck_assert_int_eq(status, -ECONNRESET);
		w->status = status;
	}
	sem_post(&w->done);
}

START_TEST(workers)
{
	for (unsigned round = 0; round < 8; round++) {
		struct side a, b;
		struct waiter w = { .count = 0 };
		sem_init(&w.done, 0, 0);
		pair_open(&a, &b);
		b.on_call = to_worker;
		jobs = NULL;
		for (int i = 0; i < 30; i++)
			rpc_peer_call(a.peer, call_out("unharmed", 8), 0, any_end, &w);
		if (round & 1) {	/* cut: some end with an error */
			usleep(round * 300);
			rpc_peer_close(round & 2 ? a.peer : b.peer);
		}
		for (int i = 0; i < 30; i++)
			sem_wait_for(&w.done, 20);
		if (!(round & 1))
			ck_assert_int_eq(w.status, 0);
		side_end(&a);
		side_end(&b);
		while (jobs) {
			struct job *job = jobs;
			jobs = job->next;
			pthread_join(job->thread, NULL);
			free(job);
		}
	}
}
END_TEST

/* ---- closing from within the callbacks ---- */

static void
close_in_call(struct side *side, struct rpc_call *call)
{
	echo(side->peer, call);
	rpc_peer_close(side->peer);
	rpc_peer_close(side->peer);
}

START_TEST(close_inside)
{
	struct side a, b;
	struct waiter w = { .status = 1 };
	sem_init(&w.done, 0, 0);
	pair_open(&a, &b);
	b.on_call = close_in_call;
	rpc_peer_call(a.peer, call_out("12345678", 8), 0, waiter_done, &w);
	sem_wait_for(&w.done, 10);
	ck_assert_int_eq(w.status, 0);	/* what was sent before the close still goes out */
	side_end(&a);
	side_end(&b);
	ck_assert_uint_eq(atomic_load(&b.calls), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rpc/peer_race");
	TCase *tc = tcase_create("race");
	tcase_set_timeout(tc, 180);
	tcase_add_test(tc, close_races);
	tcase_add_test(tc, workers);
	tcase_add_test(tc, close_inside);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
