/* Messages to the keeper, each with its length before it: parsed, and served with and without a descriptor. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/keeper/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
message(struct keeper_server *s, const uint8_t *bytes, size_t len, bool with)
{
	struct keeper_message m, reply, again;
	struct keeper_packet packet;
	int give_fd;

	if (keeper_message_parse(bytes, len, &m))
		return;
	/* What was taken apart is put together to the same. */
	if (keeper_message_make(&packet, &m) != (int)len || memcmp(packet.bytes, bytes, len))
		abort();
	keeper_serve_message(s, &m, with ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1, &reply, &give_fd);
	int n = keeper_message_make(&packet, &reply);
	if (n < 0 || keeper_message_parse(packet.bytes, (size_t)n, &again))
		abort();
	if (s->table.n > s->max || (s->end && s->table.n))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keeper_server s = { .listen_fd = -1, .daemon_fd = -1, .signal_fd = -1, .break_fd = -1, .max = 8 };

	while (size > 2 && !s.end) {
		bool with = data[1] & 0x80;
		size_t len = data[0] | (size_t)(data[1] & 0x7f) << 8;
		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		uint8_t *copy = malloc(len ? len : 1);	/* of exactly its length, for the sanitizer */
		if (!copy)
			break;
		memcpy(copy, data, len);
		message(&s, copy, len, with);
		free(copy);
		data += len;
		size -= len;
	}
	while (s.table.n)
		close(keeper_table_remove(&s.table, s.table.list[0]));
	keeper_table_free(&s.table);
	return 0;
}
