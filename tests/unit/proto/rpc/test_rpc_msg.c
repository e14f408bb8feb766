/* RPC headers: vectors both ways, every truncation. */
#include "../vector.h"

#include <errno.h>

#include "proto/rpc/rpc_msg.h"

START_TEST(call_header)
{
	struct vector v;
	struct rpc_call call;
	enum rpc_status status;
	vector_load(&v, "rpc-call");
	ck_assert_int_eq(rpc_msg_call(v.data, v.len, &call, &status), 0);
	ck_assert_int_eq(status, RPC_OK);
	ck_assert_uint_eq(call.xid, 0x01020304);
	ck_assert_uint_eq(call.prog, 100003);
	ck_assert_uint_eq(call.cred.flavor, AUTH_SYS);
	ck_assert_uint_eq(call.cred.uid, 1000);
	ck_assert_uint_eq(call.cred.gid, 100);
	ck_assert_uint_eq(call.cred.ngids, 2);
	ck_assert_uint_eq(call.cred.gids[1], 10);
	ck_assert_uint_eq(call.args_len, 0);
	struct rpc_out *out = rpc_out_get(1);
	ck_assert_uint_ge(out->cap, 512);
	rpc_call_header(out, 100003, 4, 1, &call.cred, "client-1");
	memcpy(v.data, "\0\0\0\0", 4);		/* the xid comes later */
	memcpy(v.data + 32, "\0\0\0\0", 4);	/* and we send no stamp */
	bytes_eq("call", out->data, out->len, v.data, v.len);
	/* the longest there can be */
	char machine[400];
	memset(machine, 'm', sizeof machine);
	machine[sizeof machine - 1] = 0;
	call.cred.ngids = 1000;
	rpc_call_header(out, 1, 2, 3, &call.cred, machine);
	ck_assert_int_eq(rpc_msg_call(out->data, out->len, &call, &status), 0);
	ck_assert_int_eq(status, RPC_OK);
	ck_assert_uint_eq(call.cred.ngids, RPC_MAX_GROUPS);
	rpc_out_put(out);
	vector_load(&v, "rpc-call");
	for (uint32_t len = 0; len < v.len; len++) {
		uint8_t *copy = malloc(len + 1);
		memcpy(copy, v.data, len);
		int err = rpc_msg_call(copy, len, &call, &status);
		ck_assert(err == -EBADMSG || status != RPC_OK);
		free(copy);
	}
}
END_TEST

START_TEST(reply_headers)
{
	static const struct { const char *name; enum rpc_status status; } cases[] = {
		{ "rpc-reply", RPC_OK }, { "rpc-reply-mismatch", RPC_PROG_MISMATCH },
		{ "rpc-reply-badcred", RPC_AUTH_BADCRED } };
	struct rpc_out *out = rpc_out_get(1);
	for (int i = 0; i < 3; i++) {
		struct vector v;
		vector_load(&v, cases[i].name);
		rpc_reply_header(out, 0x01020304, cases[i].status, 4, 4);
		bytes_eq(cases[i].name, out->data, out->len, v.data, v.len);
	}
	rpc_reply_header(out, 1, RPC_OK, 0, 0);
	ck_assert_uint_eq(out->len, RPC_REPLY_HEADER);
	rpc_out_put(out);
}
END_TEST

/* Buffers come back, of every size. */
START_TEST(out_buffers)
{
	static const uint32_t sizes[] = { 0, 1, 1984, 1985, 16384, 16385, 131072, 131073, RPC_MAX_RECORD,
		RPC_MAX_RECORD + 1 };
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct rpc_out *a = rpc_out_get(sizes[i]), *b = rpc_out_get(sizes[i]);
		ck_assert_uint_ge(a->cap, sizes[i]);
		ck_assert_uint_eq((uintptr_t)a->data % 16, 0);
		memset(a->data, 1, a->cap);
		memset(b->data, 2, b->cap);
		ck_assert(a->cap == 0 || a->data[0] == 1);
		rpc_out_put(a);
		rpc_out_put(b);
	}
	ck_assert_ptr_null(rpc_out_get(UINT32_MAX));
	rpc_out_put(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rpc/rpc_msg");
	TCase *tc = tcase_create("rpc_msg");
	tcase_add_test(tc, call_header);
	tcase_add_test(tc, reply_headers);
	tcase_add_test(tc, out_buffers);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
