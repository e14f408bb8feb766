/*
 * GETDEVICEINFO (RFC 8881 18.40): the device's address, for block (RFC 5663 2.2) and SCSI layouts (RFC 8154 2.3).  Runs on a worker.
 * GETDEVICELIST (18.41).
 */
#include <errno.h>
#include <string.h>

#include "include/log.h"
#include "proto/layout/layout_xdr.h"
#include "proto/nfs4/status.h"
#include "proto/xdr/xdr_arena.h"
#include "server/conf/conf.h"
#include "server/export/export.h"
#include "server/layout/device.h"
#include "server/layout/device_notice.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"

/* A volume with a 16-byte signature or a designator takes about 50 bytes; VOLUME_MAX_DESIGNATOR more is never reached. */
#define ADDR_MAX 512u

/* da_layout_type, the count of da_addr_body, the count of the bitmap's words. */
#define RESULT_FRAME 12u

/* What we send (RFC 8881 20.12), all in the first word (PITFALLS B17). */
#define NOTIFICATIONS (1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE)

static void
volume_of(const struct device *device, uint64_t key, struct volume *vol)
{
	memset(vol, 0, sizeof *vol);
	if (device->layout_type == LAYOUT4_SCSI) {
		vol->type = VOLUME_BASE;
		vol->base.code_set = device->code_set;
		vol->base.designator_type = device->designator_type;
		vol->base.designator = device->designator;
		vol->base.len = device->designator_len;
		vol->base.pr_key = key;
	} else {
		vol->type = VOLUME_SIMPLE;
		vol->simple.nsigs = 1;
		vol->simple.sigs[0] = (struct volume_sig){ .offset = (int64_t)device->sig_offset,
			.len = sizeof device->uuid, .contents = device->uuid };
	}
}

/*
 * Before a client is told its key: the LUN is reserved (RFC 8154 2.4.10.2, PITFALLS B1), and the key is on record, so that a restarted
 * server knows whom to cut off.
 */
static nfsstat4
device_admit(struct device *device, uint64_t key)
{
	enum reason why;
	if (device->layout_type != LAYOUT4_SCSI)
		return NFS4_OK;
	int r = device_prepare(device, &why);
	if (r) {
		log_warn("GETDEVICEINFO: device %s: %s", device->conf->name, reason_name(why));
		return NFS4ERR_DELAY;	/* of the errors allowed here (RFC 8881 15.2) the one that lets the client ask again */
	}
	r = device_give_key(device, key);
	return r ? nfs4_status(r) : NFS4_OK;
}

static uint32_t
wanted_notifications(const GETDEVICEINFO4args *args)
{
	return args->gdia_notify_types.bitmap4_len ? args->gdia_notify_types.bitmap4_val[0] & NOTIFICATIONS : 0;
}

/* The address into ADDR, if it and a bitmap of WORDS fit. */
static nfsstat4
device_address(struct compound *c, const struct device *device, const GETDEVICEINFO4args *args, uint64_t key, uint32_t words,
    GETDEVICEINFO4res *res)
{
	device_addr4 *addr = &res->GETDEVICEINFO4res_u.gdir_resok4.gdir_device_addr;
	struct volume vol;
	XDR xdrs;
	char *body = arena_alloc(&c->arena, ADDR_MAX);
	if (!body)
		return NFS4ERR_DELAY;
	volume_of(device, key, &vol);
	ax_init(&xdrs, body, ADDR_MAX, XDR_ENCODE, NULL);
	if (!layout_device_encode(&xdrs, args->gdia_layout_type, &vol, 1))
		return NFS4ERR_SERVERFAULT;
	uint32_t need = RESULT_FRAME + 4 * words + ax_used(&xdrs);	/* the body is whole words */
	if (args->gdia_maxcount < need) {
		res->GETDEVICEINFO4res_u.gdir_mincount = need;
		return NFS4ERR_TOOSMALL;
	}
	addr->da_addr_body.da_addr_body_val = body;
	addr->da_addr_body.da_addr_body_len = ax_used(&xdrs);
	return NFS4_OK;
}

