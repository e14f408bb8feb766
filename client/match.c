/*
 * Finding the devices of a layout's device address; see match.h.  A small machine: one read at a time, leaf by leaf, device by
 * device, signature component by component.
 */
#include "client/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/topology.h"
#include "include/log.h"

#define XFS_MAGIC "XFSB"
#define XFS_UUID_AT 32
#define PROBE_MAX (VOLUME_MAX_SIG + 2 * 65536u)

struct sig_copy {
	int64_t offset;
	uint32_t len;
	uint8_t contents[VOLUME_MAX_SIG];
};

struct leaf {
	uint32_t node;
	unsigned nsigs;
	struct sig_copy *sigs;
	uint8_t code_set, dtype;
	uint8_t designator_len, designator[VOLUME_MAX_DESIGNATOR];
};

struct match {
	struct topology *topo;
	layouttype4 type;
	bool have_uuid;
	uint8_t uuid[16];
	struct bdev **bdevs;
	unsigned nbdevs, nleaves;
	unsigned leaf, dev, sig;	/* where we are */
	bool wrong;			/* a device had the name and another file system */
	struct leaf *leaves;
	struct bdev_io io;
	uint8_t *buf;
	uint32_t skip;			/* bytes of buf before what is compared */
	struct loop_work start;
	match_done_fn *done;
	void *arg;
};

static void match_step(struct match *m);
static void match_unregistered(struct bdev *bdev, int status, void *arg);

static void
match_end(struct match *m, int status)
{
	if (!status)
		status = topology_finish(m->topo);
	if (status) {
		topology_free(m->topo);
		m->topo = NULL;
	}
	match_done_fn *done = m->done;
	struct topology *topo = m->topo;
	void *arg = m->arg;
	for (unsigned i = 0; i < m->nleaves; i++)
		free(m->leaves[i].sigs);
	free(m->leaves);
	free(m->bdevs);
	free(m->buf);
	free(m);
	done(topo, status, arg);
}

static bool
same_designator(const struct leaf *leaf, const struct bdev *bdev)
{
	for (unsigned i = 0; i < bdev->ndesignators; i++) {
		const struct bdev_designator *d = &bdev->designators[i];
		if (d->type == leaf->dtype && d->code_set == leaf->code_set &&
		    d->len == leaf->designator_len && !memcmp(d->bytes, leaf->designator, d->len))
			return true;
	}
	return false;
}

static void
match_next_device(struct match *m)
{
	m->dev++;
	m->sig = 0;
	match_step(m);
}

static void
match_found(struct match *m)
{
	m->topo->nodes[m->leaves[m->leaf].node].bdev = m->bdevs[m->dev];
	m->leaf++;
	m->dev = m->sig = 0;
	match_step(m);
}

static void
match_read_done(struct bdev_io *io)
{
	struct match *m = io->arg;
	const struct leaf *leaf = &m->leaves[m->leaf];
	const uint8_t *at = m->buf + m->skip;
	if (io->result) {
		log_warn("%s: cannot read its identity: %s", io->bdev->name, strerror(-io->result));
		match_next_device(m);
	} else if (m->type == LAYOUT4_SCSI) {
		if (!memcmp(m->buf, XFS_MAGIC, 4) && !memcmp(at, m->uuid, sizeof m->uuid)) {
			match_found(m);
			return;
		}
		m->wrong = true;
		log_warn("%s: has the designator asked for, but another file system", io->bdev->name);
		bdev_register(io->bdev, 0, match_unregistered, m);
	} else if (memcmp(at, leaf->sigs[m->sig].contents, leaf->sigs[m->sig].len)) {
		match_next_device(m);
	} else if (++m->sig == leaf->nsigs) {
		match_found(m);
	} else {
		match_step(m);
	}
}

static void match_read(struct match *m, struct bdev *bdev, int64_t offset, uint32_t len);

/*
 * The LUN is reserved for registrants, for reading too (SPC-5, EXCLUSIVE ACCESS - REGISTRANTS ONLY): register the key of the
 * address before looking at it (RFC 8154 2.4.10.3).
 */
static void
match_registered(struct bdev *bdev, int status, void *arg)
{
	struct match *m = arg;
	if (status) {
		log_warn("%s: cannot register a reservation key: %s", bdev->name, strerror(-status));
		match_next_device(m);
	} else if (m->have_uuid) {
		match_read(m, bdev, XFS_UUID_AT, sizeof m->uuid);
	} else {
		match_found(m);
	}
}

static void
match_unregistered(struct bdev *bdev, int status, void *arg)
{
	(void)bdev, (void)status;
	match_next_device(arg);
}

