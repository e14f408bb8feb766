/*
 * Bytes of CB_COMPOUND calls as a server may send them: the first byte is the length of the first call in words, what follows it the second, and so on.
 * Whatever comes, there is at most one answer to a call, and it is one that fits.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/cb_channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned answers;

void
rpc_peer_send(struct rpc_peer *peer, struct rpc_out *out)
{
	(void)peer;
	if (out->len > RPC_REPLY_HEADER + CB_CHANNEL_REPLY)
		abort();
	answers++;
	rpc_out_put(out);
}

static nfsstat4
one_op(struct cb_channel *ch, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res)
{
	(void)ch;
	(void)res;
	return arg->argop == OP_CB_LAYOUTRECALL ? NFS4_OK : NFS4ERR_NOTSUPP;
}

static const struct cb_channel_ops ops = { .op = one_op };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cb_channel ch;
	cb_channel_init(&ch, &ops, NULL);
	ch.program = 0x40000000;
	ch.minor = 1;
	memset(ch.session, 'S', sizeof ch.session);
	while (size) {
		size_t len = (size_t)*data++ * 4;
		size--;
		if (len > size)
			len = size;
		/* A copy of exactly its length, for the sanitizer. */
		uint8_t *copy = malloc(len + 1);
		if (!copy)
			abort();
		memcpy(copy, data, len);
		struct rpc_call call = { .prog = ch.program, .vers = NFS_CB, .proc = CB_COMPOUND, .args = copy, .args_len = (uint32_t)len };
		answers = 0;
		cb_channel_call(&ch, NULL, &call);
		if (answers != 1)
			abort();
		free(copy);
		data += len;
		size -= len;
	}
	cb_channel_destroy(&ch);
	return 0;
}
