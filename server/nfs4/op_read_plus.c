/*
 * READ_PLUS (RFC 7862 15.10): READ that says what is a hole instead of sending zeros.  The Linux client uses it in place of READ at minor version 2.
 *
 * The result is written straight to the reply: its pieces are read to where they stand there.
 */
#include <errno.h>

#include "proto/nfs4/status.h"
#include "server/nfs4/io.h"
#include "server/nfs4/way.h"

#define RESULT_HEAD 8u			/* operation number, status */
#define FRAME 8u			/* rpr_eof, the count of rpr_contents */
#define DATA_HEAD 16u			/* discriminant, offset, length of the data */
#define HOLE_LEN 20u
/*
 * Shorter holes are sent as data.  So the whole takes at most SLACK bytes more than what was asked for: the Linux client has room for no more than one hole and one piece of data
 * beside that.
 */
#define HOLE_LEAST 512u
#define SLACK (FRAME + 2 * DATA_HEAD)
#define PIECES 256u

struct reading {
	struct compound *c;
	XDR x;
	uint64_t pos, end;		/* next byte; not past the end of the file */
	uint32_t pieces;
	bool coherent;
	bool cut;			/* by a local process, meanwhile */
};

/* Up to END, or as much as goes. */
static nfsstat4
put_data(struct reading *r, uint64_t end)
{
	struct compound *c = r->c;
	uint32_t len = (uint32_t)(end - r->pos), left = ax_left(&r->x);

	if (left < DATA_HEAD + 4)
		return NFS4ERR_TOOSMALL;
	if (len > ((left - DATA_HEAD) & ~3u))
		len = (left - DATA_HEAD) & ~3u;
	uint8_t *buf = ax_pos(&r->x) + DATA_HEAD;
	ssize_t n = fs_read(c->cur, buf, len, r->pos, c->on_loop, r->coherent);
	if (n == -EAGAIN && c->on_loop)
		return OP_WORKER;
	if (n < 0)
		return nfs4_status(n);
	if (n == 0) {
		r->end = r->pos;
		r->cut = true;
		return NFS4_OK;
	}
	ax_put_u32(&r->x, NFS4_CONTENT_DATA);
	ax_put_u64(&r->x, r->pos);
	ax_put_u32(&r->x, (uint32_t)n);
	ax_put_fixed(&r->x, buf, (uint32_t)n);
	r->pieces++;
	r->pos += (uint64_t)n;
	return NFS4_OK;
}

static nfsstat4
put_hole(struct reading *r, uint64_t end)
{
	if (ax_left(&r->x) < HOLE_LEN)
		return NFS4ERR_TOOSMALL;
	ax_put_u32(&r->x, NFS4_CONTENT_HOLE);
	ax_put_u64(&r->x, r->pos);
	ax_put_u64(&r->x, end - r->pos);
	r->pieces++;
	r->pos = end;
	return NFS4_OK;
}

/* Where what KIND is begins, from FROM on; the end of the piece if not before. */
static nfsstat4
find(struct reading *r, uint64_t from, bool data, uint64_t *found)
{
	int err = from < r->end ? fs_seek(r->c->cur, from, data, found) : -ENXIO;

	if (err == -ENXIO || (!err && *found > r->end))
		*found = r->end;
	return err == -ENXIO ? NFS4_OK : nfs4_status(err);
}

static nfsstat4
put_piece(struct reading *r)
{
	uint64_t data, hole;

	/* Looking for holes may have to wait: a loop sends what is cached as it is. */
	if (r->c->on_loop)
		return put_data(r, r->end);
	nfsstat4 status = find(r, r->pos, true, &data);
	if (status != NFS4_OK)
		return status;
	if (data - r->pos >= HOLE_LEAST)
		return put_hole(r, data);
	for (;;) {
		status = find(r, data, false, &hole);
		if (status != NFS4_OK || hole == r->end)
			break;
		status = find(r, hole, true, &data);
		if (status != NFS4_OK || data - hole >= HOLE_LEAST)
			break;
	}
	return status == NFS4_OK ? put_data(r, hole) : status;
}

/* io_lock is held.  TOOSMALL: the room ends before END does, which is no error if there is something already. */
static nfsstat4
put_all(struct reading *r)
{
	nfsstat4 status = NFS4_OK;

	while (status == NFS4_OK && r->pos < r->end && r->pieces < PIECES)
		status = put_piece(r);
	return status == NFS4ERR_TOOSMALL && r->pieces ? NFS4_OK : status;
}

static nfsstat4
read_plus(struct reading *r, const READ_PLUS4args *args, uint64_t size)
{
	struct compound *c = r->c;
	uint32_t room = compound_room(c), len = args->rpa_count < IO_MAX ? args->rpa_count : IO_MAX;

	if (room < SLACK + 4)
		return NFS4ERR_REP_TOO_BIG;
	if (len > ((room - SLACK) & ~3u))
		len = (room - SLACK) & ~3u;
	if (!compound_reply_data(c, 0, SLACK + len))
		return NFS4ERR_REP_TOO_BIG;
	uint8_t *start = ax_pos(&c->out) + RESULT_HEAD;
	ax_init(&r->x, start, (SLACK + len + 3) & ~3u, XDR_ENCODE, NULL);
	ax_take(&r->x, FRAME);
	r->pos = args->rpa_offset;
	r->end = size <= r->pos || size - r->pos < len ? size : r->pos + len;
	nfsstat4 status = put_all(r);
	if (status != NFS4_OK)
		return status;
	uint32_t used = ax_used(&r->x);
	ax_put_u32(&c->out, OP_READ_PLUS);
	ax_put_u32(&c->out, NFS4_OK);
	/* 15.10.3: at the end of the file, or past it. */
	ax_put_u32(&c->out, r->pos >= size || r->cut);
	ax_put_u32(&c->out, r->pieces);
	ax_take(&c->out, used - FRAME);
	c->encoded = true;
	return NFS4_OK;
}

nfsstat4
op_read_plus(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const READ_PLUS4args *args = &arg->nfs_argop4_u.opread_plus;
	struct reading r = { .c = c };
	struct fs_stat st;

	(void)res;
	nfsstat4 status = io_check(c, &args->rpa_stateid, false);
	if (status != NFS4_OK)
		return status;
	/* Then it is read from the device itself. */
	if (c->on_loop && layout_any(c->cur))
		return OP_WORKER;
	status = way_take(c, c->cur, LAYOUT_NEED_READ, args->rpa_offset, args->rpa_count);
	if (status != NFS4_OK)
		return status;
	r.coherent = layout_any(c->cur);
	int err = fs_getattr(c->cur, &st);
	status = err < 0 ? nfs4_status(err) : read_plus(&r, args, st.stx.stx_size);
	way_drop(c->cur);
	return status;
}
