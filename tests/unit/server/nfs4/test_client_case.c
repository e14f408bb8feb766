/* EXCHANGE_ID's cases (RFC 8881 18.35.4): every combination of facts against the table of the RFC. */
#include <check.h>
#include <stdlib.h>

#include "server/nfs4/client_case.h"

/* A rule holds for the combinations that have its facts; 2: either. */
static const struct rule {
	int update, confirmed, verifier, principal, busy;
	struct client_verdict verdict;
	const char *name;
} rules[] = {
	{ 0, 0, 2, 2, 2, { .status = NFS4_OK }, "1, 4: new owner, unconfirmed record" },
	{ 0, 1, 1, 1, 2, { .keep = true }, "2: non-update on existing" },
	{ 0, 1, 2, 0, 0, { .drop_confirmed = true }, "3: collision, nothing held" },
	{ 0, 1, 2, 0, 1, { .status = NFS4ERR_CLID_INUSE }, "3: collision, state held" },
	{ 0, 1, 0, 1, 2, { .status = NFS4_OK }, "5: client restart" },
	{ 1, 1, 1, 1, 2, { .keep = true }, "6: update" },
	{ 1, 0, 2, 2, 2, { .status = NFS4ERR_NOENT }, "7: update, no confirmed record" },
	{ 1, 1, 0, 2, 2, { .status = NFS4ERR_NOT_SAME }, "8: update, wrong verifier" },
	{ 1, 1, 1, 0, 2, { .status = NFS4ERR_PERM }, "9: update, wrong principal" },
};

static bool
is(int want, bool fact)
{
	return want == 2 || want == (int)fact;
}

START_TEST(every_combination)
{
	struct client_facts f = { .update = _i & 1, .confirmed = _i & 2, .same_verifier = _i & 4,
		.same_principal = _i & 8, .has_state = _i & 16, .lease_over = _i & 32 };
	bool busy = f.has_state && !f.lease_over;
	unsigned hits = 0;
	for (unsigned i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		const struct rule *r = &rules[i];
		if (!is(r->update, f.update) || !is(r->confirmed, f.confirmed) || !is(r->verifier, f.same_verifier) ||
		    !is(r->principal, f.same_principal) || !is(r->busy, busy))
			continue;
		struct client_verdict v = client_case(&f);
		ck_assert_msg(v.status == r->verdict.status && v.keep == r->verdict.keep &&
		    v.drop_confirmed == r->verdict.drop_confirmed, "%s", r->name);
		hits++;
	}
	ck_assert_uint_eq(hits, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("client_case");
	TCase *tc = tcase_create("all");
	tcase_add_loop_test(tc, every_combination, 0, 64);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
