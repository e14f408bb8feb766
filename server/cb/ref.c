/* Replies that may be under way; see ref.h. */
#include "server/cb/ref.h"

#include <string.h>

#include "server/mds.h"
#include "server/state/session.h"

bool
cb_ref_acked_locked(struct mds *mds, const struct cb_ref *ref)
{
	struct session *session = session_find_locked(mds, ref->session);

	if (!session)
		return true;	/* destroyed: its replies mean nothing any more */
	pthread_mutex_lock(&session->lock);
	bool acked = ref->slot >= session->nslots || session->slots[ref->slot].seqid != ref->seqid;
	pthread_mutex_unlock(&session->lock);
	return acked;
}

void
cb_refs_prune_locked(struct mds *mds, struct cb_refs *refs)
{
	unsigned n = 0;

	for (unsigned i = 0; i < refs->n; i++)
		if (!cb_ref_acked_locked(mds, &refs->ref[i]))
			refs->ref[n++] = refs->ref[i];
	refs->n = n;
}

void
cb_refs_note_locked(struct mds *mds, struct cb_refs *refs, const struct cb_ref *ref)
{
	for (unsigned i = 0; i < refs->n; i++) {
		struct cb_ref *old = &refs->ref[i];
		if (old->slot == ref->slot && !memcmp(old->session, ref->session, sizeof ref->session)) {
			*old = *ref;
			return;
		}
	}
	if (refs->n == CB_MAX_REFS)
		cb_refs_prune_locked(mds, refs);
	if (refs->n == CB_MAX_REFS) {
		memmove(refs->ref, refs->ref + 1, (CB_MAX_REFS - 1) * sizeof refs->ref[0]);
		refs->n--;
	}
	refs->ref[refs->n++] = *ref;
}