/* Read LEN bytes at OFFSET (negative: from the end) of the device. */
static void
match_read(struct match *m, struct bdev *bdev, int64_t offset, uint32_t len)
{
	uint64_t at = offset >= 0 ? (uint64_t)offset : bdev->size - (uint64_t)-offset;
	uint32_t bs = bdev->block_size;
	if ((offset < 0 && (uint64_t)-offset > bdev->size) || at > bdev->size || len > bdev->size - at) {
		match_next_device(m);
		return;
	}
	m->skip = (uint32_t)(at % bs);
	uint64_t from = at - m->skip;
	uint32_t want = m->skip + len;
	want += -want % bs;
	m->io = (struct bdev_io){ .op = BDEV_READ, .buf = m->buf, .len = want, .offset = from,
		.done = match_read_done, .arg = m };
	bdev_submit(bdev, &m->io);
}

static void
match_step(struct match *m)
{
	while (m->leaf < m->nleaves && m->dev < m->nbdevs) {
		const struct leaf *leaf = &m->leaves[m->leaf];
		struct bdev *bdev = m->bdevs[m->dev];
		if (m->type == LAYOUT4_SCSI && bdev->up && same_designator(leaf, bdev)) {
			uint64_t key = m->topo->nodes[leaf->node].key;
			if (bdev->pr_key == key)
				match_registered(bdev, 0, m);
			else
				bdev_register(bdev, key, match_registered, m);
			return;
		}
		if (m->type == LAYOUT4_BLOCK_VOLUME && bdev->up && leaf->nsigs) {
			match_read(m, bdev, leaf->sigs[m->sig].offset, leaf->sigs[m->sig].len);
			return;
		}
		m->dev++;
		m->sig = 0;
	}
	match_end(m, m->leaf == m->nleaves ? 0 : m->wrong ? -EXDEV : -ENODEV);
}

static void
match_begin(struct loop_work *work)
{
	struct match *m = (struct match *)((char *)work - offsetof(struct match, start));
	if (!m->topo)
		match_end(m, -EINVAL);
	else
		match_step(m);
}

static int
leaf_add(struct match *m, uint32_t node, const struct volume *vol)
{
	struct leaf *leaf = &m->leaves[m->nleaves++];
	leaf->node = node;
	if (vol->type == VOLUME_BASE) {
		leaf->code_set = (uint8_t)vol->base.code_set;
		leaf->dtype = (uint8_t)vol->base.designator_type;
		leaf->designator_len = (uint8_t)vol->base.len;
		if (vol->base.len > sizeof leaf->designator - 1)
			return -EINVAL;
		memcpy(leaf->designator, vol->base.designator, vol->base.len);
		return 0;
	}
	leaf->sigs = calloc(vol->simple.nsigs ? vol->simple.nsigs : 1, sizeof *leaf->sigs);
	if (!leaf->sigs)
		return -ENOMEM;
	for (uint32_t i = 0; i < vol->simple.nsigs; i++) {
		const struct volume_sig *sig = &vol->simple.sigs[i];
		if (sig->len > VOLUME_MAX_SIG || sig->len == 0 || sig->offset == INT64_MIN)
			return -EINVAL;
		struct sig_copy *copy = &leaf->sigs[leaf->nsigs++];
		copy->offset = sig->offset;
		copy->len = sig->len;
		memcpy(copy->contents, sig->contents, sig->len);
	}
	return 0;
}

void
match_device(struct loop *loop, layouttype4 type, const struct volume *vol, uint32_t nvol, const uint8_t *fsuuid,
    struct bdev **bdevs, unsigned nbdevs, match_done_fn *done, void *arg)
{
	struct match *m = calloc(1, sizeof *m);
	if (!m) {
		done(NULL, -ENOMEM, arg);
		return;
	}
	m->type = type;
	m->done = done;
	m->arg = arg;
	m->start.fn = match_begin;
	m->bdevs = calloc(nbdevs ? nbdevs : 1, sizeof *bdevs);
	m->leaves = calloc(nvol ? nvol : 1, sizeof *m->leaves);
	if (fsuuid) {
		m->have_uuid = true;
		memcpy(m->uuid, fsuuid, sizeof m->uuid);
	}
	bool ok = m->bdevs && m->leaves && !posix_memalign((void **)&m->buf, 4096, PROBE_MAX);
	if (ok) {
		if (nbdevs)
			memcpy(m->bdevs, bdevs, nbdevs * sizeof *bdevs);
		m->nbdevs = nbdevs;
		m->topo = topology_new(vol, nvol);
		for (uint32_t i = 0; i < nvol && ok; i++)
			if (vol[i].type == VOLUME_SIMPLE || vol[i].type == VOLUME_BASE)
				ok = leaf_add(m, i, &vol[i]) == 0;
	}
	if (!ok) {
		topology_free(m->topo);
		m->topo = NULL;
	}
	loop_post(loop, &m->start);
}
