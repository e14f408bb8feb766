/* The log: one write per line to stderr; see include/log.h.  Any thread. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINE 1024

static atomic_int max_level = LOG_LEVEL_INFO;

void
log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

/* What a peer has named may stand in a line: nothing of it may begin another one. */
static void
make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

void
log_print(enum log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = { "<3>", "<4>", "<6>", "<7>" };	/* sd-daemon(3) */
	static const char *const word[] = { "error: ", "warning: ", "", "debug: " };
	char line[MAX_LINE];
	int saved = errno;
	if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
		return;
	const char *start = isatty(STDERR_FILENO) ? word[level] : prefix[level];
	size_t len = strlen(start);
	memcpy(line, start, len + 1);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof line - len - 1, fmt, ap);
	va_end(ap);
	make_printable(line + len);
	len = strlen(line);
	line[len++] = '\n';
	ssize_t n = write(STDERR_FILENO, line, len);
	(void)n;		/* nowhere to say so */
	errno = saved;
}
