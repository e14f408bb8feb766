/* Devices of layouts: finding, registering, losing them; see device.h. */
#include "client/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/node.h"
#include "include/log.h"
#include "proto/nfs4/fsid.h"
#include "proto/nfs4/status.h"

#define SECOND 1000000000ull
#define DEAD_TIME (30 * SECOND)
#define RECONNECT_TIME (10 * SECOND)	/* after a loss, before the server does the I/O */
#define REOPEN_TIME (5 * SECOND)
#define FENCES_MAX 3u
#define MAX_LEAVES 16u
#define MAX_ADDRESS (64u << 10)

struct device {
	LIST_ENTRY(device) link;
	struct pnfs *m;
	uint8_t id[NFS4_DEVICEID4_SIZE];
	layouttype4 type;
	fsid4 fsid;			/* of the file system on it */
	enum device_state state;
	enum reason reason;
	uint64_t dead_ns;
	struct topology *topo;
	/* Finding it: open -> GETDEVICEINFO -> match -> register */
	enum { STEP_NONE, STEP_RETIRE, STEP_OPEN, STEP_INFO, STEP_MATCH, STEP_REGISTER } step;
	struct mds_req req;
	uint64_t since_ns;		/* of this attempt */
	unsigned retiring;		/* files whose layouts go back */
	bool acknowledge;		/* GETDEVICEINFO without notifications first: that clears DEVID_DELETED (RFC 8881 18.46.3) */
	bool again;			/* it changed while it was being found */
	bool deleted;
	unsigned fences;
	uint64_t fenced_ns;
	unsigned nleaves, leaf;
	struct bdev *leaves[MAX_LEAVES];
	uint64_t keys[MAX_LEAVES];
	struct waiter_list waiters;
	ev_timer timer;
};

static void device_open(struct device *dev);
static void device_retire(struct device *dev);

static struct device *
device_find(struct pnfs *m, const uint8_t *id)
{
	struct device *dev;
	LIST_FOREACH(dev, &m->devices, link)
		if (!memcmp(dev->id, id, sizeof dev->id))
			return dev;
	return NULL;
}

enum device_state
device_state(struct pnfs *m, const uint8_t *id, enum reason *reason)
{
	const struct device *dev = device_find(m, id);
	*reason = REASON_NONE;
	if (!dev || (dev->state == DEVICE_DEAD && lease_clock() - dev->dead_ns > DEAD_TIME))
		return DEVICE_WAIT;
	if (dev->state == DEVICE_DEAD)
		*reason = dev->reason;
	return dev->state;
}

bool
device_map(struct pnfs *m, const uint8_t *id, uint64_t addr, struct bdev **bdev, uint64_t *offset, uint64_t *run)
{
	const struct device *dev = device_find(m, id);
	return dev && dev->state == DEVICE_READY && topology_map(dev->topo, addr, bdev, offset, run);
}

static void
device_end(struct device *dev, enum device_state state, enum reason reason)
{
	dev->step = STEP_NONE;
	dev->state = state;
	dev->reason = reason;
	dev->dead_ns = lease_clock();
	if (state == DEVICE_DEAD) {
		log_info("a device of the server is not used: %s", reason_name(reason));
		topology_free(dev->topo);
		dev->topo = NULL;
	}
	waiters_end_all(&dev->waiters, 0);
	if (dev->again && dev->state == DEVICE_READY)
		device_retire(dev);
	dev->again = false;
}

/* ---- 4: the key (RFC 8154 2.4.10.3) ---- */

static void device_register(struct device *dev);

static void
registered(struct bdev *bdev, int status, void *arg)
{
	struct device *dev = arg;
	(void)bdev;
	if (status == -EOPNOTSUPP) {
		device_end(dev, DEVICE_DEAD, REASON_NO_RESERVATIONS);
	} else if (status) {
		device_end(dev, DEVICE_DEAD, status == -EBADE ? REASON_FENCED : REASON_IO_ERROR);
	} else {
		dev->leaf++;
		device_register(dev);
	}
}

static void
device_register(struct device *dev)
{
	dev->step = STEP_REGISTER;
	for (; dev->leaf < dev->nleaves; dev->leaf++) {
		struct bdev *bdev = dev->leaves[dev->leaf];
		uint64_t key = dev->keys[dev->leaf];
		if (!bdev->up) {
			device_end(dev, DEVICE_DEAD, REASON_IO_ERROR);
			return;
		}
		if (key && bdev->pr_key != key) {
			bdev_register(bdev, key, registered, dev);
			return;
		}
	}
	device_end(dev, DEVICE_READY, REASON_NONE);
}

/* ---- 3: which of ours is it? ---- */

