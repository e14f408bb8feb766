/* Callbacks: CB_LAYOUTRECALL (RFC 8881 20.3), CB_RECALL_ANY (20.6), CB_RECALL_SLOT (20.8), CB_NOTIFY_DEVICEID (20.12); see callback.h. */
#include "client/callback.h"

#include <stdlib.h>
#include <string.h>

#include "client/device.h"
#include "client/node.h"

/* ---- bulk recalls: FSID and ALL ---- */

struct bulk {
	struct mds_req req;
	struct pnfs *m;
	layouttype4 type;
	bool all;
	fsid4 fsid;
	struct fh fh;			/* of a file of the file system */
	unsigned left;
};

/* All of it, whatever mode was asked for: nothing is kept here. */
static void
bulk_build(struct mds_req *req, struct compound_call *c)
{
	struct bulk *bulk = (struct bulk *)req;
	LAYOUTRETURN4args args = { .lora_layout_type = bulk->type, .lora_iomode = LAYOUTIOMODE4_ANY,
		.lora_layoutreturn = { .lr_returntype = bulk->all ? LAYOUTRETURN4_ALL : LAYOUTRETURN4_FSID } };
	if (!bulk->all)
		compound_putfh(c, &bulk->fh);
	compound_call_op(c, OP_LAYOUTRETURN, &args);
}

static void
bulk_done(struct mds_req *req, int status, struct reply *reply)
{
	struct bulk *bulk = (struct bulk *)req;
	struct pnfs *m = bulk->m;
	struct node *node, *tmp;
	(void)reply;
	if (!status)
		m->stats.layoutreturn++;
	free(bulk);
	if (--m->bulk == 0)
		HASH_ITER(hh, m->nodes, node, tmp)
			layout_kick(node);
}

static void
bulk_forgotten(void *arg, int status)
{
	struct bulk *bulk = arg;
	(void)status;
	if (--bulk->left)
		return;
	/* LAYOUTRETURN acknowledges that what device IDs mean is forgotten too (RFC 8881 20.3.3). */
	devices_forget(bulk->m, bulk->all ? NULL : &bulk->fsid);
	bulk->req.build = bulk_build;
	bulk->req.done = bulk_done;
	bulk->req.flags = MDS_CACHE;
	mds_submit(&bulk->m->mds, &bulk->req);
}

static bool
bulk_meant(const struct node *node, const CB_LAYOUTRECALL4args *args)
{
	const layoutrecall4 *recall = &args->clora_recall;
	return node->layout.type == args->clora_type && (recall->lor_recalltype == LAYOUTRECALL4_ALL ||
	    (node->fsid.major == recall->layoutrecall4_u.lor_fsid.major && node->fsid.minor == recall->layoutrecall4_u.lor_fsid.minor));
}

static nfsstat4
recall_bulk(struct pnfs *m, const CB_LAYOUTRECALL4args *args)
{
	struct node *node, *tmp;
	struct bulk *bulk;
	bool any = false;
	m->stats.recalls++;
	if (m->bulk)
		return NFS4ERR_DELAY;
	HASH_ITER(hh, m->nodes, node, tmp) {
		if (!bulk_meant(node, args))
			continue;
		any |= node->layout.have_stateid;
		/* RFC 8881 12.5.5.2.1.5: no bulk recall beside other layout operations. */
		if (node->layout.get || !TAILQ_EMPTY(&node->layout.drops))
			return NFS4ERR_DELAY;
	}
	bool all = args->clora_recall.lor_recalltype == LAYOUTRECALL4_ALL;
	fsid4 fsid = all ? (fsid4){ 0 } : args->clora_recall.layoutrecall4_u.lor_fsid;
	/* (Device IDs without layouts are forgotten, and that is that: there need be no file handle to answer by.) */
	if (!any) {
		devices_forget(m, all ? NULL : &fsid);
		return NFS4ERR_NOMATCHING_LAYOUT;
	}
	bulk = calloc(1, sizeof *bulk);
	if (!bulk)
		return NFS4ERR_DELAY;
	*bulk = (struct bulk){ .m = m, .type = args->clora_type, .all = all, .fsid = fsid, .left = 1 };
	m->bulk++;
	HASH_ITER(hh, m->nodes, node, tmp)
		if (bulk_meant(node, args) && node->layout.have_stateid) {
			bulk->fh = node->fh;
			bulk->left++;
			node->size_stale = true;
			node->layout.contended_ns = lease_clock();
			layout_forget(node, bulk_forgotten, bulk);
		}
	/* The files' ends come in later turns of the loop, behind the answer to this. */
	bulk_forgotten(bulk, 0);
	return NFS4_OK;
}

static nfsstat4
recall(struct pnfs *m, const CB_LAYOUTRECALL4args *args)
{
	if (args->clora_iomode < LAYOUTIOMODE4_READ || args->clora_iomode > LAYOUTIOMODE4_ANY)
		return NFS4ERR_INVAL;
	if (args->clora_recall.lor_recalltype != LAYOUTRECALL4_FILE)
		return recall_bulk(m, args);
	const layoutrecall_file4 *f = &args->clora_recall.layoutrecall4_u.lor_layout;
	struct node *node = node_find(m, (const uint8_t *)f->lor_fh.nfs_fh4_val, f->lor_fh.nfs_fh4_len);
	if (!node || (node->layout.have_stateid && node->layout.type != args->clora_type)) {
		m->stats.recalls++;
		return NFS4ERR_NOMATCHING_LAYOUT;
	}
	return layout_recall(node, args->clora_iomode, f->lor_offset, range_end(f->lor_offset, f->lor_length),
	    &f->lor_stateid);
}

