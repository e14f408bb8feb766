/* UTF-8, checked; see utf8.h. */
#include "server/nfs4/utf8.h"

/* Length of the sequence that begins with byte C, and the lowest code point it may stand for; 0: none begins so. */
static unsigned
utf8_begin(uint8_t c, uint32_t *code, uint32_t *least)
{
	if (c >= 0xc2 && c <= 0xdf) {
		*code = c & 0x1f;
		*least = 0x80;
		return 2;
	}
	if ((c & 0xf0) == 0xe0) {
		*code = c & 0x0f;
		*least = 0x800;
		return 3;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		*code = c & 0x07;
		*least = 0x10000;
		return 4;
	}
	return 0;
}

bool
utf8_valid(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		if (s[i] < 0x80) {
			i++;
			continue;
		}
		uint32_t code, least;
		unsigned n = utf8_begin(s[i], &code, &least);
		if (n == 0 || n > len - i)
			return false;
		for (unsigned k = 1; k < n; k++) {
			if ((s[i + k] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (s[i + k] & 0x3f);
		}
		if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) || (code & 0xfffe) == 0xfffe)
			return false;
		i += n;
	}
	return true;
}
