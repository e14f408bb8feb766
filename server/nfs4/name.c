/*
 * What a client may call a file.  The names reach the file system as they are: no
 * normalization, no case folding (RFC 8881 14.4 lets a server that treats
 * names as bytes do so, and check UTF-8 all the same).
 */
#include <string.h>

#include "server/fs/fs.h"
#include "server/nfs4/name.h"
#include "server/nfs4/utf8.h"

nfsstat4
name_check(const component4 *name)
{
	const char *s = name->utf8string_val;
	uint32_t len = name->utf8string_len;

	if (len == 0)
		return NFS4ERR_INVAL;
	if (len > FS_NAME_MAX)
		return NFS4ERR_NAMETOOLONG;
	if (!utf8_valid((const uint8_t *)s, len))
		return NFS4ERR_INVAL;
	if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
		return NFS4ERR_BADNAME;
	if (memchr(s, '/', len) || memchr(s, 0, len))
		return NFS4ERR_BADCHAR;
	return NFS4_OK;
}
