/*
 * The server's side of the keeper; see keeper.h.  A thread waits for the keeper's death, to start another one and hand everything over again; until it has,
 * keeper_add() fails, and no layout is given that relies on it.
 *
 * keeper->lock is a leaf, held over the questions to the keeper; io_lock may be held outside.
 */
#include "server/keeper/keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/keeper/spawn.h"
#include "server/keeper/table.h"

#define RETRY_MS 1000

struct keeper {
	char *state_dir;
	pthread_mutex_t lock;
	struct keeper_table table;	/* all there is to be kept */
	int sock;			/* only the watcher closes it; -1: none */
	bool broken;			/* sock is of no use any more: the watcher's turn */
	pid_t pid;
	pthread_t watcher;
	bool watching;
	int stop_fd;			/* eventfd */
};

/* lock held. */
static int
ask_locked(struct keeper *k, const struct keeper_message *ask, int give_fd, struct keeper_message *reply, struct keeper_packet *packet, int *fd)
{
	bool broken;

	*fd = -1;
	if (k->sock < 0 || k->broken)
		return -ENOTCONN;
	int err = keeper_ask(k->sock, ask, give_fd, packet, reply, fd, &broken);
	if (broken) {
		/* It is dead, or does not answer: an answer that comes late would be taken for that to another question. */
		k->broken = true;
		shutdown(k->sock, SHUT_RDWR);
	}
	return err;
}

static int
tell_locked(struct keeper *k, const struct keeper_message *ask, int give_fd)
{
	struct keeper_message reply;
	struct keeper_packet packet;
	int fd, err = ask_locked(k, ask, give_fd, &reply, &packet, &fd);

	if (fd >= 0)
		close(fd);
	return err;
}

int
keeper_add(struct keeper *k, enum keeper_kind kind, const void *key, unsigned key_len, const void *blob, unsigned blob_len, int fd)
{
	struct keeper_message add = { .op = KEEPER_ADD, .kind = kind, .key = key, .key_len = key_len, .blob = blob, .blob_len = blob_len };
	int old;

	if (!k)
		return 0;
	if (key_len > KEEPER_KEY_MAX || blob_len > KEEPER_BLOB_MAX)
		return -EMSGSIZE;
	LOCK_SCOPE(&k->lock);
	int err = tell_locked(k, &add, fd);
	if (err)
		return err;
	struct keeper_entry *entry = keeper_table_put(&k->table, &add, fd, &old);
	if (entry)
		return 0;
	add.op = KEEPER_DEL;
	tell_locked(k, &add, -1);
	return -ENOMEM;
}

void
keeper_del(struct keeper *k, enum keeper_kind kind, const void *key, unsigned key_len)
{
	struct keeper_message del = { .op = KEEPER_DEL, .kind = kind, .key = key, .key_len = key_len };

	if (!k)
		return;
	LOCK_SCOPE(&k->lock);
	struct keeper_entry *entry = keeper_table_find(&k->table, kind, key, key_len);
	if (!entry)
		return;
	tell_locked(k, &del, -1);
	keeper_table_remove(&k->table, entry);
}

bool
keeper_claim(struct keeper *k, enum keeper_kind kind, struct keeper_claim *claim)
{
	if (!k)
		return false;
	LOCK_SCOPE(&k->lock);
	for (unsigned i = 0; i < k->table.n; i++) {
		struct keeper_entry *entry = k->table.list[i];
		struct keeper_message m;
		if (!entry->former || entry->kind != kind)
			continue;
		entry->former = false;
		keeper_entry_message(entry, KEEPER_GET, &m);
		claim->fd = entry->fd;
		claim->key_len = m.key_len;
		claim->blob_len = m.blob_len;
		memcpy(claim->key, m.key, m.key_len);
		memcpy(claim->blob, m.blob, m.blob_len);
		return true;
	}
	return false;
}

unsigned
keeper_count(struct keeper *k, enum keeper_kind kind)
{
	if (!k)
		return 0;
	LOCK_SCOPE(&k->lock);
	return keeper_table_count(&k->table, kind);
}

pid_t
keeper_pid(struct keeper *k)
{
	if (!k)
		return 0;
	LOCK_SCOPE(&k->lock);
	return k->sock >= 0 && !k->broken ? k->pid : 0;
}

/* ---- what a keeper has ---- */

/* All entries of the keeper: at start they are of a former life. */
static int
take_over(struct keeper *k)
{
	struct keeper_message reply;
	struct keeper_packet packet;
	int err, fd, old;

	for (uint32_t i = 0;; i++) {
		const struct keeper_message get = { .op = KEEPER_GET, .number = i };
		err = ask_locked(k, &get, -1, &reply, &packet, &fd);
		if (err == -ENOENT)
			return 0;
		if (!err && fd < 0)
			err = -EBADMSG;
		struct keeper_entry *entry = err ? NULL : keeper_table_put(&k->table, &reply, fd, &old);
		if (!entry) {
			if (fd >= 0)
				close(fd);
			return err ? err : -ENOMEM;
		}
		entry->former = true;
		if (old >= 0)
			close(old);
	}
}

/* A keeper that was cut off and not dead has things that were deleted meanwhile. */
static int
delete_others(struct keeper *k)
{
	struct keeper_message reply;
	struct keeper_packet packet;
	uint32_t i = 0;
	int fd;

	for (;;) {
		struct keeper_message get = { .op = KEEPER_GET, .number = i };
		int err = ask_locked(k, &get, -1, &reply, &packet, &fd);
		if (fd >= 0)
			close(fd);
		if (err)
			return err == -ENOENT ? 0 : err;
		if (keeper_table_find(&k->table, reply.kind, reply.key, reply.key_len)) {
			i++;
			continue;
		}
		reply.op = KEEPER_DEL;
		reply.blob_len = 0;
		err = tell_locked(k, &reply, -1);
		if (err)
			return err;
	}
}

