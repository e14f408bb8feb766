/* Connections, calls and sessions of the scripted client (wire.h). */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

struct answer {
	struct answer *next;
	uint32_t xid, len;
	uint8_t data[];
};

static struct client *all_clients[64];
static unsigned nclients;

unsigned
clients(struct client ***all)
{
	*all = all_clients;
	return nclients;
}

unsigned
client_connect(struct client *c)
{
	unsigned i = 0;
	while (i < CONNS && c->fd[i] >= 0)
		i++;
	REQUIRE(i < CONNS);
	c->fd[i] = rpc_socket_open(world.port);
	REQUIRE(c->fd[i] >= 0);
	return i;
}

void
client_disconnect(struct client *c, unsigned conn)
{
	if (c->fd[conn] >= 0)
		close(c->fd[conn]);
	c->fd[conn] = -1;
}

struct client *
client_bare(const char *name)
{
	static unsigned number;
	struct client *c = calloc(1, sizeof *c);
	REQUIRE(c && nclients < sizeof all_clients / sizeof *all_clients);
	c->call = malloc(WIRE_BUF);
	c->reply = malloc(WIRE_BUF);
	REQUIRE(c->call && c->reply);
	arena_init(&c->arena, 16u << 20);
	for (unsigned i = 0; i < CONNS; i++)
		c->fd[i] = -1;
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	snprintf(c->owner, sizeof c->owner, "wire %s %d.%u.%ld", name, getpid(), ++number, ts.tv_nsec);
	memcpy(c->verifier, &ts.tv_nsec, sizeof c->verifier);
	c->minor = 1;
	c->cb_flavor = AUTH_SYS;
	c->xid = (uint32_t)number << 20;
	all_clients[nclients++] = c;
	client_connect(c);
	return c;
}

/* ---- calls ---- */

void
call_begin_bare(struct client *c)
{
	c->call_slot = SLOTS;
	rpc_socket_header(c->call, ++c->xid, c->id);
	compound_call_begin(&c->out, c->call + RPC_SOCKET_HEADER, WIRE_BUF - RPC_SOCKET_HEADER, "", c->minor);
}

void
call_begin_seq(struct client *c, uint32_t slot, uint32_t seqid, bool cachethis)
{
	call_begin_bare(c);
	c->call_slot = slot;
	SEQUENCE4args seq = { .sa_sequenceid = seqid, .sa_slotid = slot, .sa_highest_slotid = slot, .sa_cachethis = cachethis };
	memcpy(seq.sa_sessionid, c->session, sizeof seq.sa_sessionid);
	call_op(c, OP_SEQUENCE, &seq);
}

void
call_begin_slot(struct client *c, uint32_t slot)
{
	call_begin_seq(c, slot, ++c->seqids[slot], false);
}

void
call_begin(struct client *c)
{
	call_begin_slot(c, 0);
}

void
call_op(struct client *c, uint32_t op, const void *args)
{
	compound_call_op(&c->out, op, args);
}

uint32_t
call_finish(struct client *c)
{
	uint32_t body = compound_call_end(&c->out);
	REQUIRE(body);
	rpc_socket_mark(c->call, RPC_SOCKET_HEADER + body);
	return RPC_SOCKET_HEADER + body;
}

uint32_t
call_send(struct client *c)
{
	uint32_t len = call_finish(c);
	if (c->fd[c->conn] < 0 || rpc_socket_send(c->fd[c->conn], c->call, len))
		client_disconnect(c, c->conn);
	return c->xid;
}

static void
take_reply(struct client *c, const uint8_t *data, uint32_t len)
{
	uint32_t xid;
	memcpy(&xid, data, 4);
	xid = be32toh(xid);
	struct answer *a = malloc(sizeof *a + len);
	REQUIRE(a);
	a->xid = xid;
	a->len = len;
	memcpy(a->data, data, len);
	a->next = c->answers;
	c->answers = a;
	if (xid == c->return_xid) {	/* a LAYOUTRETURN of callback.c's: only its status is wanted */
		uint32_t status;
		memcpy(&status, data + 24, 4);
		c->return_status = be32toh(status);
		c->returned++;
		c->return_xid = 0;
		c->answers = a->next;
		free(a);
		callback_next_return(c);
	}
}

