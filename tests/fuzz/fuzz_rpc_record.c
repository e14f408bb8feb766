/*
 * Bytes of a connection: record marking, then the header of each record.  The
 * first byte chooses how many bytes come at a time; every record given out is
 * read whole (so that the sanitizer sees a wrong length).
 */
#include <stdlib.h>
#include <string.h>

#include "proto/rpc/rec.h"
#include "proto/rpc/rpc_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void
look(uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sink ^= data[i];
}

static void
record(struct rpc_view *view)
{
	uint32_t xid;
	enum rpc_msg_type type;
	enum rpc_status status;
	struct rpc_call call;
	struct rpc_reply reply;
	/* A copy of exactly its length, for the sanitizer. */
	uint8_t *copy = malloc(view->len + 1);
	memcpy(copy, view->data, view->len);
	if (rpc_msg_type(copy, view->len, &xid, &type) == 0) {
		if (type == RPC_MSG_CALL && rpc_msg_call(copy, view->len, &call, &status) == 0 &&
		    status == RPC_OK) {
			if (call.cred.ngids > RPC_MAX_GROUPS)
				abort();
			look(call.args, call.args_len);
			if (call.cred.flavor == RPCSEC_GSS) {
				look(call.gss.handle, call.gss.handle_len);
				look(call.gss.header, call.gss.header_len);
				look(call.gss.mic, call.gss.mic_len);
			}
		} else if (type == RPC_MSG_REPLY && rpc_msg_reply(copy, view->len, &reply) == 0) {
			look(reply.verf, reply.verf_len);
			look(reply.body, reply.body_len);
		}
	}
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_rx rx = { .buf = NULL };
	struct rpc_view view;
	int ret = 0;
	if (size == 0)
		return 0;
	size_t step = data[0] ? (size_t)data[0] * data[0] : SIZE_MAX;
	data++;
	size--;
	while (size && ret >= 0) {
		struct iovec iov[2];
		int n = rx_space(&rx, iov);
		uint32_t put = 0;
		if (n < 0)
			break;
		for (int i = 0; i < n; i++) {
			size_t part = iov[i].iov_len < size ? iov[i].iov_len : size;
			if (part > step)
				part = step;
			memcpy(iov[i].iov_base, data, part);
			data += part;
			size -= part;
			put += (uint32_t)part;
			if (part < iov[i].iov_len)
				break;
		}
		rx_filled(&rx, put);
		while ((ret = rx_next(&rx, &view)) == 1)
			record(&view);
		if (ret == 0)
			rx_idle(&rx);
	}
	rx_destroy(&rx);
	return 0;
}
