/* What the administrator does by pnfsctl: clients go, fences are tried again or declared done. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/ctl/ctl_private.h"
#include "server/layout/view.h"
#include "server/state/client.h"

/* Up to 16 hexadecimal digits. */
static bool
request_id(const json_t *request, uint64_t *id)
{
	const char *text = json_string_value(json_object_get(request, "id"));
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || len > 16 || strspn(text, "0123456789abcdefABCDEF") != len)
		return false;
	*id = strtoull(text, NULL, 16);
	return true;
}

static json_t *
act(struct mds *mds, const json_t *request, const char *what, int (*fn)(struct mds *mds, uint64_t id))
{
	uint64_t id;

	if (!request_id(request, &id))
		return ctl_error("%s: an ID is up to 16 hexadecimal digits, as clients and fences are listed", what);
	int n = fn(mds, id);
	if (n == -ENOENT)
		return ctl_error("%s: nothing by the ID %016" PRIx64, what, id);
	if (n == -EBUSY)
		return ctl_error("%s: %016" PRIx64 " is being cut off right now, or waits for time only", what, id);
	if (n < 0)
		return ctl_error("%s: %s", what, strerror(-n));
	log_warn("by the administrator: %s %016" PRIx64, what, id);
	return json_pack("{s:b}", "ok", 1);
}

json_t *
ctl_evict(struct mds *mds, const json_t *request)
{
	return act(mds, request, "client evict", client_evict);
}

json_t *
ctl_retry(struct mds *mds, const json_t *request)
{
	return act(mds, request, "fences retry", fences_retry);
}

json_t *
ctl_release(struct mds *mds, const json_t *request)
{
	return act(mds, request, "fences release", fences_release);
}
