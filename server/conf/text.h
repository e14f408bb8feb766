/* What conf.c and exports*.c share: reading a whole file, and messages that name file, line and word. */
#ifndef PNFS_SERVER_CONF_TEXT_H
#define PNFS_SERVER_CONF_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define TEXT_MAX (1u << 20)	/* bytes of a configuration file */

/*
 * The file as a terminated string (malloc'd).  -errno with *error: cannot be read, larger than TEXT_MAX, or with a NUL in it.
 */
int text_read(const char *file, char **text, char **error);

/* Sets *error to "NAME:LINE: message" unless it is set already; returns -EINVAL (-ENOMEM). */
int text_fail(char **error, const char *name, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A decimal number of MIN to MAX and nothing else. */
bool text_number(const char *word, uint64_t min, uint64_t max, uint64_t *value);

#endif
