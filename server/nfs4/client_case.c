/* EXCHANGE_ID's cases; see client_case.h. */
#include "server/nfs4/client_case.h"

static struct client_verdict
case_update(const struct client_facts *f)
{
	if (!f->confirmed)
		return (struct client_verdict){ .status = NFS4ERR_NOENT };	/* 7 */
	if (!f->same_verifier)
		return (struct client_verdict){ .status = NFS4ERR_NOT_SAME };	/* 8 */
	if (!f->same_principal)
		return (struct client_verdict){ .status = NFS4ERR_PERM };	/* 9 */
	return (struct client_verdict){ .keep = true };				/* 6 */
}

struct client_verdict
client_case(const struct client_facts *f)
{
	if (f->update)
		return case_update(f);
	if (!f->confirmed)
		return (struct client_verdict){ .status = NFS4_OK };		/* 1, 4 */
	if (!f->same_principal) {						/* 3 */
		if (f->has_state && !f->lease_over)
			return (struct client_verdict){ .status = NFS4ERR_CLID_INUSE };
		return (struct client_verdict){ .drop_confirmed = true };
	}
	if (f->same_verifier)
		return (struct client_verdict){ .keep = true };			/* 2 */
	return (struct client_verdict){ .status = NFS4_OK };			/* 5 */
}
