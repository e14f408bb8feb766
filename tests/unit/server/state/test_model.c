/*
 * Opens, locks and layouts of several clients on several files, by random operations against a small model: sets of share modes, a word per byte, a bit per
 * block.  The seed is printed; MODEL_SEED and MODEL_STEPS repeat or lengthen a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/state/file.h"
#include "server/state/lock.h"
#include "tests/unit/server/layout/fake_layout.h"

#define CLIENTS 4u
#define OWNERS 2u		/* open owners of a client; each has a lock owner of its own */
#define FILES 3u
#define BYTES 64u
#define BLOCKS FAKE_BLOCKS
#define STEPS 100000u

struct model_open {
	bool is;
	uint32_t access, deny, seen;	/* seen: bit (access - 1) * 4 + deny */
	stateid4 sid, lock;		/* lock: seqid 0: none */
	uint8_t mode[BYTES];		/* enum lock_mode */
};
struct model_layout {
	uint64_t read, rw;		/* a bit per block */
	stateid4 sid;
};

static struct fake_file *file[FILES];
static struct model_open open_of[CLIENTS][OWNERS][FILES];
static struct model_layout layout_of[CLIENTS][FILES];
static unsigned step, done_of[16];
static uint32_t seed;

static uint32_t
below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * n >> 24);
}

#define MUST(cond) do { \
	if (!(cond)) \
		ck_abort_msg("step %u: %s", step, #cond); \
} while (0)

static void
lock_state(void)
{
	pthread_mutex_lock(&w.mds.state_lock);
}

static void
unlock_state(void)
{
	pthread_mutex_unlock(&w.mds.state_lock);
}

/* ---- opens ---- */

static struct open_state *
open_find(unsigned c, const stateid4 *sid, unsigned kind)
{
	struct state_obj *obj;
	MUST(state_find_locked(&w.mds, &w.client[c], sid, kind, NULL, &obj) == NFS4_OK);
	return (struct open_state *)obj;
}

static void
sid_moves(stateid4 *sid, const stateid4 *next)
{
	MUST(next->seqid == sid->seqid + 1 && !memcmp(next->other, sid->other, sizeof sid->other));
	*sid = *next;
}

static void
step_open(unsigned c, unsigned o, unsigned f)
{
	struct model_open *m = &open_of[c][o][f];
	uint32_t access = 1 + below(3), deny = below(8) ? 0 : below(4);
	char owner = (char)('a' + o);
	struct open_ask ask = { .owner = &owner, .owner_len = 1, .access = access, .deny = deny };
	struct open_undo undo;
	stateid4 sid;
	bool conflict = false;
	for (unsigned k = 0; k < CLIENTS * OWNERS; k++) {
		const struct model_open *x = &open_of[k / OWNERS][k % OWNERS][f];
		conflict |= x->is && (x->deny & access || x->access & deny);
	}
	lock_state();
	nfsstat4 status = open_add_locked(&w.mds, &w.client[c], file[f]->inode, &ask, &undo, &sid);
	unlock_state();
	MUST(status == (conflict ? NFS4ERR_SHARE_DENIED : NFS4_OK));
	if (conflict)
		return;
	if (m->is)
		sid_moves(&m->sid, &sid);
	else
		*m = (struct model_open){ .is = true, .sid = sid };
	MUST(m->sid.seqid == sid.seqid);
	m->access |= access;
	m->deny |= deny;
	m->seen |= 1u << ((access - 1) * 4 + deny);
}

/* Can ACCESS and DENY be the union of some of what was opened (RFC 8881 18.18.3)? */
static bool
reachable(const struct model_open *m, uint32_t access, uint32_t deny)
{
	uint32_t a = 0, d = 0;
	bool some = false;
	for (unsigned bit = 0; bit < 12; bit++) {
		uint32_t sa = bit / 4 + 1, sd = bit % 4;
		if (!(m->seen >> bit & 1))
			continue;
		if (!(sa & ~access))
			a |= sa;
		if (!(sd & ~deny)) {
			d |= sd;
			some = true;
		}
	}
	return some && a == access && d == deny;
}

