/* exports: any text is understood or refused with a message; matching looks at what it made. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/conf/exports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
match_all(const struct exports *exports)
{
	const struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a010203) };
	const struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	for (const struct export_line *l = exports->lines; l; l = l->next) {
		if (l->path[0] != '/' || !l->clients || (l->layout_type != 3 && l->layout_type != 5))
			abort();
		exports_match(l, (const struct sockaddr *)&in);
		exports_match(l, (const struct sockaddr *)&in6);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exports *exports;
	char *error, *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (exports_parse(&exports, text, "fuzz", &error) == 0) {
		if (error)
			abort();
		match_all(exports);
		exports_free(exports);
	} else if (!error || strncmp(error, "fuzz", 4)) {
		abort();
	}
	free(error);
	free(text);
	return 0;
}
