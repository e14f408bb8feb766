/* The lease clock with a time of its own. */
#include <check.h>
#include <stdlib.h>

#include "client/lease.h"

#define S 1000000000ull

START_TEST(counts_from_sending)
{
	struct lease l = { 0 };
	ck_assert(!lease_valid(&l, 5 * S));
	lease_set_length(&l, 80);
	ck_assert(!lease_valid(&l, 5 * S));	/* no SEQUENCE answered yet */
	lease_renewed(&l, 100 * S);		/* sent at 100, whenever it was answered */
	ck_assert(lease_valid(&l, 100 * S));
	ck_assert(lease_valid(&l, 169 * S));
	ck_assert(!lease_valid(&l, 170 * S));	/* 80 less the margin of an eighth */
	ck_assert(!lease_valid(&l, 10000 * S));
}
END_TEST

START_TEST(replies_out_of_order)
{
	struct lease l = { 0 };
	lease_set_length(&l, 80);
	lease_renewed(&l, 200 * S);
	lease_renewed(&l, 150 * S);		/* an older request, answered later */
	ck_assert(lease_valid(&l, 269 * S));
	lease_drop(&l);
	ck_assert(!lease_valid(&l, 201 * S));
}
END_TEST

START_TEST(margin_and_renewal)
{
	struct lease l = { 0 };
	lease_set_length(&l, 3600);
	lease_renewed(&l, S);
	ck_assert(lease_valid(&l, 3590 * S));	/* the margin is at most 10 s */
	ck_assert(!lease_valid(&l, 3591 * S));
	ck_assert(!lease_due(&l, 1200 * S));
	ck_assert(lease_due(&l, 1201 * S));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lease");
	TCase *t = tcase_create("all");
	tcase_add_test(t, counts_from_sending);
	tcase_add_test(t, replies_out_of_order);
	tcase_add_test(t, margin_and_renewal);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
