/* CB_COMPOUND as the test wants it answered (RFC 8881 20.1, 20.3, 20.9, 20.12). */
#include "proto/rpc/rpc_msg.h"
#include "tests/integ/wire/wire.h"

static void
reply_begin(XDR *x, uint8_t *buf, uint32_t size, uint32_t xid)
{
	uint32_t words[] = { 0, xid, 1, 0, 0, 0, 0 };	/* mark, xid, REPLY, accepted, no verifier, success */
	ax_init(x, buf, size, XDR_ENCODE, NULL);
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		ax_put_u32(x, words[i]);
}

static void
rule(struct client *c, bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "callback to %s: %s\n", c->owner, what);
	c->cb_errors++;
}

static void
sequence_take(struct client *c, const CB_SEQUENCE4args *seq, struct cb_seen *seen)
{
	seen->slot = seq->csa_slotid;
	seen->seqid = seq->csa_sequenceid;
	seen->cachethis = seq->csa_cachethis;
	if (seq->csa_slotid >= SLOTS) {
		rule(c, false, "a slot the client does not have");
		return;
	}
	rule(c, seq->csa_sequenceid == c->cb_seqids[seq->csa_slotid] + 1 || seq->csa_sequenceid == c->cb_seqids[seq->csa_slotid],
	    "misordered");
	c->cb_seqids[seq->csa_slotid] = seq->csa_sequenceid;
	for (u_int i = 0; i < seq->csa_referring_call_lists.csa_referring_call_lists_len; i++) {
		referring_call_list4 *l = &seq->csa_referring_call_lists.csa_referring_call_lists_val[i];
		for (u_int j = 0; j < l->rcl_referring_calls.rcl_referring_calls_len && seen->nrefs < 8; j++) {
			memcpy(seen->refs[seen->nrefs].session, l->rcl_sessionid, NFS4_SESSIONID_SIZE);
			seen->refs[seen->nrefs].seqid = l->rcl_referring_calls.rcl_referring_calls_val[j].rc_sequenceid;
			seen->refs[seen->nrefs++].slot = l->rcl_referring_calls.rcl_referring_calls_val[j].rc_slotid;
		}
	}
}

static void
recall_take(struct client *c, const CB_LAYOUTRECALL4args *args, struct cb_seen *seen)
{
	seen->type = args->clora_type;
	seen->iomode = args->clora_iomode;
	seen->changed = args->clora_changed;
	seen->what = args->clora_recall.lor_recalltype;
	if (seen->what != LAYOUTRECALL4_FILE)
		return;
	const layoutrecall_file4 *f = &args->clora_recall.layoutrecall4_u.lor_layout;
	seen->fh_len = f->lor_fh.nfs_fh4_len;
	memcpy(seen->fh, f->lor_fh.nfs_fh4_val, seen->fh_len);
	seen->offset = f->lor_offset;
	seen->length = f->lor_length;
	seen->stateid = f->lor_stateid;
	rule(c, f->lor_stateid.seqid != 0, "a layout stateid with seqid 0 (RFC 8881 12.5.3)");
}

/* Values in the order of the mask's bits; what is left over is too much. */
static void
notify_take(struct client *c, const CB_NOTIFY_DEVICEID4args *args)
{
	for (u_int i = 0; i < args->cnda_changes.cnda_changes_len; i++) {
		const notify4 *n = &args->cnda_changes.cnda_changes_val[i];
		struct notice_seen seen = { .at = now_ms() };
		const uint8_t *id;
		uint32_t type;
		XDR x;
		rule(c, n->notify_mask.bitmap4_len == 1 && c->nnotices < NOTICES, "a bitmap of one word");
		if (n->notify_mask.bitmap4_len != 1 || c->nnotices == NOTICES)
			return;
		seen.what = n->notify_mask.bitmap4_val[0];
		ax_init(&x, n->notify_vals.notifylist4_val, n->notify_vals.notifylist4_len, XDR_DECODE, NULL);
		bool ok = (seen.what == 2 || seen.what == 4) && ax_get_u32(&x, &type) && (id = ax_get_fixed(&x, NFS4_DEVICEID4_SIZE));
		if (ok)
			memcpy(seen.device, id, sizeof seen.device);
		ok = ok && type == world.type && (seen.what == 4 || ax_get_u32(&x, &seen.immediate)) && ax_left(&x) == 0;
		rule(c, ok, "CB_NOTIFY_DEVICEID that cannot be read");
		c->notices[c->nnotices++] = seen;
	}
}

static void
lock_take(struct client *c, const CB_NOTIFY_LOCK4args *args)
{
	const state_owner4 *o = &args->cnla_lock_owner;
	rule(c, o->clientid == c->clientid, "CB_NOTIFY_LOCK of another client's owner");
	rule(c, o->owner.owner_len <= sizeof c->locks[0].owner && c->nlocks < LOCKS_SEEN, "more of CB_NOTIFY_LOCK than was asked for");
	if (c->nlocks == LOCKS_SEEN || o->owner.owner_len > sizeof c->locks[0].owner)
		return;
	struct lock_seen *seen = &c->locks[c->nlocks++];
	*seen = (struct lock_seen){ .at = now_ms(), .fh_len = args->cnla_fh.nfs_fh4_len, .owner_len = o->owner.owner_len };
	memcpy(seen->fh, args->cnla_fh.nfs_fh4_val, seen->fh_len);
	memcpy(seen->owner, o->owner.owner_val, seen->owner_len);
}

