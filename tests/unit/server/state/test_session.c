/* Client IDs, sessions and slots of a real server, over the wire. */
#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/session.h"
#include "tests/unit/server/net/mds_fixture.h"
#include "tests/unit/server/net/wire.h"

static struct mds_fixture fx;
static struct wire w;
static struct wire_session s;
static struct wire_call call;
static struct compound_results r;

static void
setup(void)
{
	mds_fixture_start(&fx, 90, 90);
	wire_connect(&w, fx.port);
	wire_session(&w, "client", &s);
}

static void
teardown(void)
{
	wire_close(&w);
	mds_fixture_stop(&fx);
}

static nfsstat4
sequence(struct wire *wire, uint32_t slot, bool next, bool cache)
{
	wire_begin_seq(&call, &s, slot, next, cache);
	return wire_compound(wire, &call, &r);
}

/* SEQUENCE and RECLAIM_COMPLETE, which cannot be done twice. */
static nfsstat4
reclaim_complete(bool next, bool cache, uint32_t one_fs)
{
	RECLAIM_COMPLETE4args rc = { .rca_one_fs = (bool_t)one_fs };
	wire_begin_seq(&call, &s, 0, next, cache);
	wire_op(&call, OP_RECLAIM_COMPLETE, &rc);
	return wire_compound(&w, &call, &r);
}

START_TEST(slots)
{
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4_OK);
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4_OK);
	/* An error leaves the slot as it is (PITFALLS C1). */
	s.seq[0] += 1;
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4ERR_SEQ_MISORDERED);
	s.seq[0] -= 3;
	ck_assert_int_eq(sequence(&w, 0, false, false), NFS4ERR_SEQ_MISORDERED);
	s.seq[0] += 1;
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4_OK);
	/* A slot that was never used has nothing to retry (RFC 8881 18.36.4). */
	ck_assert_int_eq(sequence(&w, 1, false, false), NFS4ERR_SEQ_MISORDERED);
	ck_assert_int_eq(sequence(&w, 7, true, false), NFS4_OK);
	SEQUENCE4args seq = { .sa_slotid = 8, .sa_highest_slotid = 8, .sa_sequenceid = 1 };
	memcpy(seq.sa_sessionid, s.id, sizeof s.id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_SEQUENCE, &seq);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_BADSLOT);
	seq = (SEQUENCE4args){ .sa_slotid = 3, .sa_highest_slotid = 2, .sa_sequenceid = 1 };
	memcpy(seq.sa_sessionid, s.id, sizeof s.id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_SEQUENCE, &seq);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_BAD_HIGH_SLOT);
	seq.sa_sessionid[9] ^= 1;
	wire_begin(&call, 1, "");
	wire_op(&call, OP_SEQUENCE, &seq);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_BADSESSION);
}
END_TEST

START_TEST(retries)
{
	uint8_t first[512];
	/* Kept: byte for byte, and not run again. */
	ck_assert_int_eq(reclaim_complete(true, true, FALSE), NFS4_OK);
	uint32_t len = w.len - 24;
	ck_assert_uint_le(len, sizeof first);
	memcpy(first, w.buf + 24, len);
	ck_assert_int_eq(reclaim_complete(false, true, FALSE), NFS4_OK);
	ck_assert_uint_eq(w.len - 24, len);
	ck_assert_int_eq(memcmp(first, w.buf + 24, len), 0);
	/* An error is kept as well. */
	ck_assert_int_eq(reclaim_complete(true, true, FALSE), NFS4ERR_COMPLETE_ALREADY);
	ck_assert_int_eq(reclaim_complete(false, true, FALSE), NFS4ERR_COMPLETE_ALREADY);
	/* Another request, and another user, with the same sequence ID (PITFALLS C2). */
	ck_assert_int_eq(reclaim_complete(false, true, TRUE), NFS4ERR_SEQ_FALSE_RETRY);
	w.uid = 5;
	ck_assert_int_eq(reclaim_complete(false, true, FALSE), NFS4ERR_SEQ_FALSE_RETRY);
	w.uid = 0;
	ck_assert_int_eq(reclaim_complete(false, true, FALSE), NFS4ERR_COMPLETE_ALREADY);
	/* Not kept: SEQUENCE's answer, and then an error instead of a second run. */
	ck_assert_int_eq(reclaim_complete(true, false, FALSE), NFS4ERR_COMPLETE_ALREADY);
	ck_assert_int_eq(reclaim_complete(false, false, FALSE), NFS4ERR_RETRY_UNCACHED_REP);
	ck_assert_uint_eq(r.left, 2);
	/* SEQUENCE alone can always be answered. */
	ck_assert_int_eq(sequence(&w, 2, true, false), NFS4_OK);
	ck_assert_int_eq(sequence(&w, 2, false, false), NFS4_OK);
	/* After a new connection the same. */
	struct wire w2;
	wire_connect(&w2, fx.port);
	ck_assert_int_eq(sequence(&w2, 2, false, false), NFS4_OK);
	ck_assert_int_eq(sequence(&w2, 2, true, false), NFS4_OK);
	wire_close(&w2);
}
END_TEST

