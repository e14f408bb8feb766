/* RPCSEC_GSS without a Kerberos: the window, frames, credentials on the wire.  What needs contexts: tests/unit/server/gss. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/rpc/gss.h"
#include "proto/rpc/rpc_msg.h"

START_TEST(window)
{
	struct rpc_gss_window w = { 0 };
	ck_assert(rpc_gss_window_take(&w, 1));
	ck_assert(!rpc_gss_window_take(&w, 1));
	ck_assert(rpc_gss_window_take(&w, 0));
	ck_assert(!rpc_gss_window_take(&w, 0));
	ck_assert(rpc_gss_window_take(&w, 3));
	ck_assert(rpc_gss_window_take(&w, 2));
	ck_assert(!rpc_gss_window_take(&w, 2));
	/* the last one still in it, and the first out of it */
	ck_assert(rpc_gss_window_take(&w, 1000));
	ck_assert(rpc_gss_window_take(&w, 1000 - RPC_GSS_WINDOW + 1));
	ck_assert(!rpc_gss_window_take(&w, 1000 - RPC_GSS_WINDOW + 1));
	ck_assert(!rpc_gss_window_take(&w, 1000 - RPC_GSS_WINDOW));
	ck_assert(rpc_gss_window_take(&w, RPC_GSS_MAXSEQ - 1));
	ck_assert(!rpc_gss_window_take(&w, 1000));
}
END_TEST

/* Against a list of all that was taken. */
START_TEST(window_model)
{
	enum { N = 4000 };
	static bool taken[N];
	struct rpc_gss_window w = { 0 };
	uint32_t high = 0;
	srandom((unsigned)_i);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t at = (uint32_t)(i / 6) % (N - 300), seq = at + (uint32_t)random() % 290;
		bool want = seq > high || (high - seq < RPC_GSS_WINDOW && !taken[seq]);
		ck_assert_msg(rpc_gss_window_take(&w, seq) == want, "step %u: %u under %u", i, seq, high);
		if (want)
			taken[seq] = true;
		if (seq > high)
			high = seq;
	}
	memset(taken, 0, sizeof taken);
}
END_TEST

static struct rpc_out *
call_new(const uint8_t *handle, uint32_t handle_len)
{
	struct rpc_out *out = rpc_out_get(512);
	struct rpc_gss_call call = { .xid = 7, .prog = 100003, .vers = 4, .proc = 1, .gss_proc = RPC_GSS_DATA, .service = 2,
		.seq = 99, .handle = handle, .handle_len = handle_len };
	ck_assert_int_eq(rpc_gss_call_header(NULL, out, &call), 0);
	return out;
}

START_TEST(credential)
{
	static const uint8_t handle[] = "handle of 17 byte";
	struct rpc_call call;
	enum rpc_status status;
	struct rpc_out *out = call_new(handle, 17);
	ck_assert_int_eq(rpc_msg_call(out->data, out->len, &call, &status), 0);
	ck_assert_int_eq(status, RPC_OK);
	ck_assert_uint_eq(call.cred.flavor, RPCSEC_GSS);
	ck_assert_uint_eq(call.cred.uid, 65534);
	ck_assert(call.gss.proc == RPC_GSS_DATA && call.gss.seq == 99 && call.gss.service == 2);
	ck_assert(call.gss.handle_len == 17 && !memcmp(call.gss.handle, handle, 17));
	/* Of the xid to the end of the credential: all but the verifier (RFC 2203 5.3.1). */
	ck_assert(call.gss.header == out->data && call.gss.header_len == out->len - 8);
	ck_assert(call.gss.verf_flavor == AUTH_NONE && call.gss.mic_len == 0);
	for (uint32_t len = 0; len < out->len; len++) {
		uint8_t *copy = malloc(len + 1);
		memcpy(copy, out->data, len);
		int err = rpc_msg_call(copy, len, &call, &status);
		ck_assert(err == -EBADMSG || status == RPC_AUTH_BADCRED || status == RPC_AUTH_BADVERF);
		free(copy);
	}
	/* another version; a byte too many in the credential */
	out->data[35] = 2;
	ck_assert_int_eq(rpc_msg_call(out->data, out->len, &call, &status), 0);
	ck_assert_int_eq(status, RPC_AUTH_BADCRED);
	out->data[35] = 1;
	out->data[31] += 4;
	ck_assert_int_eq(rpc_msg_call(out->data, out->len, &call, &status), 0);
	ck_assert_int_ne(status, RPC_OK);
	rpc_out_put(out);
	/* a handle too long to be one */
	static const uint8_t longest[RPC_GSS_MAX_HANDLE + 1];
	struct rpc_gss_call c = { .handle = longest, .handle_len = sizeof longest };
	out = rpc_out_get(512);
	ck_assert_int_eq(rpc_gss_call_header(NULL, out, &c), -EMSGSIZE);
	rpc_out_put(out);
}
END_TEST