static void
matched(struct topology *topo, int status, void *arg)
{
	struct device *dev = arg;
	topology_free(dev->topo);
	dev->topo = status ? NULL : topo;
	if (status) {
		device_end(dev, DEVICE_DEAD, status == -ENODEV ? REASON_NO_DEVICE :
		    status == -EXDEV ? REASON_WRONG_DEVICE : REASON_IO_ERROR);
		return;
	}
	dev->nleaves = topology_devices(topo, dev->leaves, dev->keys, MAX_LEAVES);
	if (dev->nleaves > MAX_LEAVES) {
		device_end(dev, DEVICE_DEAD, REASON_NO_DEVICE);
		return;
	}
	dev->leaf = 0;
	device_register(dev);
}

/* ---- 2: GETDEVICEINFO (RFC 8881 18.40) ---- */

static void
info_build(struct mds_req *req, struct compound_call *c)
{
	const struct device *dev = (struct device *)(void *)((char *)req - offsetof(struct device, req));
	uint32_t notify = 1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE;
	GETDEVICEINFO4args args = {
		.gdia_layout_type = dev->type,
		.gdia_maxcount = MAX_ADDRESS,
		.gdia_notify_types = { .bitmap4_len = dev->acknowledge ? 0 : 1, .bitmap4_val = &notify },
	};
	memcpy(args.gdia_device_id, dev->id, sizeof dev->id);
	compound_call_op(c, OP_GETDEVICEINFO, &args);
}

static void
info_done(struct mds_req *req, int status, struct reply *reply)
{
	struct device *dev = (struct device *)(void *)((char *)req - offsetof(struct device, req));
	struct pnfs *m = dev->m;
	if (!status) {
		m->stats.getdeviceinfo++;
		status = reply_op(reply, OP_GETDEVICEINFO);
	}
	struct volume *vol = NULL;
	uint32_t n = 0;
	if (dev->acknowledge && status != -ENOENT && reply) {
		dev->acknowledge = false;
		mds_submit(&m->mds, &dev->req);	/* it is there: with notifications again */
		return;
	}
	dev->acknowledge = false;
	if (!status) {
		const device_addr4 *addr =
		    &reply->res.nfs_resop4_u.opgetdeviceinfo.GETDEVICEINFO4res_u.gdir_resok4.gdir_device_addr;
		if (addr->da_layout_type != dev->type || !layout_device_decode(dev->type, addr->da_addr_body.da_addr_body_val,
		    addr->da_addr_body.da_addr_body_len, &m->mds.arena, &vol, &n))
			status = -EPROTO;
	}
	if (status) {
		log_info("GETDEVICEINFO: %s", reply ? nfs4_status_name(reply->status) : strerror(-status));
		device_end(dev, DEVICE_DEAD, status == -ENOENT ? REASON_NO_DEVICE : REASON_IO_ERROR);
		return;
	}
	struct bdev *up[MOUNT_MAX_BDEVS];
	unsigned nup = 0;
	for (unsigned i = 0; i < m->nbdevs; i++)
		if (m->bdevs[i].bdev && m->bdevs[i].up && m->bdevs[i].bdev->up)
			up[nup++] = m->bdevs[i].bdev;
	dev->step = STEP_MATCH;
	uint8_t uuid[16];
	fsid_to_uuid(&dev->fsid, (uint32_t)dev->type, uuid);
	match_device(m->loop, dev->type, vol, n, m->mds.ours ? uuid : NULL, up, nup, matched, dev);
}

/* ---- 1: our own devices open, and connected ---- */

static bool
bdevs_busy(const struct pnfs *m)
{
	for (unsigned i = 0; i < m->nbdevs; i++)
		if (m->bdevs[i].opening)
			return true;
	return false;
}

/* Those that wait for our devices go on, when the last has answered. */
static void
bdevs_check(struct pnfs *m)
{
	struct device *dev;
	if (bdevs_busy(m))
		return;
	LIST_FOREACH(dev, &m->devices, link) {
		if (dev->step != STEP_OPEN)
			continue;
		dev->step = STEP_INFO;
		dev->req.build = info_build;
		dev->req.done = info_done;
		dev->req.flags = 0;
		mds_submit(&m->mds, &dev->req);
	}
}

/* A connection was lost: what the layouts on it say has to be asked anew before it is used again. */
static void
bdev_changed(struct bdev *bdev, void *arg)
{
	struct mount_bdev *b = arg;
	struct device *dev;
	if (bdev->up)
		return;
	LIST_FOREACH(dev, &b->mount->devices, link)
		for (unsigned i = 0; i < dev->nleaves && dev->state == DEVICE_READY; i++)
			if (dev->leaves[i] == bdev)
				device_retire(dev);
}

