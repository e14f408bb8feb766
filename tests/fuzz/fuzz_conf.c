/* pnfs-mds.conf: any text is understood or refused with a message. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mds_conf conf;
	char *error, *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (conf_parse(&conf, text, "fuzz", &error) == 0) {
		if (error || !conf.lease || conf.lease > 3600 || conf.grace > 3600 || !conf.listen_host)
			abort();
		conf_free(&conf);
	} else if (!error || strncmp(error, "fuzz", 4)) {
		abort();
	}
	free(error);
	free(text);
	return 0;
}
