/* Mount URLs and paths; see url.h. */
#include "client/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int
bad(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
port_parse(const char *text, size_t len, char port[6], const char **why)
{
	unsigned long n = 0;
	if (len == 0 || len > 5)
		return bad(why, "the port is not a number from 1 to 65535");
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return bad(why, "the port is not a number from 1 to 65535");
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (n == 0 || n > 65535)
		return bad(why, "the port is not a number from 1 to 65535");
	memcpy(port, text, len);
	port[len] = 0;
	return 0;
}

static int
path_decode(const char *text, char *path, size_t room, const char **why)
{
	size_t n = 0;
	for (; *text; text++) {
		char c = *text;
		if (c == '?')
			break;
		if (c == '#')
			return bad(why, "there is something behind the path (escape # as %23)");
		if (c == '%') {
			int high = hex(text[1]), low = high < 0 ? -1 : hex(text[2]);
			if (low < 0 || (high | low) == 0)
				return bad(why, "a % in the path is not followed by two hexadecimal digits");
			c = (char)(high << 4 | low);
			text += 2;
		}
		if (n + 1 >= room)
			return bad(why, "the path is too long");
		path[n++] = c;
	}
	if (n == 0)
		path[n++] = '/';
	path[n] = 0;
	return 0;
}

/* Behind the path. */
static int
query_parse(const char *text, struct url *url, const char **why)
{
	static const char key[] = "?sec=";
	if (!*text)
		return 0;
	const char *value = text + strlen(key);
	if (strncmp(text, key, strlen(key)) || !*value || strlen(value) >= sizeof url->sec)
		return bad(why, "behind the path there may be ?sec=sys, krb5, krb5i or krb5p (escape ? in a name as %3f)");
	strcpy(url->sec, value);
	return 0;
}

int
url_parse(const char *text, struct url *url, const char **why)
{
	memset(url, 0, sizeof *url);
	strcpy(url->port, "2049");
	if (strncmp(text, "nfs://", 6))
		return bad(why, "it does not start with nfs://");
	text += 6;
	const char *slash = strchr(text, '/');
	const char *end = slash ? slash : text + strlen(text);
	const char *host = text, *host_end, *colon;
	if (*text == '[') {
		host++;
		host_end = memchr(text, ']', (size_t)(end - text));
		if (!host_end)
			return bad(why, "a [ in the host has no ]");
		colon = host_end + 1;
		if (colon != end && *colon != ':')
			return bad(why, "there is something between the ] and the port");
	} else {
		colon = memchr(text, ':', (size_t)(end - text));
		host_end = colon = colon ? colon : end;
	}
	size_t len = (size_t)(host_end - host);
	if (len == 0 || len >= sizeof url->host)
		return bad(why, "the host is missing or too long");
	memcpy(url->host, host, len);
	if (colon != end) {
		int err = port_parse(colon + 1, (size_t)(end - colon - 1), url->port, why);
		if (err)
			return err;
	}
	int err = path_decode(end, url->path, sizeof url->path, why);
	return err ? err : query_parse(strchrnul(end, '?'), url, why);
}

static int
path_append(struct path *out, size_t *used, const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");
		if (len == 2 && !memcmp(path, "..", 2)) {
			if (out->n)
				out->n--;
		} else if (len && !(len == 1 && *path == '.')) {
			if (out->n == PATH_MAX_COMPONENTS || len > 255 || *used + len + 1 > sizeof out->buf)
				return -ENAMETOOLONG;
			char *name = out->buf + *used;
			memcpy(name, path, len);
			name[len] = 0;
			*used += len + 1;
			out->name[out->n++] = name;
		}
		path += len;
		path += *path == '/';
	}
	return 0;
}

int
path_parse(struct path *out, const char *base, const char *path)
{
	size_t used = 0;
	int err = 0;
	out->n = 0;
	if (*path != '/')
		err = path_append(out, &used, base);
	return err ? err : path_append(out, &used, path);
}