/* ---- the others ---- */

static void
any_returned(void *arg, int status)
{
	(void)arg;
	(void)status;
}

static nfsstat4
recall_any(struct pnfs *m, const CB_RECALL_ANY4args *args)
{
	/* Defined there and in RFC 8435; a bit for a type that is not means INVAL (RFC 8881 20.6.3). */
	const uint32_t defined = 1u << RCA4_TYPE_MASK_RDATA_DLG | 1u << RCA4_TYPE_MASK_WDATA_DLG | 1u << RCA4_TYPE_MASK_DIR_DLG |
	    1u << RCA4_TYPE_MASK_FILE_LAYOUT | 1u << RCA4_TYPE_MASK_BLK_LAYOUT | 3u << RCA4_TYPE_MASK_OBJ_LAYOUT_MIN |
	    0xfu << RCA4_TYPE_MASK_OTHER_LAYOUT_MIN | 3u << 16;
	struct node *node, *tmp;
	unsigned held = 0;
	bool ours = false;
	for (u_int i = 0; i < args->craa_type_mask.bitmap4_len; i++) {
		uint32_t word = args->craa_type_mask.bitmap4_val[i];
		if (word & ~(i ? 0 : defined))
			return NFS4ERR_INVAL;
		ours |= i == 0 && word & 1u << RCA4_TYPE_MASK_BLK_LAYOUT;	/* SCSI layouts too (RFC 8154 2.6) */
	}
	if (!ours)
		return NFS4_OK;
	HASH_ITER(hh, m->nodes, node, tmp)
		held += node->layout.have_stateid;
	HASH_ITER(hh, m->nodes, node, tmp)
		if (node->layout.have_stateid && held > args->craa_objects_to_keep) {
			held--;
			layout_return(node, 0, UINT64_MAX, any_returned, NULL);
		}
	return NFS4_OK;
}

/* Values follow one another in the order of the mask's bits, each with layout type and device ID (RFC 8881 20.12.1). */
static nfsstat4
notify_one(struct pnfs *m, const notify4 *n, bool act)
{
	const uint32_t known = 1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE;
	XDR xdrs;
	uint32_t mask = n->notify_mask.bitmap4_len ? n->notify_mask.bitmap4_val[0] : 0;
	for (u_int i = 1; i < n->notify_mask.bitmap4_len; i++)
		if (n->notify_mask.bitmap4_val[i])
			return NFS4ERR_INVAL;
	if (mask & ~known)
		return NFS4ERR_INVAL;
	ax_init(&xdrs, n->notify_vals.notifylist4_val, n->notify_vals.notifylist4_len, XDR_DECODE, NULL);
	for (uint32_t bit = NOTIFY_DEVICEID4_CHANGE; bit <= NOTIFY_DEVICEID4_DELETE; bit++) {
		uint32_t type, immediate;
		if (!(mask & 1u << bit))
			continue;
		const uint8_t *id = ax_get_u32(&xdrs, &type) ? ax_get_fixed(&xdrs, NFS4_DEVICEID4_SIZE) : NULL;
		if (!id || (bit == NOTIFY_DEVICEID4_CHANGE && !ax_get_u32(&xdrs, &immediate)))
			return NFS4ERR_BADXDR;
		if (act)
			device_changed(m, type, id, bit == NOTIFY_DEVICEID4_DELETE);
	}
	return ax_left(&xdrs) ? NFS4ERR_BADXDR : NFS4_OK;
}

/* All of it is looked at before any of it is heeded. */
static nfsstat4
notify_deviceid(struct pnfs *m, const CB_NOTIFY_DEVICEID4args *args)
{
	nfsstat4 status = NFS4_OK;
	for (int act = 0; act < 2; act++)
		for (u_int i = 0; i < args->cnda_changes.cnda_changes_len && status == NFS4_OK; i++)
			status = notify_one(m, &args->cnda_changes.cnda_changes_val[i], act);
	return status;
}

static nfsstat4
recall_slot(struct mds *mds, const CB_RECALL_SLOT4args *args)
{
	if (args->rsa_target_highest_slotid >= mds->nslots)
		return NFS4ERR_BAD_HIGH_SLOT;
	mds->target = args->rsa_target_highest_slotid + 1;
	return NFS4_OK;
}

nfsstat4
mount_callback(struct mds *mds, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res)
{
	struct pnfs *m = mds->owner;
	(void)res;			/* none of ours has more than a status */
	switch (arg->argop) {
	case OP_CB_LAYOUTRECALL:
		return recall(m, &arg->nfs_cb_argop4_u.opcblayoutrecall);
	case OP_CB_RECALL_ANY:
		return recall_any(m, &arg->nfs_cb_argop4_u.opcbrecall_any);
	case OP_CB_RECALL_SLOT:
		return recall_slot(mds, &arg->nfs_cb_argop4_u.opcbrecall_slot);
	case OP_CB_NOTIFY_DEVICEID:
		return notify_deviceid(m, &arg->nfs_cb_argop4_u.opcbnotify_deviceid);
	default:
		return NFS4ERR_NOTSUPP;
	}
}
