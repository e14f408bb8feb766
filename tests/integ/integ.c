/* What the programs of integration tests expected, counted; see integ.h. */
#include "tests/integ/integ.h"

unsigned integ_checks, integ_failures;

void
integ_expect(const char *file, int line, const char *what, int64_t got, int64_t want)
{
	integ_checks++;
	if (got == want)
		return;
	integ_failures++;
	fprintf(stderr, "%s:%d: %s: %lld, expected %lld\n", file, line, what, (long long)got, (long long)want);
}

int
integ_result(void)
{
	printf("%u checks, %u failed\n", integ_checks, integ_failures);
	return integ_failures || !integ_checks;
}
