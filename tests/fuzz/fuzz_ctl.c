/* A request at the administrator's socket: whatever comes, the reply is a JSON object, and the server is there afterwards. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/ctl/ctl.h"
#include "tests/fuzz/server.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mds *mds;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	mds = fuzz_server();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= CTL_REQUEST_MAX)
		return 0;
	/* A copy of exactly its length, for the sanitizer. */
	char *copy = malloc(size + 1);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	json_t *reply = ctl_answer(mds, copy, size);
	free(copy);
	char *text = json_is_object(reply) ? json_dumps(reply, JSON_COMPACT) : NULL;
	if (!text)
		abort();
	free(text);
	json_decref(reply);
	return 0;
}