static void
offload_take(struct client *c, const CB_OFFLOAD4args *args)
{
	const offload_info4 *info = &args->coa_offload_info;
	const write_response4 *ok = &info->offload_info4_u.coa_resok4;
	struct offload_seen *seen = &c->offload;
	*seen = (struct offload_seen){ .fh_len = args->coa_fh.nfs_fh4_len, .stateid = args->coa_stateid, .status = info->coa_status };
	memcpy(seen->fh, args->coa_fh.nfs_fh4_val, seen->fh_len);
	c->noffloads++;
	if (info->coa_status != NFS4_OK) {
		seen->count = info->offload_info4_u.coa_bytes_copied;
		return;
	}
	rule(c, !ok->wr_callback_id.wr_callback_id_len, "CB_OFFLOAD with a callback id (RFC 7862 16.1.3)");
	seen->count = ok->wr_count;
	seen->committed = ok->wr_committed;
	memcpy(seen->verf, ok->wr_writeverf, sizeof seen->verf);
}

/* What was recalled goes back, one LAYOUTRETURN at a time, on a slot of its own. */
void
callback_next_return(struct client *c)
{
	if (c->return_xid || !c->nreturns)
		return;
	struct cb_seen *seen = c->returns[0];
	memmove(c->returns, c->returns + 1, --c->nreturns * sizeof *c->returns);
	static uint8_t buf[4096];
	struct compound_call out;
	uint32_t xid = ++c->xid;
	rpc_socket_header(buf, xid, c->id);
	compound_call_begin(&out, buf + RPC_SOCKET_HEADER, sizeof buf - RPC_SOCKET_HEADER, "", c->minor);
	SEQUENCE4args seq = { .sa_sequenceid = ++c->seqids[SLOT_RETURNS], .sa_slotid = SLOT_RETURNS, .sa_highest_slotid = SLOT_RETURNS };
	memcpy(seq.sa_sessionid, c->session, sizeof seq.sa_sessionid);
	compound_call_op(&out, OP_SEQUENCE, &seq);
	PUTFH4args putfh = { { seen->fh_len, seen->fh } };
	compound_call_op(&out, OP_PUTFH, &putfh);
	LAYOUTRETURN4args ret = { .lora_layout_type = seen->type, .lora_iomode = seen->iomode };
	ret.lora_layoutreturn.lr_returntype = seen->what;
	ret.lora_layoutreturn.layoutreturn4_u.lr_layout = (layoutreturn_file4){ seen->offset, seen->length, seen->stateid, { 0, NULL } };
	compound_call_op(&out, OP_LAYOUTRETURN, &ret);
	uint32_t len = RPC_SOCKET_HEADER + compound_call_end(&out);
	rpc_socket_mark(buf, len);
	c->return_xid = xid;
	for (struct file *f = c->files; f; f = f->next)
		if (f->fh.nfs_fh4_len == seen->fh_len && !memcmp(f->fh_data, seen->fh, seen->fh_len)) {
			f->layout = seen->stateid;
			f->held = seen->offset || seen->length != ALL;
		}
	if (c->fd[seen->conn] < 0 || rpc_socket_send(c->fd[seen->conn], buf, len))
		c->return_xid = 0;
}

static void
answer(struct client *c, const struct cb_seen *seen, uint32_t op, uint32_t xid, const CB_SEQUENCE4args *seq, const struct nfs_str *tag)
{
	static const nfsstat4 answers[] = { [CB_RETURN] = NFS4_OK, [CB_HOLD] = NFS4_OK, [CB_NOMATCH] = NFS4ERR_NOMATCHING_LAYOUT,
		[CB_DELAY] = NFS4ERR_DELAY };
	if (c->policy == CB_SILENT)
		return;
	uint8_t buf[512];
	XDR x;
	struct compound_reply r;
	/* As a client does that has not read the answer to CREATE_SESSION yet: the server has to ask again (20.9.3). */
	bool known = !memcmp(seq->csa_sessionid, c->session, sizeof c->session);
	CB_SEQUENCE4res sres = { .csr_status = known ? NFS4_OK : NFS4ERR_BADSESSION };
	CB_SEQUENCE4resok *ok = &sres.CB_SEQUENCE4res_u.csr_resok4;
	memcpy(ok->csr_sessionid, seq->csa_sessionid, sizeof ok->csr_sessionid);
	ok->csr_sequenceid = seq->csa_sequenceid;
	ok->csr_slotid = seq->csa_slotid;
	ok->csr_highest_slotid = ok->csr_target_highest_slotid = SLOTS - 1;
	/* Both results are a status. */
	CB_LAYOUTRECALL4res lres = { answers[c->policy] };
	if ((op == OP_CB_NOTIFY_DEVICEID && c->policy != CB_DELAY) || op == OP_CB_NOTIFY_LOCK || op == OP_CB_OFFLOAD)
		lres.clorr_status = NFS4_OK;
	reply_begin(&x, buf, sizeof buf, xid);
	compound_reply_begin(&r, &x, tag);
	compound_cb_res_put(&x, OP_CB_SEQUENCE, &sres);
	if (known && op)
		compound_cb_res_put(&x, op, &lres);
	compound_reply_end(&r, !known ? sres.csr_status : op ? lres.clorr_status : NFS4_OK, known && op ? 2 : 1);
	rpc_socket_mark(buf, ax_used(&x));
	rpc_socket_send(c->fd[seen->conn], buf, ax_used(&x));
}