START_TEST(sequence_wraps)
{
	pthread_mutex_lock(&fx.mds->state_lock);
	struct session *session = session_find_locked(fx.mds, (uint8_t *)s.id);
	session->slots[4].seqid = UINT32_MAX - 1;
	pthread_mutex_unlock(&fx.mds->state_lock);
	s.seq[4] = UINT32_MAX - 1;
	ck_assert_int_eq(sequence(&w, 4, true, false), NFS4_OK);
	ck_assert_int_eq(sequence(&w, 4, true, false), NFS4_OK);
	ck_assert_uint_eq(s.seq[4], 0);
	ck_assert_int_eq(sequence(&w, 4, true, false), NFS4_OK);
}
END_TEST

START_TEST(create_session_slot)
{
	EXCHANGE_ID4resok eid;
	struct wire_session a, b;
	ck_assert_int_eq(wire_exchange_id(&w, "other", 1, 0, &eid), NFS4_OK);
	ck_assert_uint_eq(eid.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
	ck_assert_uint_ne(eid.eir_flags & EXCHGID4_FLAG_USE_PNFS_MDS, 0);
	/* The contrived answer before the first one (RFC 8881 18.36.4). */
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid - 1, 0, NULL, NULL),
	    NFS4ERR_SEQ_MISORDERED);
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid + 1, 0, NULL, NULL),
	    NFS4ERR_SEQ_MISORDERED);
	w.uid = 9;
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid, 0, NULL, NULL),
	    NFS4ERR_CLID_INUSE);
	w.uid = 0;
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid, 0xf0, NULL, NULL), NFS4ERR_INVAL);
	channel_attrs4 fore, back;
	wire_channel(&fore, &back);
	fore.ca_maxresponsesize = 20;
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid, 0, &fore, NULL), NFS4ERR_TOOSMALL);
	/* None of these used the sequence ID up. */
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid,
	    CREATE_SESSION4_FLAG_PERSIST | CREATE_SESSION4_FLAG_CONN_BACK_CHAN, NULL, &a), NFS4_OK);
	ck_assert_uint_eq(a.made.csr_flags, CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid, 0, NULL, &b), NFS4_OK);
	ck_assert_int_eq(memcmp(a.id, b.id, sizeof a.id), 0);
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid + 1, 0, NULL, &b), NFS4_OK);
	ck_assert_int_ne(memcmp(a.id, b.id, sizeof a.id), 0);
	EXCHANGE_ID4resok again;
	ck_assert_int_eq(wire_exchange_id(&w, "other", 1, 0, &again), NFS4_OK);
	ck_assert_uint_eq(again.eir_clientid, eid.eir_clientid);
	ck_assert_uint_ne(again.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
	ck_assert_int_eq(wire_create_session(&w, 42, 1, 0, NULL, NULL), NFS4ERR_STALE_CLIENTID);
}
END_TEST

START_TEST(limits)
{
	EXCHANGE_ID4resok eid;
	channel_attrs4 fore, back;
	ck_assert_int_eq(wire_exchange_id(&w, "small", 1, 0, &eid), NFS4_OK);
	wire_channel(&fore, &back);
	fore.ca_maxrequestsize = 256;
	fore.ca_maxoperations = 2;
	fore.ca_maxrequests = 100000;
	fore.ca_headerpadsize = 512;
	fore.ca_maxresponsesize_cached = 10;
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid, 0, &fore, &s), NFS4_OK);
	ck_assert_uint_eq(s.made.csr_fore_chan_attrs.ca_headerpadsize, 0);
	ck_assert_uint_eq(s.made.csr_fore_chan_attrs.ca_maxrequests, SESSION_MAX_SLOTS);
	ck_assert_int_eq(sequence(&w, 0, true, true), NFS4ERR_REP_TOO_BIG_TO_CACHE);
	s.seq[0]--;
	wire_begin_seq(&call, &s, 0, true, false);
	for (unsigned i = 0; i < 2; i++)
		wire_op(&call, OP_PUTROOTFH, NULL);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_TOO_MANY_OPS);
	s.seq[0]--;
	LOOKUP4args lookup = { .objname = { 200, (char *)w.buf } };
	wire_begin_seq(&call, &s, 0, true, false);
	wire_op(&call, OP_LOOKUP, &lookup);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_REQ_TOO_BIG);
	s.seq[0]--;
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4_OK);
}
END_TEST

