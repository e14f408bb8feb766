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
	layoutreturn_type4 type;
	layouttype4 layout_type;
	layoutiomode4 iomode;
	struct fh fh;			/* of a file of the file system */
	unsigned left;
};

static void
bulk_build(struct mds_req *req, struct compound_call *c)
{
	struct bulk *bulk = (struct bulk *)req;
	LAYOUTRETURN4args args = { .lora_layout_type = bulk->layout_type, .lora_iomode = bulk->iomode,
		.lora_layoutreturn = { .lr_returntype = bulk->type } };
	if (bulk->type == LAYOUTRETURN4_FSID)
		compound_putfh(c, &bulk->fh);
	compound_call_op(c, OP_LAYOUTRETURN, &args);
}

static void
bulk_done(struct mds_req *req, int status, struct reply *reply)
{
	struct bulk *bulk = (struct bulk *)req;
	(void)reply;
	if (!status)
		bulk->m->stats.layoutreturn++;
	free(bulk);
}

static void
bulk_forgotten(void *arg, int status)
{
	struct bulk *bulk = arg;
	(void)status;
	if (--bulk->left)
		return;
	bulk->req.build = bulk_build;
	bulk->req.done = bulk_done;
	bulk->req.flags = MDS_CACHE;
	mds_submit(&bulk->m->mds, &bulk->req);
}

static bool
bulk_meant(const struct node *node, const layoutrecall4 *recall)
{
	return recall->lor_recalltype == LAYOUTRECALL4_ALL || (node->fsid.major == recall->layoutrecall4_u.lor_fsid.major &&
	    node->fsid.minor == recall->layoutrecall4_u.lor_fsid.minor);
}

static nfsstat4
recall_bulk(struct pnfs *m, const CB_LAYOUTRECALL4args *args)
{
	const layoutrecall4 *recall = &args->clora_recall;
	struct node *node, *tmp;
	struct bulk *bulk;
	bool any = false;
	m->stats.recalls++;
	HASH_ITER(hh, m->nodes, node, tmp) {
		if (!bulk_meant(node, recall))
			continue;
		any |= node->layout.have_stateid;
		/* RFC 8881 12.5.5.2.1.5: no bulk recall beside other layout operations. */
		if (node->layout.get || !TAILQ_EMPTY(&node->layout.drops))
			return NFS4ERR_DELAY;
	}
	if (!any)
		return NFS4ERR_NOMATCHING_LAYOUT;
	bulk = calloc(1, sizeof *bulk);
	if (!bulk)
		return NFS4ERR_DELAY;
	bulk->m = m;
	bulk->type = recall->lor_recalltype == LAYOUTRECALL4_ALL ? LAYOUTRETURN4_ALL : LAYOUTRETURN4_FSID;
	bulk->layout_type = args->clora_type;
	bulk->iomode = args->clora_iomode;
	bulk->left = 1;
	HASH_ITER(hh, m->nodes, node, tmp)
		if (bulk_meant(node, recall) && node->layout.have_stateid) {
			bulk->fh = node->fh;
			bulk->left++;
			node->size_stale = true;
			layout_forget(node, bulk_forgotten, bulk);
		}
	/* The files' ends come in later turns of the loop, behind the answer to this. */
	bulk->left--;
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
	struct node *node, *tmp;
	unsigned held = 0;
	bool ours = args->craa_type_mask.bitmap4_len > 0 &&
	    args->craa_type_mask.bitmap4_val[0] & 1u << RCA4_TYPE_MASK_BLK_LAYOUT;
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

/* A notification is deviceid and layout type, in its own encoding (RFC 8881 20.12). */
static nfsstat4
notify_deviceid(struct pnfs *m, const CB_NOTIFY_DEVICEID4args *args)
{
	for (u_int i = 0; i < args->cnda_changes.cnda_changes_len; i++) {
		const notify4 *n = &args->cnda_changes.cnda_changes_val[i];
		XDR xdrs;
		uint32_t type;
		ax_init(&xdrs, n->notify_vals.notifylist4_val, n->notify_vals.notifylist4_len, XDR_DECODE, NULL);
		const uint8_t *id = ax_get_u32(&xdrs, &type) ? ax_get_fixed(&xdrs, NFS4_DEVICEID4_SIZE) : NULL;
		if (!id)
			return NFS4ERR_BADXDR;
		device_changed(m, id);
	}
	return NFS4_OK;
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
