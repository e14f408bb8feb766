/*
 * What handlers ask of their compound: current filehandle with access and squashing, current stateid, room in the
 * reply.
 */
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/nfs4/compound.h"
#include "server/state/stateid.h"

/* The groups of the caller: with GSS those of the account, not what a request claims. */
static unsigned
cred_groups(const struct compound *c, const uint32_t **gids)
{
	const struct gss_who *who = c->gss.ctx ? gss_who(c->gss.ctx) : NULL;
	*gids = who ? who->gids : c->rpc_cred.gids;
	return who ? who->ngids : c->rpc_cred.ngids;
}

/* exports(5): who the caller is on this export.  AUTH_NONE is nobody everywhere, and so is a principal without an account. */
static void
cred_squash(struct compound *c, const struct export_client *opts)
{
	const struct rpc_cred *rpc = &c->rpc_cred;
	struct fs_cred *cred = &c->cred;
	const uint32_t *gids;
	if (opts->all_squash || (c->gss.ctx ? gss_who(c->gss.ctx)->anonymous : rpc->flavor != AUTH_SYS)) {
		cred->uid = opts->anonuid;
		cred->gid = opts->anongid;
		cred->ngids = 0;
		return;
	}
	bool squash = opts->root_squash;
	cred->uid = squash && rpc->uid == 0 ? opts->anonuid : rpc->uid;
	cred->gid = squash && rpc->gid == 0 ? opts->anongid : rpc->gid;
	cred->ngids = cred_groups(c, &gids);
	for (uint32_t i = 0; i < cred->ngids; i++)
		cred->gids[i] = squash && gids[i] == 0 ? opts->anongid : gids[i];
}

/* On the pseudo root, which anybody may see. */
static void
cred_plain(struct compound *c)
{
	const uint32_t *gids;
	c->cred.uid = c->rpc_cred.uid;
	c->cred.gid = c->rpc_cred.gid;
	c->cred.ngids = cred_groups(c, &gids);
	for (uint32_t i = 0; i < c->cred.ngids; i++)
		c->cred.gids[i] = gids[i];
}

nfsstat4
compound_set_fh(struct compound *c, struct inode *inode)
{
	const struct export_client *opts = NULL;
	bool wrongsec = false;
	if (inode->export) {
		opts = conn_export_client(c->conn, inode->export->line, c->on_loop);
		if (!opts) {
			inode_put(inode);
			/*
			 * Not exported to this client.  RFC 8881 15.2 allows no ACCESS from PUTFH; STALE is also "access to it
			 * has been revoked" (15.1.2.7), which it is when an export was taken back.
			 */
			return c->op == OP_PUTFH ? NFS4ERR_STALE : NFS4ERR_ACCESS;
		}
		wrongsec = !(opts->sec & c->sec);
		if (wrongsec && !c->next_judges) {
			inode_put(inode);
			return NFS4ERR_WRONGSEC;
		}
		cred_squash(c, opts);
	} else {
		cred_plain(c);
	}
	c->wrongsec = wrongsec;
	if (c->cur)
		inode_put(c->cur);
	c->cur = inode;
	c->cur_opts = opts;
	c->cur_sid_valid = false;	/* RFC 8881 16.2.3.1.2 */
	return NFS4_OK;
}

void
compound_set_stateid(struct compound *c, const stateid4 *sid)
{
	c->cur_sid = *sid;
	c->cur_sid_valid = true;
}

nfsstat4
compound_resolve_stateid(struct compound *c, stateid4 *sid)
{
	if (!stateid_is_current(sid))
		return NFS4_OK;
	if (!c->cur_sid_valid)
		return NFS4ERR_BAD_STATEID;
	*sid = c->cur_sid;
	return NFS4_OK;
}

nfsstat4
compound_check_rw(struct compound *c)
{
	/* The pseudo root is nobody's to change. */
	return c->cur_opts && c->cur_opts->rw && !c->cur->export->readonly ? NFS4_OK : NFS4ERR_ROFS;
}

/* Operation number and status before it, room for the next operation's error behind it. */
#define RESULT_HEAD 8u
#define RESULT_TAIL 16u

uint32_t
compound_room(struct compound *c)
{
	uint32_t used = RPC_REPLY_HEADER + ax_used(&c->out) + RESULT_HEAD +
	    (c->index + 1 < c->nops ? RESULT_TAIL : 0);
	uint32_t limit = c->max_reply < RPC_MAX_RECORD ? c->max_reply : RPC_MAX_RECORD;
	return used < limit ? limit - used : 0;
}

uint8_t *
compound_reply_data(struct compound *c, uint32_t header, uint32_t len)
{
	uint32_t room = compound_room(c);
	if (header > room || len > room - header ||
	    !compound_grow(c, RESULT_HEAD + header + len + ax_pad(len) + RESULT_TAIL))
		return NULL;
	return ax_pos(&c->out) + RESULT_HEAD + header;
}