START_TEST(floods)
{
	char name[16];
	EXCHANGE_ID4resok eid;
	for (unsigned i = 0; i < CLIENT_MAX_UNCONFIRMED + 50; i++) {
		snprintf(name, sizeof name, "flood%u", i);
		ck_assert_int_eq(wire_exchange_id(&w, name, 1, 0, &eid), NFS4_OK);
	}
	/* The oldest went, the newest and the confirmed ones are there. */
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid, eid.eir_sequenceid, 0, NULL, NULL), NFS4_OK);
	ck_assert_int_eq(wire_create_session(&w, eid.eir_clientid - CLIENT_MAX_UNCONFIRMED - 10, 1, 0, NULL, NULL),
	    NFS4ERR_STALE_CLIENTID);
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4_OK);
	nfsstat4 status = NFS4_OK;
	for (uint32_t seq = 2; status == NFS4_OK && seq < 1000; seq++)
		status = wire_create_session(&w, s.clientid, seq, 0, NULL, NULL);
	ck_assert_int_eq(status, NFS4ERR_NOSPC);
}
END_TEST

/* More than a connection may have at the workers (CONN_MAX_UNDER_WAY): reading stops and goes on, all are answered. */
static void *
read_replies(void *arg)
{
	struct wire *reader = arg;
	for (unsigned i = 0; i < 1500; i++)
		ck_assert(wire_recv(reader));
	return NULL;
}

START_TEST(pipelined)
{
	pthread_t t;
	struct wire *reader = malloc(sizeof *reader);
	wire_open(reader, w.fd);
	pthread_create(&t, NULL, read_replies, reader);
	for (unsigned i = 0; i < 1500; i++) {
		EXCHANGE_ID4args args = { .eia_clientowner.co_ownerid = { sizeof i, (char *)&i } };
		wire_begin(&call, 1, "");
		wire_op(&call, OP_EXCHANGE_ID, &args);
		wire_send(&w, &call);
	}
	pthread_join(t, NULL);
	free(reader);
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4_OK);
}
END_TEST

START_TEST(ends)
{
	struct wire w2;
	DESTROY_SESSION4args ds;
	DESTROY_CLIENTID4args dc = { .dca_clientid = s.clientid };
	memcpy(ds.dsa_sessionid, s.id, sizeof s.id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_CLIENTID, &dc);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_CLIENTID_BUSY);
	/* Only by a connection that belongs to it. */
	wire_connect(&w2, fx.port);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_SESSION, &ds);
	ck_assert_int_eq(wire_compound(&w2, &call, &r), NFS4ERR_CONN_NOT_BOUND_TO_SESSION);
	/* In its own compound only at the end, and then that is still answered. */
	wire_begin_seq(&call, &s, 0, true, true);
	wire_op(&call, OP_DESTROY_SESSION, &ds);
	wire_op(&call, OP_PUTROOTFH, NULL);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_NOT_ONLY_OP);
	wire_begin_seq(&call, &s, 0, true, true);
	wire_op(&call, OP_DESTROY_SESSION, &ds);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
	ck_assert_uint_eq(r.left, 2);
	ck_assert_int_eq(sequence(&w, 0, true, false), NFS4ERR_BADSESSION);
	ck_assert_int_eq(sequence(&w2, 0, true, false), NFS4ERR_BADSESSION);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_CLIENTID, &dc);
	ck_assert_int_eq(wire_compound(&w2, &call, &r), NFS4_OK);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_CLIENTID, &dc);
	ck_assert_int_eq(wire_compound(&w2, &call, &r), NFS4ERR_STALE_CLIENTID);
	wire_close(&w2);
}
END_TEST

