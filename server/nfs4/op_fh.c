/*
 * The current filehandle: PUTFH, PUTROOTFH, PUTPUBFH, GETFH, SAVEFH, RESTOREFH,
 * LOOKUP, LOOKUPP, SECINFO, SECINFO_NO_NAME (RFC 8881 18.8, 18.13, 18.14,
 * 18.19-18.21, 18.27-18.29, 18.45).
 */
#include <errno.h>
#include <unistd.h>

#include "proto/nfs4/status.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/nfs4/dir.h"
#include "server/nfs4/name.h"

nfsstat4
op_putfh(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const nfs_fh4 *fh = &arg->nfs_argop4_u.opputfh.object;
	struct inode *inode;

	(void)res;
	int err = (c->on_loop ? fs_inode_nowait : fs_inode)(c->mds->fs, fh->nfs_fh4_val, fh->nfs_fh4_len, &inode);
	if (err == -EAGAIN && c->on_loop)
		return OP_WORKER;
	return err < 0 ? nfs4_status(err) : compound_set_fh(c, inode);
}

nfsstat4
op_putrootfh(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	struct inode *inode;

	(void)arg;
	(void)res;
	int err = fs_root(c->mds->fs, &inode);
	return err < 0 ? nfs4_status(err) : compound_set_fh(c, inode);
}

/* The public filehandle is the root (RFC 8881 4.1.2 lets it be the same). */
nfsstat4
op_putpubfh(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	return op_putrootfh(c, arg, res);
}

nfsstat4
op_getfh(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	nfs_fh4 *fh = &res->nfs_resop4_u.opgetfh.GETFH4res_u.resok4.object;

	(void)arg;
	fh->nfs_fh4_val = (char *)c->cur->handle;
	fh->nfs_fh4_len = c->cur->handle_len;
	return NFS4_OK;
}

nfsstat4
op_savefh(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)arg;
	(void)res;
	struct inode *old = c->saved;
	c->saved = inode_get(c->cur);
	c->saved_opts = c->cur_opts;
	c->saved_cred = c->cred;
	c->saved_wrongsec = c->wrongsec;
	c->saved_sid = c->cur_sid;
	c->saved_sid_valid = c->cur_sid_valid;
	if (old)
		inode_put(old);
	return NFS4_OK;
}

nfsstat4
op_restorefh(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)arg;
	(void)res;
	if (c->saved_wrongsec && !c->next_judges)
		return NFS4ERR_WRONGSEC;
	struct inode *old = c->cur;
	c->cur = inode_get(c->saved);
	c->wrongsec = c->saved_wrongsec;
	c->cur_opts = c->saved_opts;
	c->cred = c->saved_cred;
	c->cur_sid = c->saved_sid;
	c->cur_sid_valid = c->saved_sid_valid;
	if (old)
		inode_put(old);
	return NFS4_OK;
}

/* An entry of the current directory (known to be one), the right to search checked. */
static nfsstat4
lookup_name(struct compound *c, const component4 *name, struct inode **inode)
{
	nfsstat4 status = name_check(name);

	if (status == NFS4_OK)
		status = dir_access(c, c->cur, &c->cred, X_OK);
	if (status != NFS4_OK)
		return status;
	int err = (c->on_loop ? fs_lookup_nowait : fs_lookup)(c->cur, name->utf8string_val,
	    name->utf8string_len, inode);
	if (err == -EAGAIN && c->on_loop)
		return OP_WORKER;
	if (err < 0)
		return nfs4_status(err);
	/* An export that is not for this client does not exist for it. */
	if (!dir_visible(c, *inode)) {
		inode_put(*inode);
		return NFS4ERR_NOENT;
	}
	return NFS4_OK;
}

static nfsstat4
lookup_parent(struct compound *c, struct inode **inode)
{
	/* "the same access methodology" for SECINFO_NO_NAME (RFC 8881 18.45.3) */
	nfsstat4 status = dir_access(c, c->cur, &c->cred, X_OK);
	if (status != NFS4_OK)
		return status;
	int err = fs_lookupp(c->cur, inode);
	return err < 0 ? nfs4_status(err) : NFS4_OK;
}