/* A CALL on one of C's connections. */
void
callback_take(struct client *c, unsigned conn, uint8_t *data, uint32_t len)
{
	struct rpc_call call;
	enum rpc_status rpc_status;
	struct compound_header h;
	XDR x;
	REQUIRE(c->ncbs < CBS);
	struct cb_seen *seen = &c->cbs[c->ncbs];
	memset(seen, 0, sizeof *seen);
	memset(&call, 0, sizeof call);
	if (rpc_msg_call(data, len, &call, &rpc_status) || rpc_status != RPC_OK) {
		rule(c, false, "no RPC call");
		return;
	}
	seen->at = now_ms();
	seen->conn = conn;
	seen->program = call.prog;
	seen->flavor = call.cred.flavor;
	seen->uid = call.cred.flavor == AUTH_SYS ? call.cred.uid : 0;
	rule(c, call.prog == 0x40000123, "another program than csa_cb_program");
	if (call.proc == 0) {		/* CB_NULL */
		uint8_t null[28];
		reply_begin(&x, null, sizeof null, call.xid);
		rpc_socket_mark(null, sizeof null);
		rpc_socket_send(c->fd[conn], null, sizeof null);
		return;
	}
	ax_init(&x, call.args, call.args_len, XDR_DECODE, &c->arena);
	if (!compound_cb_header_get(&x, &h)) {
		rule(c, false, "malformed");
		return;
	}
	seen->minor = h.minor;
	uint32_t op;
	nfs_cb_argop4 arg;
	rule(c, compound_cb_arg_get(&x, &arg, &op) == NFS4_OK && op == OP_CB_SEQUENCE, "no CB_SEQUENCE first");
	CB_SEQUENCE4args seq = arg.nfs_cb_argop4_u.opcbsequence;
	sequence_take(c, &seq, seen);
	bool more = h.count > 1 && compound_cb_arg_get(&x, &arg, &op) == NFS4_OK;
	bool recall = more && op == OP_CB_LAYOUTRECALL, notify = more && op == OP_CB_NOTIFY_DEVICEID,
	     lock = more && op == OP_CB_NOTIFY_LOCK, offload = more && op == OP_CB_OFFLOAD;
	rule(c, recall || notify || lock || offload || h.count == 1, "a callback that was not asked for");
	if (recall)
		recall_take(c, &arg.nfs_cb_argop4_u.opcblayoutrecall, seen);
	if (notify)
		notify_take(c, &arg.nfs_cb_argop4_u.opcbnotify_deviceid);
	if (lock)
		lock_take(c, &arg.nfs_cb_argop4_u.opcbnotify_lock);
	if (offload)
		offload_take(c, &arg.nfs_cb_argop4_u.opcboffload);
	answer(c, seen, recall || notify || lock || offload ? op : 0, call.xid, &seq, &h.tag);
	if (!recall || memcmp(seq.csa_sessionid, c->session, sizeof c->session))
		return;
	c->ncbs++;
	if (c->policy == CB_RETURN) {
		c->returns[c->nreturns++] = seen;
		callback_next_return(c);
	}
}

unsigned
recalls(const struct client *c, const nfs_fh4 *fh)
{
	unsigned n = 0;
	for (unsigned i = 0; i < c->ncbs; i++)
		n += !fh || (fh->nfs_fh4_len == c->cbs[i].fh_len && !memcmp(fh->nfs_fh4_val, c->cbs[i].fh, c->cbs[i].fh_len));
	return n;
}

bool
recall_wait(struct client *c, unsigned had, unsigned ms)
{
	for (uint64_t end = now_ms() + ms; c->ncbs <= had && now_ms() < end;)
		world_pump(5);
	return c->ncbs > had;
}

struct cb_seen *
recall_last(struct client *c)
{
	REQUIRE(c->ncbs);
	return &c->cbs[c->ncbs - 1];
}

unsigned
notices(const struct client *c, uint32_t what, const uint8_t *device)
{
	unsigned n = 0;
	for (unsigned i = 0; i < c->nnotices; i++)
		n += c->notices[i].what == what && !memcmp(c->notices[i].device, device, NFS4_DEVICEID4_SIZE);
	return n;
}

bool
notice_wait(struct client *c, uint32_t what, const uint8_t *device, unsigned had, unsigned ms)
{
	for (uint64_t end = now_ms() + ms; notices(c, what, device) <= had && now_ms() < end;)
		world_pump(5);
	return notices(c, what, device) > had;
}