static void
take_record(struct client *c, unsigned conn)
{
	static uint8_t buf[WIRE_BUF];
	int64_t len = rpc_socket_read(c->fd[conn], buf, sizeof buf);
	if (len < 8) {
		client_disconnect(c, conn);
		return;
	}
	uint32_t type;
	memcpy(&type, buf + 4, 4);
	if (be32toh(type) == 0)
		callback_take(c, conn, buf, (uint32_t)len);
	else if (len >= 28)
		take_reply(c, buf, (uint32_t)len);
}

/* One poll over all clients' connections; false: nothing came in MS. */
static bool
pump_once(unsigned ms)
{
	struct pollfd p[64 * CONNS];
	unsigned n = 0;
	for (unsigned i = 0; i < nclients; i++)
		for (unsigned j = 0; j < CONNS; j++) {
			p[n].fd = all_clients[i]->fd[j];
			p[n].revents = 0;
			p[n++].events = POLLIN;
		}
	if (poll(p, n, (int)ms) <= 0)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (p[i].revents)
			take_record(all_clients[i / CONNS], i % CONNS);
	return true;
}

void
world_pump(unsigned ms)
{
	for (uint64_t now = now_ms(), end = now + ms; now < end; now = now_ms())
		pump_once((unsigned)(end - now));
}

static struct answer *
answer_find(struct client *c, uint32_t xid)
{
	for (struct answer **a = &c->answers; *a; a = &(*a)->next)
		if ((*a)->xid == xid) {
			struct answer *found = *a;
			*a = found->next;
			return found;
		}
	return NULL;
}

bool
call_wait(struct client *c, uint32_t xid, unsigned ms)
{
	struct answer *a;
	uint64_t end = now_ms() + ms;
	while (!(a = answer_find(c, xid))) {
		uint64_t now = now_ms();
		bool alive = false;
		for (unsigned i = 0; i < CONNS; i++)
			alive |= c->fd[i] >= 0;
		if (now >= end || !alive)
			return false;
		pump_once((unsigned)(end - now));
	}
	memcpy(c->reply, a->data, a->len);
	c->reply_len = a->len;
	free(a);
	arena_reset(&c->arena);
	/* accepted, verifier AUTH_NONE, SUCCESS */
	static const uint8_t accepted[16];
	if (memcmp(c->reply + 8, accepted, sizeof accepted) ||
	    compound_results_begin(&c->in, c->reply + 24, c->reply_len - 24, &c->arena)) {
		memset(&c->in, 0, sizeof c->in);
		c->in.status = WIRE_LOST;
	}
	return true;
}

nfsstat4
call_res(struct client *c, uint32_t op, nfs_resop4 *res)
{
	nfs_resop4 unused;
	if (!res)
		res = &unused;
	memset(res, 0, sizeof *res);
	int err = compound_res_get(&c->in, op, res);
	if (err)
		return WIRE_LOST;
	nfsstat4 status;
	memcpy(&status, &res->nfs_resop4_u, sizeof status);
	return status;
}

nfsstat4
call_seq_result(struct client *c)
{
	nfs_resop4 res;
	nfsstat4 status = call_res(c, OP_SEQUENCE, &res);
	if (status == NFS4_OK)
		c->status_flags = res.nfs_resop4_u.opsequence.SEQUENCE4res_u.sr_resok4.sr_status_flags;
	return status;
}

nfsstat4
call_run(struct client *c)
{
	uint32_t xid = call_send(c);
	if (!call_wait(c, xid, 20000)) {
		memset(&c->in, 0, sizeof c->in);
		return WIRE_LOST;
	}
	return c->call_slot < SLOTS ? call_seq_result(c) : c->in.status;
}

/* ---- sessions ---- */

nfsstat4
client_exchange_id(struct client *c)
{
	nfs_resop4 res;
	EXCHANGE_ID4args eid = { .eia_clientowner.co_ownerid = { (u_int)strlen(c->owner), c->owner },
		.eia_flags = EXCHGID4_FLAG_USE_PNFS_MDS };
	memcpy(eid.eia_clientowner.co_verifier, c->verifier, sizeof c->verifier);
	call_begin_bare(c);
	call_op(c, OP_EXCHANGE_ID, &eid);
	call_run(c);
	nfsstat4 status = call_res(c, OP_EXCHANGE_ID, &res);
	if (status == NFS4_OK) {
		EXCHANGE_ID4resok *ok = &res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
		c->clientid = ok->eir_clientid;
		c->create_seq = ok->eir_sequenceid;
		c->eid_flags = ok->eir_flags;
	}
	return status;
}