static void
bdev_opened(struct bdev *bdev, int status, void *arg)
{
	struct mount_bdev *b = arg;
	b->opening = false;
	b->up = status == 0;
	if (status) {
		b->bdev = NULL;		/* freed by itself */
		b->failed_ns = lease_clock();
		log_warn("%s: %s", b->name, strerror(-status));
	} else {
		b->bdev = bdev;
		bdev->state_changed = bdev_changed;
		bdev->state_arg = b;
	}
	bdevs_check(b->mount);
}

static void
bdev_back(struct bdev *bdev, int status, void *arg)
{
	struct mount_bdev *b = arg;
	(void)bdev;
	b->opening = false;
	if (status) {
		b->failed_ns = lease_clock();
		log_info("%s: %s", b->name, strerror(-status));
	}
	bdevs_check(b->mount);
}

static void
bdevs_open(struct pnfs *m, uint64_t again_ns)
{
	uint64_t now = lease_clock();
	for (unsigned i = 0; i < m->nbdevs; i++) {
		struct mount_bdev *b = &m->bdevs[i];
		if (b->opening || (b->bdev && b->bdev->up) || (b->failed_ns && now - b->failed_ns < again_ns))
			continue;
		b->opening = true;
		if (b->bdev) {
			bdev_reconnect(b->bdev, bdev_back, b);
			continue;
		}
		b->bdev = bdev_open(m->loop, b->name, m->initiator, bdev_opened, b);
		b->opening = b->bdev != NULL;
	}
}

static bool
bdevs_down(const struct pnfs *m)
{
	for (unsigned i = 0; i < m->nbdevs; i++)
		if (m->bdevs[i].bdev && !m->bdevs[i].bdev->up)
			return true;
	return false;
}

static void
open_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	device_open(timer->data);
}

static void
device_open(struct device *dev)
{
	struct pnfs *m = dev->m;
	bdevs_open(m, bdevs_down(m) ? SECOND / 4 : REOPEN_TIME);
	/* One that was connected and is not comes back, with luck: some time for that. */
	if (!bdevs_busy(m) && bdevs_down(m) && lease_clock() - dev->since_ns < RECONNECT_TIME) {
		dev->step = STEP_NONE;
		ev_timer_init(&dev->timer, open_again, 0.3, 0);
		dev->timer.data = dev;
		ev_now_update(loop_ev(m->loop));
		ev_timer_start(loop_ev(m->loop), &dev->timer);
		return;
	}
	dev->step = STEP_OPEN;
	bdevs_check(m);
}

void
device_resolve(struct pnfs *m, layouttype4 type, const uint8_t *id, const fsid4 *fsid, done_fn *done, void *arg)
{
	enum reason reason;
	struct device *dev = device_find(m, id);
	if (device_state(m, id, &reason) != DEVICE_WAIT) {
		done(arg, 0);
		return;
	}
	if (!dev && (dev = calloc(1, sizeof *dev))) {
		dev->m = m;
		memcpy(dev->id, id, sizeof dev->id);
		dev->type = type;
		dev->fsid = *fsid;
		dev->state = DEVICE_DEAD;
		TAILQ_INIT(&dev->waiters);
		ev_init(&dev->timer, NULL);
		LIST_INSERT_HEAD(&m->devices, dev, link);
	}
	if (!dev) {
		done(arg, -ENOMEM);
		return;
	}
	if (waiter_add(&dev->waiters, done, arg, 0))
		return;
	if (dev->state == DEVICE_DEAD) {
		dev->state = DEVICE_WAIT;
		dev->since_ns = lease_clock();
		device_open(dev);
	}
}

/* ---- losing it ---- */

static bool
node_uses(const struct node *node, const struct device *dev)
{
	for (uint32_t i = 0; i < node->layout.map.n; i++) {
		const struct layout_extent *e = &node->layout.map.ext[i].e;
		if (e->state != EXTENT_NONE && !memcmp(e->device, dev->id, sizeof dev->id))
			return true;
	}
	return false;
}

static void
unregistered(struct bdev *bdev, int status, void *arg)
{
	(void)bdev;
	(void)status;
	struct device *dev = arg;
	if (--dev->retiring)
		return;
	if (dev->deleted)
		device_end(dev, DEVICE_DEAD, REASON_NO_DEVICE);
	else
		device_open(dev);
}