nfsstat4
op_lookup(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	struct inode *inode;

	(void)res;
	nfsstat4 status = dir_check_link(c->cur);
	if (status == NFS4_OK)
		status = lookup_name(c, &arg->nfs_argop4_u.oplookup.objname, &inode);
	return status == NFS4_OK ? compound_set_fh(c, inode) : status;
}

nfsstat4
op_lookupp(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	struct inode *inode;

	(void)arg;
	(void)res;
	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = dir_check_link(c->cur);
	if (status == NFS4_OK)
		status = lookup_parent(c, &inode);
	return status == NFS4_OK ? compound_set_fh(c, inode) : status;
}

/* The current filehandle is used up (RFC 8881 2.6.3.1.1.8, PITFALLS E6). */
static void
fh_consume(struct compound *c)
{
	inode_put(c->cur);
	c->cur = NULL;
	c->cur_opts = NULL;
	c->wrongsec = false;
	c->cur_sid_valid = false;
}

/* What the pseudo root is served by: all there is. */
static const struct export_client any_sec = {
#ifdef HAVE_GSS
	.nsec = 4, .sec_list = { 0, RPC_GSS_SVC_NONE, RPC_GSS_SVC_INTEGRITY, RPC_GSS_SVC_PRIVACY },
#else
	.nsec = 1,
#endif
};

/* RFC 8881 18.29.3: "in order of preference": that of exports. */
static nfsstat4
secinfo_list(struct compound *c, const struct inode *inode, SECINFO4res *res)
{
	static const char krb5[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";	/* 1.2.840.113554.1.2.2 (RFC 4121) */
	SECINFO4resok *ok = &res->SECINFO4res_u.resok4;
	const struct export_client *opts = inode->export ? conn_export_client(c->conn, inode->export->line, c->on_loop) : &any_sec;

	if (!opts)
		return NFS4ERR_ACCESS;
	ok->SECINFO4resok_val = arena_zalloc(&c->arena, opts->nsec * sizeof *ok->SECINFO4resok_val);
	if (!ok->SECINFO4resok_val)
		return NFS4ERR_DELAY;
	ok->SECINFO4resok_len = opts->nsec;
	for (unsigned i = 0; i < opts->nsec; i++) {
		secinfo4 *info = &ok->SECINFO4resok_val[i];
		info->flavor = opts->sec_list[i] ? RPCSEC_GSS : AUTH_SYS;
		if (info->flavor == AUTH_SYS)
			continue;
		info->secinfo4_u.flavor_info.oid = (sec_oid4){ .sec_oid4_len = sizeof krb5 - 1, .sec_oid4_val = (char *)(uintptr_t)krb5 };
		info->secinfo4_u.flavor_info.service = (rpc_gss_svc_t)opts->sec_list[i];
	}
	fh_consume(c);
	return NFS4_OK;
}

nfsstat4
op_secinfo(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	struct inode *inode;
	nfsstat4 status = dir_check(c->cur);

	if (status == NFS4_OK)
		status = lookup_name(c, &arg->nfs_argop4_u.opsecinfo.name, &inode);
	if (status != NFS4_OK)
		return status;
	status = secinfo_list(c, inode, &res->nfs_resop4_u.opsecinfo);
	inode_put(inode);
	return status;
}

nfsstat4
op_secinfo_no_name(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	SECINFO4res *info = &res->nfs_resop4_u.opsecinfo_no_name;

	switch (arg->nfs_argop4_u.opsecinfo_no_name) {
	case SECINFO_STYLE4_CURRENT_FH:
		return secinfo_list(c, c->cur, info);
	case SECINFO_STYLE4_PARENT:
		break;
	default:
		return NFS4ERR_BADXDR;
	}
	if (c->on_loop)
		return OP_WORKER;
	struct inode *inode;
	nfsstat4 status = dir_check(c->cur);
	if (status == NFS4_OK)
		status = lookup_parent(c, &inode);
	if (status != NFS4_OK)
		return status;
	status = secinfo_list(c, inode, info);
	inode_put(inode);
	return status;
}