static void
step_downgrade(unsigned c, unsigned o, unsigned f)
{
	struct model_open *m = &open_of[c][o][f];
	uint32_t access = 1 + below(3), deny = below(4), seen = 0;
	stateid4 sid;
	if (!m->is)
		return;
	lock_state();
	nfsstat4 status = open_downgrade_locked(open_find(c, &m->sid, STATE_OPEN), access, deny, &sid);
	unlock_state();
	MUST(status == (reachable(m, access, deny) ? NFS4_OK : NFS4ERR_INVAL));
	if (status != NFS4_OK)
		return;
	sid_moves(&m->sid, &sid);
	for (unsigned bit = 0; bit < 12; bit++)
		if (!((bit / 4 + 1) & ~access) && !((bit % 4) & ~deny))
			seen |= m->seen & 1u << bit;
	m->seen = seen | 1u << ((access - 1) * 4 + deny);
	m->access = access;
	m->deny = deny;
}

static void
step_close(unsigned c, unsigned o, unsigned f)
{
	struct model_open *m = &open_of[c][o][f];
	struct inode *iref;
	if (!m->is)
		return;
	lock_state();
	open_close_locked(&w.mds, open_find(c, &m->sid, STATE_OPEN), &iref);
	unlock_state();
	inode_put(iref);
	layout_closed(&w.mds, file[f]->inode, &w.client[c]);
	memset(m, 0, sizeof *m);
}

/* ---- locks ---- */

static bool
lock_conflict(unsigned c, unsigned o, unsigned f, bool write, unsigned start, unsigned end)
{
	for (unsigned k = 0; k < CLIENTS * OWNERS; k++)
		for (unsigned b = start; k != c * OWNERS + o && b <= end; b++) {
			uint8_t mode = open_of[k / OWNERS][k % OWNERS][f].mode[b];
			if (mode == LOCK_WRITE || (write && mode == LOCK_READ))
				return true;
		}
	return false;
}

static void
step_lock(unsigned c, unsigned o, unsigned f, bool unlock)
{
	struct model_open *m = &open_of[c][o][f];
	unsigned start = below(BYTES), end = start + below(below(4) ? 8 : BYTES);
	char owner = (char)('l' + o);
	struct lock_ask ask = { .start = start, .write = below(3) == 0, .owner = &owner, .owner_len = 1 };
	const struct lock_range *denied;
	struct lock_state *state = NULL;
	stateid4 sid;
	nfsstat4 status = NFS4_OK;
	end = end < BYTES ? end : BYTES - 1;
	ask.end = end;
	if (!m->is || (unlock && !m->lock.seqid))
		return;
	lock_state();
	if (m->lock.seqid)
		state = (struct lock_state *)open_find(c, &m->lock, STATE_LOCK);
	if (unlock)
		status = lock_unset_locked(&w.mds, state, start, end, &sid);
	else
		status = lock_set_locked(&w.mds, open_find(c, &m->sid, STATE_OPEN), below(2) ? state : NULL, &ask, &sid, &denied);
	unlock_state();
	bool conflict = !unlock && lock_conflict(c, o, f, ask.write, start, end);
	MUST(status == (conflict ? NFS4ERR_DENIED : NFS4_OK));
	if (conflict)
		return;
	if (m->lock.seqid)
		sid_moves(&m->lock, &sid);
	m->lock = sid;
	memset(m->mode + start, unlock ? LOCK_NONE : ask.write ? LOCK_WRITE : LOCK_READ, end - start + 1);
}

/* ---- layouts ---- */

static uint64_t
blocks(uint64_t start, uint64_t end)
{
	uint64_t first = start / U, last = end / U < BLOCKS ? end / U : BLOCKS, bits = 0;
	for (; first < last; first++)
		bits |= 1ull << first;
	return bits;
}