/* Many connections on one session, requests and ends all at once: for the sanitizers. */
static void *
hammer(void *arg)
{
	struct wire *wire = malloc(sizeof *wire);
	struct wire_call *c = malloc(sizeof *c);
	struct compound_results res;
	uint32_t slot = (uint32_t)(uintptr_t)arg;
	struct wire_session mine = s;
	wire_connect(wire, fx.port);
	for (unsigned i = 0; i < 300; i++) {
		RECLAIM_COMPLETE4args rc = { .rca_one_fs = FALSE };
		wire_begin_seq(c, &mine, slot, true, i & 1);
		wire_op(c, OP_RECLAIM_COMPLETE, &rc);
		nfsstat4 status = wire_compound(wire, c, &res);
		if (status == NFS4ERR_BADSESSION)
			break;
		ck_assert_int_eq(status == NFS4_OK || status == NFS4ERR_COMPLETE_ALREADY, true);
	}
	wire_close(wire);
	free(wire);
	free(c);
	return NULL;
}

START_TEST(threads)
{
	pthread_t t[6];
	for (uintptr_t i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, hammer, (void *)i);
	pthread_join(t[0], NULL);
	DESTROY_SESSION4args ds;
	memcpy(ds.dsa_sessionid, s.id, sizeof s.id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_SESSION, &ds);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
	for (unsigned i = 1; i < 6; i++)
		pthread_join(t[i], NULL);
}
END_TEST

static SEQUENCE4resok
sequence_on(struct wire *wire, struct wire_session *ws, uint32_t slot, uint32_t highest)
{
	nfs_resop4 res;
	SEQUENCE4args seq = { .sa_slotid = slot, .sa_highest_slotid = highest, .sa_sequenceid = ++ws->seq[slot % 8], .sa_cachethis = TRUE };
	memcpy(seq.sa_sessionid, ws->id, sizeof ws->id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_SEQUENCE, &seq);
	ck_assert_int_eq(wire_compound(wire, &call, &r), NFS4_OK);
	memset(&res, 0, sizeof res);
	ck_assert_int_eq(compound_res_get(&r, OP_SEQUENCE, &res), 0);
	return res.nfs_resop4_u.opsequence.SEQUENCE4res_u.sr_resok4;
}

struct owner_seen {
	char major[64], scope[64];
	u_int major_len, scope_len;
	uint64_t minor;
};

static struct owner_seen
owner_of(uint16_t port)
{
	struct wire w2;
	EXCHANGE_ID4resok ok;
	struct owner_seen o = { 0 };
	wire_connect(&w2, port);
	ck_assert_int_eq(wire_exchange_id(&w2, "asks", 1, 0, &ok), NFS4_OK);
	o.major_len = ok.eir_server_owner.so_major_id.so_major_id_len;
	o.scope_len = ok.eir_server_scope.eir_server_scope_len;
	ck_assert(o.major_len && o.major_len <= sizeof o.major && o.scope_len && o.scope_len <= sizeof o.scope);
	memcpy(o.major, ok.eir_server_owner.so_major_id.so_major_id_val, o.major_len);
	memcpy(o.scope, ok.eir_server_scope.eir_server_scope_val, o.scope_len);
	o.minor = ok.eir_server_owner.so_minor_id;
	wire_close(&w2);
	return o;
}

/* One server is one by every connection and in every life; another one, on the same host, is another (RFC 8881 2.10.5; PITFALLS C9). */
START_TEST(server_owner)
{
	struct mds_fixture other;
	struct owner_seen a = owner_of(fx.port), b = owner_of(fx.port), c;
	ck_assert_mem_eq(&a, &b, sizeof a);
	mds_fixture_start(&other, 90, 90);
	c = owner_of(other.port);
	mds_fixture_stop(&other);
	ck_assert_mem_ne(a.major, c.major, sizeof a.major);
	ck_assert_mem_ne(a.scope, c.scope, sizeof a.scope);
	wire_close(&w);
	mds_fixture_restart(&fx);
	wire_connect(&w, fx.port);
	b = owner_of(fx.port);
	ck_assert_mem_eq(&a, &b, sizeof a);
}
END_TEST

