/* File handles: packing, signing, opening; the key on disk.  For inode.c, posix_dir.c, pseudo.c. */
#include "server/fs/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"

#define HANDLE_VERSION 1

struct handle_key {
	struct hmac_sha256_ctx hmac;	/* keyed; copied for each use */
};

void
handle_body(struct handle *handle, enum handle_kind kind, uint32_t export_id, const struct handle_native *native)
{
	uint8_t *b = handle->bytes;
	b[0] = HANDLE_VERSION;
	b[1] = kind;
	b[2] = export_id >> 24;
	b[3] = export_id >> 16;
	b[4] = export_id >> 8;
	b[5] = export_id;
	b[6] = native->type >> 8;
	b[7] = native->type & 0xff;
	memcpy(b + HANDLE_HEADER, native->bytes, native->len);
	handle->body = HANDLE_HEADER + native->len;
	handle->len = handle->body + HANDLE_MAC;
}

void
handle_sign(const struct handle_key *key, struct handle *handle)
{
	struct hmac_sha256_ctx hmac = key->hmac;
	hmac_sha256_update(&hmac, handle->body, handle->bytes);
	hmac_sha256_digest(&hmac, HANDLE_MAC, handle->bytes + handle->body);
}

bool
handle_equal(const void *a, const void *b, unsigned len)
{
	return memeql_sec(a, b, len);
}

bool
handle_form_ok(const void *bytes, unsigned len)
{
	const uint8_t *b = bytes;
	return len > HANDLE_HEADER + HANDLE_MAC && len <= FS_HANDLE_MAX && b[0] == HANDLE_VERSION &&
	    b[1] <= HANDLE_FILE;
}

int
handle_open(const struct handle_key *key, const void *bytes, unsigned len, struct handle *handle,
    enum handle_kind *kind, uint32_t *export_id, struct handle_native *native)
{
	const uint8_t *b = bytes;
	if (!handle_form_ok(b, len))
		return -EBADMSG;
	*kind = b[1];
	*export_id = (uint32_t)b[2] << 24 | (uint32_t)b[3] << 16 | (uint32_t)b[4] << 8 | b[5];
	native->type = (uint16_t)(b[6] << 8 | b[7]);
	native->len = (uint8_t)(len - HANDLE_HEADER - HANDLE_MAC);
	memcpy(native->bytes, b + HANDLE_HEADER, native->len);
	handle_body(handle, *kind, *export_id, native);
	handle_sign(key, handle);
	return handle_equal(handle->bytes + handle->body, b + handle->body, HANDLE_MAC) ? 0 : -EBADMSG;
}

/* struct file_handle with its bytes. */
union native_buf {
	struct file_handle fh;
	uint8_t room[sizeof(struct file_handle) + HANDLE_NATIVE_MAX];
};

int
handle_of(int dir_fd, const char *name, struct handle_native *native, int *mount_id)
{
	union native_buf buf = { .fh.handle_bytes = HANDLE_NATIVE_MAX };
	if (name_to_handle_at(dir_fd, name, &buf.fh, mount_id, *name ? 0 : AT_EMPTY_PATH) < 0)
		return -errno;
	if (buf.fh.handle_type < 0 || buf.fh.handle_type > UINT16_MAX || !buf.fh.handle_bytes ||
	    buf.fh.handle_bytes > HANDLE_NATIVE_MAX)
		return -EOVERFLOW;
	native->type = (uint16_t)buf.fh.handle_type;
	native->len = (uint8_t)buf.fh.handle_bytes;
	memcpy(native->bytes, buf.fh.f_handle, native->len);
	return 0;
}

int
handle_native_open(int mount_fd, const struct handle_native *native)
{
	union native_buf buf = { .fh = { .handle_bytes = native->len, .handle_type = native->type } };
	memcpy(buf.fh.f_handle, native->bytes, native->len);
	int fd = open_by_handle_at(mount_fd, &buf.fh, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return errno == EINVAL || errno == ENOENT ? -ESTALE : -errno;
}

/* ---- the key ---- */

/* Exactly HANDLE_KEY bytes: 0, -EINVAL if it has more or less. */
static int
key_read(int fd, uint8_t key[HANDLE_KEY])
{
	uint8_t buf[HANDLE_KEY + 1];
	size_t have = 0;
	while (have < sizeof buf) {
		ssize_t n = read(fd, buf + have, sizeof buf - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	if (have != HANDLE_KEY)
		return -EINVAL;
	memcpy(key, buf, HANDLE_KEY);
	return 0;
}

static int
fsync_dir(const char *dir)
{
	CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/*
 * Written under another name and linked into place, so that no crash leaves half a key behind and two
 * servers that start at once end with the same one (-EEXIST: read that).
 */
static int
key_make(const char *dir, const char *path)
{
	uint8_t key[HANDLE_KEY];
	char tmp[4200];
	snprintf(tmp, sizeof tmp, "%s.%ld", path, (long)getpid());
	for (size_t have = 0; have < sizeof key;) {
		ssize_t n = getrandom(key + have, sizeof key - have, 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		have += n > 0 ? (size_t)n : 0;
	}
	unlink(tmp);
	CLEANUP_CLOSE int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int err = 0;
	ssize_t n = write(fd, key, sizeof key);
	if (n != (ssize_t)sizeof key)
		err = n < 0 ? -errno : -EIO;
	else if (fsync(fd) < 0 || link(tmp, path) < 0)
		err = -errno;
	unlink(tmp);
	return err ? err : fsync_dir(dir);
}

int
handle_key_load(const char *dir, struct handle_key **keyp)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof path, "%s/handle.key", dir) >= sizeof path)
		return -ENAMETOOLONG;
	int err = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		err = key_make(dir, path);
		if (!err || err == -EEXIST) {
			err = 0;
			fd = open(path, O_RDONLY | O_CLOEXEC);
		} else {
			log_error("%s: cannot be made: %s", path, strerror(-err));
			return err;
		}
	}
	uint8_t bytes[HANDLE_KEY];
	if (fd < 0) {
		err = -errno;
		log_error("%s: %s", path, strerror(-err));
		return err;
	}
	err = key_read(fd, bytes);
	close(fd);
	if (err) {
		if (err == -EINVAL)
			log_error("%s: not a key of %d bytes; without it no handle the clients hold is valid: restore it, "
			    "or remove it and remount all clients", path, HANDLE_KEY);
		else
			log_error("%s: %s", path, strerror(-err));
		return err;
	}
	struct handle_key *key = malloc(sizeof *key);
	if (!key)
		return -ENOMEM;
	hmac_sha256_set_key(&key->hmac, sizeof bytes, bytes);
	explicit_bzero(bytes, sizeof bytes);
	*keyp = key;
	return 0;
}

void
handle_key_free(struct handle_key *key)
{
	if (key)
		explicit_bzero(key, sizeof *key);
	free(key);
}
