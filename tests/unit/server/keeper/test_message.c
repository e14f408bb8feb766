/* Packets between server and keeper: what is taken, what is refused, descriptors beside them. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/keeper/message.h"

static struct keeper_packet packet;
static struct keeper_message m;

static int
make(uint16_t op, uint16_t kind, unsigned key_len, unsigned blob_len)
{
	static uint8_t key[KEEPER_KEY_MAX + 1], blob[KEEPER_BLOB_MAX + 1];
	memset(key, 'k', sizeof key);
	memset(blob, 'b', sizeof blob);
	const struct keeper_message out = { .op = op, .kind = kind, .number = 77, .key = key, .key_len = key_len, .blob = blob,
		.blob_len = blob_len };
	return keeper_message_make(&packet, &out);
}

/* In memory of exactly its length, for the sanitizer. */
static int
parse(size_t len)
{
	static uint8_t *copy;
	free(copy);
	copy = malloc(len ? len : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, packet.bytes, len);
	return keeper_message_parse(copy, len, &m);
}

START_TEST(there_and_back)
{
	static const unsigned lens[][2] = { { 1, 0 }, { 28, 0 }, { KEEPER_KEY_MAX, KEEPER_BLOB_MAX }, { 3, 1 } };
	for (unsigned i = 0; i < 4; i++) {
		int len = make(KEEPER_ADD, 9, lens[i][0], lens[i][1]);
		ck_assert_int_gt(len, 0);
		ck_assert_int_eq(parse((size_t)len), 0);
		ck_assert_uint_eq(m.op, KEEPER_ADD);
		ck_assert_uint_eq(m.kind, 9);
		ck_assert_uint_eq(m.number, 77);
		ck_assert_uint_eq(m.key_len, lens[i][0]);
		ck_assert_uint_eq(m.blob_len, lens[i][1]);
		ck_assert_uint_eq(m.key[m.key_len - 1], 'k');
		if (m.blob_len)
			ck_assert_uint_eq(m.blob[m.blob_len - 1], 'b');
	}
	ck_assert_int_eq(make(KEEPER_ADD, 1, KEEPER_KEY_MAX + 1, 0), -EMSGSIZE);
	ck_assert_int_eq(make(KEEPER_ADD, 1, 1, KEEPER_BLOB_MAX + 1), -EMSGSIZE);
}
END_TEST

START_TEST(lengths)
{
	size_t len = (size_t)make(KEEPER_ADD, 1, 5, 7);
	for (size_t n = 0; n < len; n++)
		ck_assert_int_eq(parse(n), -EBADMSG);
	ck_assert_int_eq(parse(len), 0);
	packet.bytes[len] = 0;
	ck_assert_int_eq(parse(len + 1), -EBADMSG);
}
END_TEST

static int
parse_with(struct keeper_header h, size_t len)
{
	memcpy(packet.bytes, &h, sizeof h);
	return parse(len);
}

START_TEST(fields)
{
	struct keeper_header good, h;
	size_t len = (size_t)make(KEEPER_ADD, 1, 5, 7);
	memcpy(&good, packet.bytes, sizeof good);
	ck_assert_int_eq(parse_with(good, len), 0);
	h = good, h.magic++;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
	h = good, h.op = 0;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
	h = good, h.op = KEEPER_REPLY + 1;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
	h = good, h.status = 1;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
	h = good, h.kind = 0;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
	h = good, h.key_len = 0, h.blob_len = 12;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
	/* that wrap */
	h = good, h.key_len = UINT32_MAX, h.blob_len = 13;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
	h = good, h.key_len = 13, h.blob_len = UINT32_MAX;
	ck_assert_int_eq(parse_with(h, len), -EBADMSG);
}
END_TEST

START_TEST(descriptors)
{
	int pair[2], fd;
	struct stat ours, theirs;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	int null = open("/dev/null", O_RDONLY);
	const struct keeper_message add = { .op = KEEPER_ADD, .kind = 1, .key = (const uint8_t *)"a", .key_len = 1 };
	ck_assert_int_eq(keeper_message_send(pair[0], &add, null), 0);
	ck_assert_int_eq(keeper_message_receive(pair[1], &packet, &m, &fd), 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert(!fstat(null, &ours) && !fstat(fd, &theirs) && ours.st_rdev == theirs.st_rdev);
	close(fd);
	ck_assert_int_eq(keeper_message_send(pair[0], &add, -1), 0);
	ck_assert_int_eq(keeper_message_receive(pair[1], &packet, &m, &fd), 0);
	ck_assert_int_eq(fd, -1);
	/* with a packet that is not one nothing is left open */
	int next = dup(null);
	close(next);
	struct iovec iov = { (void *)(uintptr_t)"x", 1 };
	union { struct cmsghdr align; char room[CMSG_SPACE(2 * sizeof(int))]; } control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(2 * sizeof(int)) };
	memcpy(CMSG_DATA(c), (int[]){ null, null }, 2 * sizeof(int));
	ck_assert_int_eq(sendmsg(pair[0], &msg, 0), 1);
	ck_assert_int_eq(keeper_message_receive(pair[1], &packet, &m, &fd), -EBADMSG);
	ck_assert_int_eq(fd, -1);
	fd = dup(null);
	ck_assert_int_eq(fd, next);
	close(fd);
	close(pair[0]);
	ck_assert_int_eq(keeper_message_receive(pair[1], &packet, &m, &fd), -ECONNRESET);
	ck_assert_int_eq(keeper_message_send(pair[1], &add, -1), -EPIPE);
	close(pair[1]);
	close(null);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("keeper message");
	TCase *t = tcase_create("all");
	tcase_add_test(t, there_and_back);
	tcase_add_test(t, lengths);
	tcase_add_test(t, fields);
	tcase_add_test(t, descriptors);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