static int
hand_over(struct keeper *k)
{
	struct keeper_message add;

	for (unsigned i = 0; i < k->table.n; i++) {
		keeper_entry_message(k->table.list[i], KEEPER_ADD, &add);
		int err = tell_locked(k, &add, k->table.list[i]->fd);
		if (err)
			return err;
	}
	return delete_others(k);
}

/* ---- its death ---- */

/* Watcher, no lock held. */
static void
replace(struct keeper *k, bool *told)
{
	pid_t pid = 0;
	int sock = keeper_connect(k->state_dir, &pid), err = sock < 0 ? sock : 0;

	pthread_mutex_lock(&k->lock);
	if (!err) {
		k->sock = sock;
		k->pid = pid;
		k->broken = false;
		err = hand_over(k);
	}
	if (err && k->sock >= 0) {
		close(k->sock);
		k->sock = -1;
	}
	unsigned n = k->table.n;
	pthread_mutex_unlock(&k->lock);
	if (!err)
		log_warn("keeper: started anew (process %ld), %u descriptors handed over", (long)pid, n);
	else if (!*told)
		log_error("keeper: cannot be started anew: %s: no layouts until it is", strerror(-err));
	*told = err != 0;
}

static void *
watcher(void *arg)
{
	struct keeper *k = arg;
	bool told = false;

	pthread_setname_np(pthread_self(), "keeper");
	for (;;) {
		/* Only the end of the connection: answers are for those who asked. */
		struct pollfd pfd[] = { { .fd = k->stop_fd, .events = POLLIN }, { .fd = k->sock } };
		poll(pfd, 2, k->sock < 0 ? RETRY_MS : -1);
		if (pfd[0].revents)
			return NULL;
		pthread_mutex_lock(&k->lock);
		bool lost = k->sock >= 0 && (k->broken || (pfd[1].revents & (POLLHUP | POLLERR)));
		if (lost) {
			close(k->sock);
			k->sock = -1;
			log_error("keeper: process %ld is gone: while there is none, local programs are kept from clients' blocks only as long as this server lives",
			    (long)k->pid);
		}
		bool none = k->sock < 0;
		pthread_mutex_unlock(&k->lock);
		if (none)
			replace(k, &told);
	}
}

static int
watch(struct keeper *k)
{
	sigset_t all, old;

	k->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (k->stop_fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = -pthread_create(&k->watcher, NULL, watcher, k);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	k->watching = err == 0;
	return err;
}

/* ---- start and end ---- */

static void
unwatch(struct keeper *k)
{
	uint64_t one = 1;

	if (k->watching && write(k->stop_fd, &one, sizeof one) == (ssize_t)sizeof one)
		pthread_join(k->watcher, NULL);
	k->watching = false;
}

static void
keeper_free(struct keeper *k)
{
	unwatch(k);
	if (k->stop_fd >= 0)
		close(k->stop_fd);
	if (k->sock >= 0)
		close(k->sock);
	for (unsigned i = 0; i < k->table.n; i++)
		if (k->table.list[i]->former)
			close(k->table.list[i]->fd);
	keeper_table_free(&k->table);
	pthread_mutex_destroy(&k->lock);
	free(k->state_dir);
	free(k);
}

static int
keeper_fail(int err, const char *state_dir, char **error)
{
	const char *what = err == -EBUSY ? "another pnfs-mds runs with this state_dir" : strerror(-err);

	if (asprintf(error, err == -ENOENT ? "%s: keeper: there is no pnfs-keeper beside this program or in " KEEPER_LIBEXEC ": %s" :
	    "%s: keeper: %s", state_dir, what) < 0)
		*error = NULL;
	return err == -ENOENT ? -ENOEXEC : err;		/* no mistake in the configuration */
}

int
keeper_open(const char *state_dir, struct keeper **kp, char **error)
{
	struct keeper *k = calloc(1, sizeof *k);

	*kp = NULL;
	if (!k)
		return -ENOMEM;
	pthread_mutex_init(&k->lock, NULL);
	k->stop_fd = -1;
	k->sock = -1;
	k->state_dir = strdup(state_dir);
	int err = k->state_dir ? 0 : -ENOMEM;
	if (!err) {
		k->sock = keeper_connect(state_dir, &k->pid);
		err = k->sock < 0 ? k->sock : 0;
	}
	if (!err) {
		LOCK_SCOPE(&k->lock);
		err = take_over(k);
	}
	if (!err)
		err = watch(k);
	if (err) {
		keeper_free(k);
		return keeper_fail(err, state_dir, error);
	}
	if (k->table.n)
		log_info("keeper: process %ld kept %u descriptors of the server's former life", (long)k->pid, k->table.n);
	*kp = k;
	return 0;
}

unsigned
keeper_close(struct keeper *k)
{
	const struct keeper_message end = { .op = KEEPER_END };
	struct keeper_message none;
	struct keeper_packet packet;
	int fd;

	if (!k)
		return 0;
	unwatch(k);
	pthread_mutex_lock(&k->lock);
	unsigned left = k->table.n;
	/* Its process is gone when the connection is: it leaves nothing in state_dir. */
	if (!left && tell_locked(k, &end, -1) == 0)
		keeper_message_receive(k->sock, &packet, &none, &fd);
	pthread_mutex_unlock(&k->lock);
	if (left)
		log_warn("keeper: process %ld goes on with %u descriptors", (long)k->pid, left);
	keeper_free(k);
	return left;
}
