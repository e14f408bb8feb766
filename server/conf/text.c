/* Reading configuration files and telling what is wrong with them.  For conf.c, exports.c. */
#include "server/conf/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"

int
text_fail(char **error, const char *name, unsigned line, const char *fmt, ...)
{
	if (*error)
		return -EINVAL;
	CLEANUP_FREE char *message = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&message, fmt, ap);
	va_end(ap);
	if (n < 0) {
		message = NULL;
		return -ENOMEM;
	}
	n = line ? asprintf(error, "%s:%u: %s", name, line, message) : asprintf(error, "%s: %s", name, message);
	if (n < 0) {
		*error = NULL;
		return -ENOMEM;
	}
	return -EINVAL;
}

static int
slurp(FILE *f, const char *file, char *text, char **error)
{
	size_t have = fread(text, 1, TEXT_MAX + 1, f);
	if (ferror(f)) {
		int err = errno ? -errno : -EIO;
		text_fail(error, file, 0, "%s", strerror(-err));
		return err;
	}
	if (have > TEXT_MAX)
		return text_fail(error, file, 0, "larger than %u bytes", TEXT_MAX);
	text[have] = 0;
	const char *nul = memchr(text, 0, have);
	if (!nul)
		return 0;
	unsigned line = 1;
	for (const char *p = text; p < nul; p++)
		line += *p == '\n';
	return text_fail(error, file, line, "a NUL byte: not a text file");
}

int
text_read(const char *file, char **textp, char **error)
{
	FILE *f = fopen(file, "re");
	if (!f) {
		int err = -errno;
		text_fail(error, file, 0, "%s", strerror(-err));
		return err;
	}
	char *text = malloc(TEXT_MAX + 2);
	int err = text ? slurp(f, file, text, error) : -ENOMEM;
	fclose(f);
	if (err) {
		free(text);
		return err;
	}
	*textp = text;
	return 0;
}

bool
text_number(const char *word, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;
	if (!*word)
		return false;
	for (; *word; word++) {
		if (*word < '0' || *word > '9' || v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*word - '0');
	}
	*value = v;
	return v >= min && v <= max;
}