/* All layouts on it are back: the key is given up, then from the start. */
static void
retired(void *arg, int status)
{
	struct device *dev = arg;
	(void)status;
	if (--dev->retiring)
		return;
	dev->step = STEP_NONE;
	topology_free(dev->topo);
	dev->topo = NULL;
	dev->since_ns = lease_clock();
	dev->retiring = 1;
	for (unsigned i = 0; i < dev->nleaves; i++)
		if (dev->keys[i] && dev->leaves[i]->up && dev->leaves[i]->pr_key) {
			dev->retiring++;
			bdev_register(dev->leaves[i], 0, unregistered, dev);
		}
	unregistered(NULL, 0, dev);
}

static void
device_retire(struct device *dev)
{
	struct node *node, *tmp;
	if (dev->state != DEVICE_READY)
		return;
	dev->state = DEVICE_WAIT;
	dev->step = STEP_RETIRE;
	dev->retiring = 1;
	HASH_ITER(hh, dev->m->nodes, node, tmp)
		if (node_uses(node, dev)) {
			dev->retiring++;
			layout_return(node, 0, UINT64_MAX, retired, dev);
		}
	retired(dev, 0);
}

void
device_failed(struct pnfs *m, const uint8_t *id, int err)
{
	struct device *dev = device_find(m, id);
	if (!dev || dev->state != DEVICE_READY)
		return;			/* being seen to */
	if (err == -EBADE) {
		uint64_t now = lease_clock();
		if (now - dev->fenced_ns > 60 * SECOND)
			dev->fences = 0;
		dev->fenced_ns = now;
		log_warn("reservation conflict: this client is fenced from the device");
		mds_renew(&m->mds);	/* what does the server know of us? */
		if (++dev->fences > FENCES_MAX) {
			device_end(dev, DEVICE_DEAD, REASON_FENCED);
			return;
		}
	}
	device_retire(dev);
}

void
device_changed(struct pnfs *m, layouttype4 type, const uint8_t *id, bool deleted)
{
	struct device *dev = device_find(m, id);
	if (!dev || dev->type != type)
		return;
	dev->deleted = deleted;
	dev->again = dev->state == DEVICE_WAIT && dev->step != STEP_RETIRE;
	device_retire(dev);
}

void
devices_changed(struct pnfs *m, bool deleted)
{
	struct device *dev;
	LIST_FOREACH(dev, &m->devices, link) {
		dev->acknowledge = deleted;
		dev->again = dev->state == DEVICE_WAIT && dev->step != STEP_RETIRE;
		if (dev->state == DEVICE_DEAD && deleted) {
			dev->state = DEVICE_WAIT;
			dev->since_ns = lease_clock();
			device_open(dev);
		} else {
			device_retire(dev);
		}
	}
}

void
devices_forget(struct pnfs *m, const fsid4 *fsid)
{
	struct device *dev;
	LIST_FOREACH(dev, &m->devices, link)
		if (dev->state == DEVICE_READY && (!fsid || (dev->fsid.major == fsid->major && dev->fsid.minor == fsid->minor))) {
			dev->state = DEVICE_DEAD;
			dev->dead_ns = 0;	/* to be asked for at once when a layout names it again */
			topology_free(dev->topo);
			dev->topo = NULL;
		}
}

/* ---- the end ---- */

struct unregister {
	done_fn *done;
	void *arg;
	unsigned left;
};

static void
key_gone(struct bdev *bdev, int status, void *arg)
{
	struct unregister *u = arg;
	(void)bdev;
	(void)status;
	if (--u->left)
		return;
	u->done(u->arg, 0);
	free(u);
}

void
devices_unregister(struct pnfs *m, done_fn *done, void *arg)
{
	struct unregister *u = calloc(1, sizeof *u);
	if (!u) {
		done(arg, -ENOMEM);
		return;
	}
	*u = (struct unregister){ .done = done, .arg = arg, .left = 1 };
	for (unsigned i = 0; i < m->nbdevs; i++) {
		struct bdev *bdev = m->bdevs[i].bdev;
		if (bdev && m->bdevs[i].up && bdev->up && bdev->pr_key) {
			u->left++;
			bdev_register(bdev, 0, key_gone, u);
		}
	}
	key_gone(NULL, 0, u);
}

void
devices_close(struct pnfs *m)
{
	struct device *dev;
	while ((dev = LIST_FIRST(&m->devices))) {
		struct waiter *w;
		LIST_REMOVE(dev, link);
		ev_timer_stop(loop_ev(m->loop), &dev->timer);
		while ((w = TAILQ_FIRST(&dev->waiters))) {
			TAILQ_REMOVE(&dev->waiters, w, link);
			free(w);
		}
		topology_free(dev->topo);
		free(dev);
	}
	for (unsigned i = 0; i < m->nbdevs; i++) {
		if (m->bdevs[i].bdev)
			bdev_close(m->bdevs[i].bdev);
		m->bdevs[i].bdev = NULL;
	}
}