/* Frames that say more than there is are refused before anything is asked of a context (there is none). */
START_TEST(frames)
{
	static const uint32_t bad[][4] = {
		{ 0 }, { 0xffffffff, 1, 2, 3 }, { 16, 1, 2, 3 }, { 13, 1, 2, 3 }, { 4, 9, 0xffffffff, 0 }, { 4, 9, 257, 0 },
		{ 4, 9, 8, 0 } };
	static const uint32_t lens[] = { 0, 16, 16, 16, 16, 16, 16 };
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t words[4];
		for (unsigned k = 0; k < 4; k++)
			words[k] = htobe32(bad[i][k]);
		uint8_t *body = (uint8_t *)words;
		uint32_t len = lens[i];
		ck_assert_int_eq(rpc_gss_open(NULL, RPC_GSS_INTEGRITY, 9, &body, &len), -EBADMSG);
	}
	uint8_t plain[4] = "abc", *body = plain;
	uint32_t len = 4;
	ck_assert_int_eq(rpc_gss_open(NULL, RPC_GSS_NONE, 9, &body, &len), 0);
	ck_assert(body == plain && len == 4);
	uint8_t word[4] = { 0 };
	body = word;
	ck_assert_int_eq(rpc_gss_open(NULL, 9, 9, &body, &len), -EBADMSG);
}
END_TEST

START_TEST(init_result)
{
	uint8_t buf[256];
	XDR x;
	struct rpc_gss_init_res in = { (const uint8_t *)"hndl!", 5, 0, 3, 128, (const uint8_t *)"token", 5 }, got;
	ax_init(&x, buf, sizeof buf, XDR_ENCODE, NULL);
	ck_assert(rpc_gss_init_res_put(&x, &in));
	uint32_t len = ax_used(&x);
	ck_assert(rpc_gss_init_res_get(buf, len, &got));
	ck_assert(got.handle_len == 5 && !memcmp(got.handle, "hndl!", 5) && got.minor == 3 && got.window == 128);
	ck_assert(got.token_len == 5 && !memcmp(got.token, "token", 5));
	ck_assert(!rpc_gss_init_res_get(buf, len + 4, &got));
	for (uint32_t n = 0; n < len; n++)
		ck_assert(!rpc_gss_init_res_get(buf, n, &got));
}
END_TEST

/* Denials of RPCSEC_GSS are told from others. */
START_TEST(denied)
{
	static const struct { enum rpc_status status; int err; } rows[] = { { RPC_AUTH_GSS_CRED, -EKEYEXPIRED },
		{ RPC_AUTH_GSS_CTX, -EKEYEXPIRED }, { RPC_AUTH_BADCRED, -EACCES }, { RPC_GARBAGE_ARGS, -EPROTO } };
	struct rpc_reply reply;
	struct rpc_out *out = rpc_out_get(64);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		rpc_reply_header(out, 1, rows[i].status, 0, 0);
		ck_assert_int_eq(rpc_msg_reply(out->data, out->len, &reply), rows[i].err);
	}
	rpc_out_put(out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("gss");
	TCase *tc = tcase_create("all");
	tcase_add_test(tc, window);
	tcase_add_loop_test(tc, window_model, 1, 9);
	tcase_add_test(tc, credential);
	tcase_add_test(tc, frames);
	tcase_add_test(tc, init_result);
	tcase_add_test(tc, denied);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