static void
step_get(unsigned c, unsigned o, unsigned f)
{
	const struct model_open *m = &open_of[c][o][f];
	struct model_layout *l = &layout_of[c][f];
	unsigned start = below(BLOCKS), n = 1 + below(below(3) ? 8 : BLOCKS);
	bool rw = below(2);
	uint64_t others = 0, others_rw = 0;
	if (!m->is || (rw && !(m->access & 2)))
		return;
	n = n < BLOCKS - start ? n : BLOCKS - start;
	stateid4 sid = l->sid.seqid ? l->sid : m->sid;
	sid.seqid = l->sid.seqid ? sid.seqid : 0;
	struct fake_got got = fake_get_min(c, file[f], &sid, rw, start * U, n * U, U, 92);
	if (got.status != NFS4_OK) {
		MUST(got.status == NFS4ERR_LAYOUTTRYLATER || got.status == NFS4ERR_RECALLCONFLICT || got.status == NFS4ERR_OLD_STATEID ||
		    got.status == NFS4ERR_DELAY);
		return;
	}
	for (unsigned k = 0; k < CLIENTS; k++)
		if (k != c) {
			others |= layout_of[k][f].read | layout_of[k][f].rw;
			others_rw |= layout_of[k][f].rw;
		}
	uint64_t given = blocks(got.a.offset, got.a.offset + got.a.length);
	MUST(got.a.length && given && given & 1ull << start);
	/* One may write, or several may read. */
	MUST(!(given & (rw ? others : others_rw)));
	*(rw ? &l->rw : &l->read) |= given;
	l->sid = got.a.sid;
	done_of[8]++;
}

static void
returned(unsigned c, unsigned f, uint64_t offset, uint64_t length)
{
	struct model_layout *l = &layout_of[c][f];
	bool present;
	if (!l->sid.seqid)
		return;
	uint64_t gone = blocks(offset, length > UINT64_MAX - offset ? UINT64_MAX : offset + length);
	MUST(fake_return(c, file[f], &l->sid, offset, length, &present) == NFS4_OK);
	l->read &= ~gone;
	l->rw &= ~gone;
	MUST(present == (l->read || l->rw));
	if (!present)
		l->sid.seqid = 0;
	done_of[9]++;
}

/* Some client answers a recall, and returns what was asked for. */
static bool
step_recall(unsigned c)
{
	const struct fake_call *call = fake_call_of(c);
	unsigned f;
	if (!call)
		return false;
	const layoutrecall_file4 r = call->args.clora_recall.layoutrecall4_u.lor_layout;
	uint64_t offset = r.lor_offset, length = r.lor_length;
	stateid4 sid = r.lor_stateid;
	for (f = 0; f < FILES; f++)
		if (file[f]->inode->handle_len == r.lor_fh.nfs_fh4_len &&
		    !memcmp(file[f]->inode->handle, call->handle, r.lor_fh.nfs_fh4_len))
			break;
	MUST(f < FILES);
	struct model_layout *l = &layout_of[c][f];
	if (!l->sid.seqid || memcmp(l->sid.other, sid.other, sizeof sid.other)) {
		fake_answer(c, NFS4ERR_NOMATCHING_LAYOUT);
		return true;
	}
	fake_answer(c, NFS4_OK);
	l->sid = sid;
	returned(c, f, offset, length);
	done_of[10]++;
	return true;
}

static void
step_time(void)
{
	/* Nobody is slow: what a deadline does is test_holder's. */
	for (unsigned c = 0; c < CLIENTS; c++)
		while (step_recall(c))
			;
	for (unsigned c = 0; c < CLIENTS; c++)
		atomic_store(&w.client[c].renewed_ms, w.now_ms);
	fake_pass(100 + below(5) * 100);
}

/* ---- the whole ---- */

static uint64_t
bits_of(const struct ranges *set)
{
	uint64_t bits = 0;
	for (uint32_t i = 0; i < set->n; i++)
		bits |= blocks(set->v[i].start, set->v[i].end);
	return bits;
}