nfsstat4
client_create_session(struct client *c)
{
	nfs_resop4 res;
	callback_sec_parms4 sec = { .cb_secflavor = c->cb_flavor };
	char machine[] = "wire";
	if (c->cb_flavor == AUTH_SYS) {
		authsys_parms *sys = &sec.callback_sec_parms4_u.cbsp_sys_cred;
		sys->machinename = machine;
		sys->uid = 4711;
		sys->gid = 4712;
	}
	CREATE_SESSION4args cs = { .csa_clientid = c->clientid, .csa_sequence = c->create_seq, .csa_cb_program = 0x40000123,
		.csa_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
		.csa_fore_chan_attrs = { 0, 1 << 20, 1 << 20, 8192, 16, SLOTS, { 0, NULL } },
		.csa_back_chan_attrs = { 0, 4096, 4096, 4096, 2, SLOTS, { 0, NULL } },
		.csa_sec_parms = { 1, &sec } };
	call_begin_bare(c);
	call_op(c, OP_CREATE_SESSION, &cs);
	call_run(c);
	nfsstat4 status = call_res(c, OP_CREATE_SESSION, &res);
	if (status != NFS4_OK)
		return status;
	CREATE_SESSION4resok *ok = &res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
	memcpy(c->session, ok->csr_sessionid, sizeof c->session);
	c->fore = ok->csr_fore_chan_attrs;
	c->back = ok->csr_back_chan_attrs;
	c->csr_flags = ok->csr_flags;
	c->create_seq++;
	memset(c->seqids, 0, sizeof c->seqids);
	memset(c->cb_seqids, 0, sizeof c->cb_seqids);
	return status;
}

nfsstat4
client_reclaim_complete(struct client *c)
{
	RECLAIM_COMPLETE4args rc = { 0 };
	call_begin(c);
	call_op(c, OP_RECLAIM_COMPLETE, &rc);
	nfsstat4 status = call_run(c);
	return status ? status : call_res(c, OP_RECLAIM_COMPLETE, NULL);
}

struct client *
client_new(const char *name)
{
	struct client *c = client_bare(name);
	OK(client_exchange_id(c));
	OK(client_create_session(c));
	OK(client_reclaim_complete(c));
	return c;
}

nfsstat4
client_end(struct client *c)
{
	nfsstat4 status = WIRE_LOST;
	c->policy = CB_NOMATCH;
	for (struct file *f = c->files; f && c->fd[c->conn] >= 0; f = f->next)
		if (f->is_open) {
			LAYOUTRETURN4args ret = { .lora_layout_type = world.type, .lora_iomode = LAYOUTIOMODE4_ANY };
			ret.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_ALL;
			on_fh(c, &f->fh, OP_LAYOUTRETURN, &ret, NULL);
			break;
		}
	for (struct file *f = c->files; f && c->fd[c->conn] >= 0; f = f->next)
		if (f->is_open)
			file_close(f);
	if (c->fd[c->conn] >= 0 && c->clientid) {
		DESTROY_SESSION4args ds;
		memcpy(ds.dsa_sessionid, c->session, sizeof ds.dsa_sessionid);
		call_begin_bare(c);
		call_op(c, OP_DESTROY_SESSION, &ds);
		call_run(c);
		DESTROY_CLIENTID4args dc = { c->clientid };
		call_begin_bare(c);
		call_op(c, OP_DESTROY_CLIENTID, &dc);
		call_run(c);
		status = call_res(c, OP_DESTROY_CLIENTID, NULL);
		c->clientid = 0;
	}
	return status;
}

static void
client_free(struct client *c)
{
	struct answer *a;
	struct file *f;
	for (unsigned i = 0; i < CONNS; i++)
		client_disconnect(c, i);
	while ((a = c->answers)) {
		c->answers = a->next;
		free(a);
	}
	while ((f = c->files)) {
		c->files = f->next;
		free(f);
	}
	arena_destroy(&c->arena);
	free(c->call);
	free(c->reply);
	free(c);
}

void
clients_cut(void)
{
	for (unsigned i = 0; i < nclients; i++)
		for (unsigned j = 0; j < CONNS; j++)
			client_disconnect(all_clients[i], j);
}

void
client_come_back(struct client *c)
{
	c->conn = client_connect(c);
	OK(client_exchange_id(c));
	OK(client_create_session(c));
}

void
clients_end(void)
{
	for (unsigned i = 0; i < nclients; i++)
		all_clients[i]->policy = CB_NOMATCH;
	for (unsigned i = 0; i < nclients; i++)
		client_end(all_clients[i]);
	while (nclients)
		client_free(all_clients[--nclients]);
}