static nfsstat4
device_answer(struct compound *c, struct device *device, const GETDEVICEINFO4args *args, GETDEVICEINFO4res *res)
{
	GETDEVICEINFO4resok *ok = &res->GETDEVICEINFO4res_u.gdir_resok4;
	/* 0: only to set notifications or to see that the id is valid (18.40.3). */
	bool fetch = args->gdia_maxcount != 0;
	uint32_t wanted = wanted_notifications(args);
	uint64_t key = c->client->pr_key, now;
	uint32_t *word = arena_alloc(&c->arena, sizeof *word);
	nfsstat4 status = word ? NFS4_OK : NFS4ERR_DELAY;
	ok->gdir_device_addr.da_layout_type = args->gdia_layout_type;
	if (status == NFS4_OK && fetch)
		status = device_address(c, device, args, key, wanted != 0, res);
	if (status == NFS4_OK && fetch)
		status = device_admit(device, key);
	if (status != NFS4_OK)
		return status;
	/* What is promised is what will be sent (PITFALLS B19). */
	*word = device_notice_subscribe(c->mds, c->client, device, wanted, fetch, &now);
	ok->gdir_notification.bitmap4_len = *word != 0;
	ok->gdir_notification.bitmap4_val = word;
	/* Cut off meanwhile: what would be told is no longer so. */
	return fetch && now != key ? NFS4ERR_DELAY : NFS4_OK;
}

nfsstat4
op_getdeviceinfo(struct compound *c, nfs_argop4 *arg, nfs_resop4 *resop)
{
	const GETDEVICEINFO4args *args = &arg->nfs_argop4_u.opgetdeviceinfo;
	GETDEVICEINFO4res *res = &resop->nfs_resop4_u.opgetdeviceinfo;
	if (args->gdia_layout_type != LAYOUT4_BLOCK_VOLUME && args->gdia_layout_type != LAYOUT4_SCSI)
		return NFS4ERR_UNKNOWN_LAYOUTTYPE;
	struct device *device = device_find(c->mds, (const uint8_t *)args->gdia_device_id);
	/* Id and type together name a device (18.40.3); one of an export the client has no part in is none of its business. */
	nfsstat4 status = NFS4ERR_NOENT;
	if (device && device->layout_type == (uint32_t)args->gdia_layout_type &&
	    device_admits(device, (const struct sockaddr *)(const void *)&c->client->addr))
		status = device_answer(c, device, args, res);
	device_put(device);
	return status;
}

/* ---- GETDEVICELIST ---- */

#define LIST_END 1u			/* the one cookie given: behind the only device */

/* The verifier of lists: that of this life of the server, since device IDs may be others in the next. */
static nfsstat4
devicelist_check(struct compound *c, const GETDEVICELIST4args *args)
{
	const struct export *export = c->cur->export;

	if (!export || !export->layout_type || (uint32_t)args->gdla_layout_type != export->layout_type)
		return NFS4ERR_UNKNOWN_LAYOUTTYPE;
	if (!args->gdla_maxdevices)
		return NFS4ERR_INVAL;
	if (args->gdla_cookie == 0)
		return NFS4_OK;
	if (args->gdla_cookie != LIST_END)
		return NFS4ERR_BAD_COOKIE;
	return memcmp(args->gdla_cookieverf, c->mds->write_verifier, NFS4_VERIFIER_SIZE) ? NFS4ERR_NOT_SAME : NFS4_OK;
}

/*
 * RFC 8881 18.41, at minor version 1 only: RFC 7862 14.2 says "MUST NOT implement".  A file system has one device, or none as long as its LUN is not to be
 * had.
 */
nfsstat4
op_getdevicelist(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const GETDEVICELIST4args *args = &arg->nfs_argop4_u.opgetdevicelist;
	GETDEVICELIST4resok *ok = &res->nfs_resop4_u.opgetdevicelist.GETDEVICELIST4res_u.gdlr_resok4;
	nfsstat4 status = devicelist_check(c, args);

	if (status != NFS4_OK)
		return status;
	deviceid4 *id = arena_alloc(&c->arena, sizeof *id);
	if (!id)
		return NFS4ERR_DELAY;
	ok->gdlr_cookie = LIST_END;
	memcpy(ok->gdlr_cookieverf, c->mds->write_verifier, NFS4_VERIFIER_SIZE);
	ok->gdlr_eof = TRUE;
	if (args->gdla_cookie == 0 && export_grants(c->cur->export)) {
		memcpy(*id, c->cur->export->device->id, sizeof *id);
		ok->gdlr_deviceid_list.gdlr_deviceid_list_len = 1;
		ok->gdlr_deviceid_list.gdlr_deviceid_list_val = id;
	}
	return NFS4_OK;
}
