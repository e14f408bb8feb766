/* The log: one line, cut at its end, nothing of a peer begins a line of its own. */
#include "vector.h"

#include <unistd.h>

#include "log.h"

static char text[4096];

static const char *
captured(void (*fn)(void))
{
	int fd[2], saved = dup(2);
	ck_assert_int_eq(pipe(fd), 0);
	dup2(fd[1], 2);
	fn();
	dup2(saved, 2);
	close(saved);
	close(fd[1]);
	ssize_t n = read(fd[0], text, sizeof text - 1);
	text[n < 0 ? 0 : n] = 0;
	close(fd[0]);
	return text;
}

static void plain(void) { log_warn("%s %d", "file", 7); }
static void forged(void) { log_error("name \"%s\"", "a\n<0>forged\r\x1b[2J"); }
static void quiet(void) { log_debug("not seen"); }

static void
endless(void)
{
	char s[3000];
	memset(s, 'x', sizeof s);
	s[sizeof s - 1] = 0;
	log_info("%s", s);
}

START_TEST(lines)
{
	ck_assert_str_eq(captured(plain), "<4>file 7\n");
	ck_assert_str_eq(captured(forged), "<3>name \"a?<0>forged??[2J\"\n");
	ck_assert_str_eq(captured(quiet), "");
	log_set_level(LOG_LEVEL_DEBUG);
	ck_assert_str_eq(captured(quiet), "<7>not seen\n");
	log_set_level(LOG_LEVEL_INFO);
	const char *s = captured(endless);
	ck_assert_uint_le(strlen(s), 1024);
	ck_assert_ptr_eq(strchr(s, '\n'), s + strlen(s) - 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");
	tcase_add_test(tc, lines);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
