/* Mount URLs and paths. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct url url;
	struct path path;
	const char *why;
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (url_parse(text, &url, &why) == 0 && path_parse(&path, url.path, "x/../y") == 0)
		for (unsigned i = 0; i < path.n; i++)
			if (strchr(path.name[i], '/') || !*path.name[i])
				abort();
	free(text);
	return 0;
}
