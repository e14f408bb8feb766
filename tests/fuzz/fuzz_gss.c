/*
 * What comes under RPCSEC_GSS before and after its checksums are looked at: credentials, wrapped bodies, the answer to INIT.  GSS-API is played by the functions
 * below (they stand before the library's), which find good what begins with 'g': the parsers behind a good checksum are reached.
 */
#include <gssapi/gssapi.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rpc/gss.h"
#include "proto/rpc/rpc_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void
look(const uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sink ^= data[i];
}

OM_uint32
gss_verify_mic(OM_uint32 *minor, gss_ctx_id_t ctx, gss_buffer_t message, gss_buffer_t token, gss_qop_t *qop)
{
	(void)ctx;
	*minor = *qop = 0;
	look(message->value, (uint32_t)message->length);
	look(token->value, (uint32_t)token->length);
	return token->length && *(uint8_t *)token->value == 'g' ? GSS_S_COMPLETE : GSS_S_BAD_SIG;
}

/* The first byte goes, the rest is what was wrapped. */
OM_uint32
gss_unwrap(OM_uint32 *minor, gss_ctx_id_t ctx, gss_buffer_t in, gss_buffer_t out, int *conf, gss_qop_t *qop)
{
	(void)ctx;
	*minor = *qop = 0;
	look(in->value, (uint32_t)in->length);
	if (!in->length || (*(uint8_t *)in->value | 1) != 'g')
		return GSS_S_BAD_SIG;
	*conf = *(uint8_t *)in->value == 'g';
	out->length = in->length - 1;
	out->value = malloc(out->length + 1);
	memcpy(out->value, (uint8_t *)in->value + 1, out->length);
	return GSS_S_COMPLETE;
}

OM_uint32
gss_release_buffer(OM_uint32 *minor, gss_buffer_t buf)
{
	*minor = 0;
	free(buf->value);
	buf->value = NULL;
	buf->length = 0;
	return GSS_S_COMPLETE;
}

/* A body of each service, of a sequence number it may have. */
static void
body(struct rpc_gss *gss, const uint8_t *data, uint32_t size)
{
	for (uint32_t service = 0; service < 5; service++) {
		uint8_t *copy = malloc(size + 1), *at = copy;
		uint32_t len = size;
		memcpy(copy, data, size);
		if (rpc_gss_open(gss, service, 'S', &at, &len) == 0) {
			if (at < copy || len > size || at + len > copy + size)
				abort();
			if (service != RPC_GSS_NONE && len + 8 > size)
				abort();
			look(at, len);
		}
		free(copy);
	}
}

static void
record(uint8_t *data, uint32_t size)
{
	struct rpc_call call;
	struct rpc_reply reply;
	enum rpc_status status;
	if (rpc_msg_call(data, size, &call, &status) == 0 && status == RPC_OK && call.cred.flavor == RPCSEC_GSS) {
		look(call.gss.handle, call.gss.handle_len);
		look(call.gss.header, call.gss.header_len);
		look(call.gss.mic, call.gss.mic_len);
		look(call.args, call.args_len);
		if (call.gss.header != data || call.gss.header_len + 8 > size)
			abort();
	}
	if (rpc_msg_reply(data, size, &reply) == 0) {
		look(reply.verf, reply.verf_len);
		look(reply.body, reply.body_len);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rpc_gss *gss;
	struct rpc_gss_init_res res;
	if (!gss)
		gss = rpc_gss_new(NULL);
	body(gss, data, (uint32_t)size);
	uint8_t *copy = malloc(size + 1);
	memcpy(copy, data, size);
	record(copy, (uint32_t)size);
	memcpy(copy, data, size);
	if (rpc_gss_init_res_get(copy, (uint32_t)size, &res)) {
		look(res.handle, res.handle_len);
		look(res.token, res.token_len);
	}
	free(copy);
	return 0;
}