/* Sessions of two clients on one connection, and one session on two connections (2.10.5: session trunking). */
START_TEST(trunking)
{
	struct wire w2;
	struct wire_session other = { 0 };
	wire_session(&w, "other", &other);
	ck_assert_uint_ne(other.clientid, s.clientid);
	wire_connect(&w2, fx.port);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(sequence(&w, 0, true, false), NFS4_OK);
		wire_begin_seq(&call, &other, 0, true, false);
		ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
		ck_assert_int_eq(sequence(&w2, 1, true, false), NFS4_OK);
		wire_begin_seq(&call, &other, 1, true, false);
		ck_assert_int_eq(wire_compound(&w2, &call, &r), NFS4_OK);
	}
	wire_close(&w2);
	ck_assert_int_eq(sequence(&w, 1, true, false), NFS4_OK);
}
END_TEST

/* Kept replies are bounded: slots are asked for, in answers and by CB_RECALL_SLOT, and what the client is done with is given up (RFC 8881 2.10.6.1, 20.8). */
START_TEST(slots_are_recalled)
{
	struct wire w2;
	struct wire_session big = { 0 };
	EXCHANGE_ID4resok eid;
	channel_attrs4 fore, back;
	uint32_t words[16];
	wire_connect(&w2, fx.port);
	ck_assert_int_eq(wire_exchange_id(&w2, "big", 1, 0, &eid), NFS4_OK);
	wire_channel(&fore, &back);
	fore.ca_maxrequests = 32;
	ck_assert_int_eq(wire_create_session(&w2, eid.eir_clientid, eid.eir_sequenceid, CREATE_SESSION4_FLAG_CONN_BACK_CHAN, &fore, &big), NFS4_OK);
	ck_assert_uint_eq(big.made.csr_fore_chan_attrs.ca_maxrequests, 32);
	ck_assert_uint_eq(sequence_on(&w2, &big, 0, 0).sr_target_highest_slotid, 31);
	/* 256 bytes for each slot's reply. */
	for (uint32_t slot = 8; slot < 32; slot++) {
		big.seq[slot % 8] = 0;
		sequence_on(&w2, &big, slot, slot);
	}
	sessions_set_cache_max(fx.mds, 4096);
	/* First, since the server has ticks of its own: once, the callback, on this session. */
	sessions_tick(fx.mds);
	sessions_tick(fx.mds);
	ck_assert(wire_recv(&w2));
	memcpy(words, w2.buf, sizeof words);
	ck_assert_uint_eq(ntohl(words[1]), 0);		/* CALL */
	static const uint8_t args[] = { 0, 0, 0, OP_CB_RECALL_SLOT, 0, 0, 0, SESSION_FEW_SLOTS - 1 };
	ck_assert_mem_eq(w2.buf + w2.len - sizeof args, args, sizeof args);
	ck_assert(sessions_short(fx.mds));
	/* It still has all 32 in use: nothing is given up, but it is told. */
	big.seq[0] = 1;
	SEQUENCE4resok ok = sequence_on(&w2, &big, 0, 31);
	ck_assert_uint_eq(ok.sr_target_highest_slotid, SESSION_FEW_SLOTS - 1);
	ck_assert_uint_eq(ok.sr_highest_slotid, 31);
	ck_assert(sessions_short(fx.mds));
	/* Nothing more is kept: a retry is told so. */
	struct wire_session small = { 0 };
	ck_assert_int_eq(wire_create_session(&w2, eid.eir_clientid, eid.eir_sequenceid + 1, 0, &fore, &small), NFS4_OK);
	ck_assert_uint_eq(small.made.csr_fore_chan_attrs.ca_maxrequests, SESSION_FEW_SLOTS);
	/* It obeys: all is well. */
	ok = sequence_on(&w2, &big, 0, 7);
	ck_assert(!sessions_short(fx.mds));
	ck_assert_uint_eq(sequence_on(&w2, &big, 0, 7).sr_target_highest_slotid, 31);
	/* A slot that was given up goes on where it was. */
	big.seq[1] = 1;
	sequence_on(&w2, &big, 9, 9);
	wire_close(&w2);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("session");
	TCase *tc = tcase_create("all");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, slots);
	tcase_add_test(tc, retries);
	tcase_add_test(tc, sequence_wraps);
	tcase_add_test(tc, create_session_slot);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, floods);
	tcase_add_test(tc, server_owner);
	tcase_add_test(tc, trunking);
	tcase_add_test(tc, slots_are_recalled);
	tcase_add_test(tc, pipelined);
	tcase_add_test(tc, ends);
	tcase_add_test(tc, threads);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