static void
verify_file(unsigned f)
{
	const struct file_state *fs = file[f]->inode->state;
	const struct lock_range *r;
	unsigned opens = 0, want = 0, locked = 0, want_locked = 0;
	for (unsigned k = 0; k < CLIENTS * OWNERS; k++) {
		const struct model_open *m = &open_of[k / OWNERS][k % OWNERS][f];
		want += m->is;
		for (unsigned b = 0; b < BYTES; b++)
			want_locked += m->mode[b] != LOCK_NONE;
		if (m->is) {
			const struct open_state *open = open_find(k / OWNERS, &m->sid, STATE_OPEN);
			MUST(open->access == m->access && open->deny == m->deny);
		}
	}
	if (fs) {
		const struct open_state *open;
		TAILQ_FOREACH(open, &fs->opens, of_file)
			opens++;
		TAILQ_FOREACH(r, &fs->locks, of_file) {
			unsigned c = (unsigned)(r->state->obj.client - w.client), o = (unsigned)(r->state->owner->data[1] - 'l');
			for (uint64_t b = r->start; b <= r->end; b++, locked++)
				MUST(open_of[c][o][f].mode[b] == (r->write ? LOCK_WRITE : LOCK_READ));
		}
	}
	MUST(opens == want && locked == want_locked);
	for (unsigned c = 0; c < CLIENTS; c++) {
		const struct layout *l = layout_find_locked(file[f]->inode, &w.client[c]);
		MUST((l ? bits_of(&l->held.read) : 0) == layout_of[c][f].read);
		MUST((l ? bits_of(&l->held.rw) : 0) == layout_of[c][f].rw);
	}
}

static void
verify(void)
{
	unsigned states[CLIENTS] = { 0 };
	lock_state();
	for (unsigned f = 0; f < FILES; f++)
		verify_file(f);
	unlock_state();
	for (unsigned c = 0; c < CLIENTS; c++) {
		for (unsigned k = 0; k < OWNERS * FILES; k++) {
			const struct model_open *m = &open_of[c][k / FILES][k % FILES];
			states[c] += m->is + (m->lock.seqid != 0);
		}
		for (unsigned f = 0; f < FILES; f++)
			states[c] += layout_of[c][f].sid.seqid != 0;
		MUST(w.client[c].nstates == states[c]);
	}
}

static void
one_step(void)
{
	unsigned c = below(CLIENTS), o = below(OWNERS), f = below(FILES), what = below(32);
	if (what < 6)
		step_open(c, o, f);
	else if (what < 8)
		step_downgrade(c, o, f);
	else if (what < 9)
		step_close(c, o, f);
	else if (what < 15)
		step_lock(c, o, f, false);
	else if (what < 19)
		step_lock(c, o, f, true);
	else if (what < 25)
		step_get(c, o, f);
	else if (what < 27)
		returned(c, f, below(BLOCKS) * U, below(4) ? U + below(8) * U : UINT64_MAX);
	else if (what < 31)
		step_recall(c);
	else
		step_time();
}

START_TEST(random_against_model)
{
	const char *given = getenv("MODEL_SEED"), *length = getenv("MODEL_STEPS");
	unsigned steps = length ? (unsigned)atoi(length) : STEPS;
	seed = given ? (uint32_t)strtoul(given, NULL, 0) : (uint32_t)time(NULL);
	printf("MODEL_SEED=%u\n", seed);
	fflush(stdout);
	memset(open_of, 0, sizeof open_of);
	memset(layout_of, 0, sizeof layout_of);
	for (unsigned f = 0; f < FILES; f++)
		file[f] = fake_file_new(BLOCKS * U);
	for (step = 0; step < steps; step++) {
		one_step();
		if (step % 16 == 0)
			verify();
	}
	/* It was no idle run. */
	MUST(steps < STEPS || (done_of[8] > 1000 && done_of[9] > 1000 && done_of[10] > 500));
	for (unsigned c = 0; c < CLIENTS; c++)
		while (step_recall(c))
			;
	for (unsigned k = 0; k < CLIENTS * FILES; k++)
		returned(k / FILES, k % FILES, 0, UINT64_MAX);
	for (unsigned k = 0; k < CLIENTS * OWNERS * FILES; k++)
		step_close(k / (OWNERS * FILES), k / FILES % OWNERS, k % FILES);
	verify();
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { random_against_model };
	return fake_suite("model", tests, 1);
}
