/*
 * What a client may call a file.  The names reach the file system as they are: no
 * normalization, no case folding (RFC 8881 14.4 lets a server that treats
 * names as bytes do so, and check UTF-8 all the same).
 */
#include <string.h>

#include "server/fs/fs.h"
#include "server/nfs4/name.h"

/* Bytes of the sequence at P (LEN > 0 bytes left); 0 if it is malformed (RFC 3629 section 4). */
static unsigned
utf8_sequence(const uint8_t *p, uint32_t len)
{
	if (p[0] < 0x80)
		return 1;
	unsigned n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n > len)
		return 0;
	uint32_t code = p[0] & (0x7f >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10ffff)
		return 0;
	if ((code >= 0xd800 && code <= 0xdfff) || (code & 0xfffe) == 0xfffe)
		return 0;
	return n;
}

bool
name_utf8(const void *data, uint32_t len)
{
	const uint8_t *p = data;

	while (len) {
		unsigned n = utf8_sequence(p, len);
		if (!n)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

nfsstat4
name_check(const component4 *name)
{
	const char *s = name->utf8string_val;
	uint32_t len = name->utf8string_len;

	if (len == 0)
		return NFS4ERR_INVAL;
	if (len > FS_NAME_MAX)
		return NFS4ERR_NAMETOOLONG;
	if (!name_utf8(s, len))
		return NFS4ERR_INVAL;
	if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
		return NFS4ERR_BADNAME;
	if (memchr(s, '/', len) || memchr(s, 0, len))
		return NFS4ERR_BADCHAR;
	return NFS4_OK;
}
