/*
 * Whom a context is of: the principal, and the account of this machine that is its (auth_to_local of krb5.conf, then the name service), as
 * rpc.svcgssd does it.  Principals of hosts and services (nfs/HOST@REALM, HOST$@REALM) have none and are anonymous.
 */
#include "server/gss/gss_private.h"

#include <errno.h>
#include <grp.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"

#define NOBODY 65534u
#define MAX_PASSWD (64u << 10)

char *
gss_words(OM_uint32 major, OM_uint32 minor)
{
	OM_uint32 ignored, more = 0;
	gss_buffer_desc a = GSS_C_EMPTY_BUFFER, b = GSS_C_EMPTY_BUFFER;
	char *words = NULL;
	gss_display_status(&ignored, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &a);
	more = 0;
	gss_display_status(&ignored, minor, GSS_C_MECH_CODE, (gss_OID)(uintptr_t)gss_mech_krb5, &more, &b);
	if (asprintf(&words, "%.*s: %.*s", (int)a.length, a.length ? (char *)a.value : "", (int)b.length,
	    b.length ? (char *)b.value : "") < 0)
		words = NULL;
	gss_release_buffer(&ignored, &a);
	gss_release_buffer(&ignored, &b);
	return words;
}

/* FNV-1a */
static uint64_t
hash_text(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3u;
	return h;
}

/* The account NAME.  False: none. */
static bool
account(struct gss_who *who, const char *name)
{
	struct passwd pw, *found = NULL;
	CLEANUP_FREE char *buf = malloc(MAX_PASSWD);
	int n = GSS_MAX_GROUPS;
	if (!buf || getpwnam_r(name, &pw, buf, MAX_PASSWD, &found) || !found)
		return false;
	who->uid = pw.pw_uid;
	who->gid = pw.pw_gid;
	if (getgrouplist(name, pw.pw_gid, who->gids, &n) < 0) {
		log_warn("gss: %s is in more than %u groups: only those count", name, GSS_MAX_GROUPS);
		n = GSS_MAX_GROUPS;
	}
	who->ngids = (unsigned)n;
	return true;
}

int
gss_who_find(struct gss_who *who, gss_name_t name, gss_OID mech)
{
	OM_uint32 minor, major;
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER, local = GSS_C_EMPTY_BUFFER;
	*who = (struct gss_who){ .anonymous = true, .uid = NOBODY, .gid = NOBODY };
	major = gss_display_name(&minor, name, &text, NULL);
	if (GSS_ERROR(major))
		return -EACCES;
	who->principal = strndup(text.value, text.length);
	gss_release_buffer(&minor, &text);
	if (!who->principal)
		return -ENOMEM;
	who->hash = hash_text(who->principal);
	major = gss_localname(&minor, name, mech, &local);
	if (GSS_ERROR(major))
		return 0;
	CLEANUP_FREE char *user = strndup(local.value, local.length);
	gss_release_buffer(&minor, &local);
	who->anonymous = !user || !account(who, user);
	return 0;
}
