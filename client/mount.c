/* pnfs_mount() and pnfs_unmount(); see include/pnfs/pnfs.h. */
#include "client/mount.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/device.h"
#include "client/file.h"
#include "client/walk.h"

/* ---- the first requests ---- */

struct mount_op {
	struct mds_req req;
	struct pnfs *m;
	struct walk walk;
	struct path path;
	struct stat st;
};

static void
mount_end(struct mount_op *op, int status)
{
	struct sync *sync = op->m->mounting;
	op->m->mounting = NULL;
	free(op);
	sync_done(sync, status);
}

static void
mount_walked(void *arg, int status)
{
	struct mount_op *op = arg;
	if (status)
		sync_error(op->m->mounting, "%s: %s", op->m->base, strerror(-status));
	mount_end(op, status);
}

static void
root_build(struct mds_req *req, struct compound_call *c)
{
	struct attr_mask mask = { { 0 } };
	(void)req;
	attr_set(&mask, FATTR4_LEASE_TIME);
	compound_call_op(c, OP_PUTROOTFH, NULL);
	compound_call_op(c, OP_GETFH, NULL);
	compound_getattr(c, &mask);
}

static void
root_done(struct mds_req *req, int status, struct reply *reply)
{
	struct mount_op *op = (struct mount_op *)req;
	struct pnfs *m = op->m;
	struct nfs_attrs attrs = { .lease_time = 0 };
	if (!status)
		status = reply_op(reply, OP_PUTROOTFH);
	if (!status)
		status = reply_getfh(reply, &m->root);
	if (!status)
		status = reply_getattr(reply, &attrs);
	if (status) {
		mount_end(op, status);
		return;
	}
	lease_set_length(&m->mds.lease, attr_has(&attrs.mask, FATTR4_LEASE_TIME) ? attrs.lease_time : 90);
	status = path_parse(&op->path, "", m->base);
	if (status)
		mount_end(op, status);
	else
		walk_start(&op->walk, &m->mds, &m->root, &op->path, op->path.n, &op->st, mount_walked, op);
}

void
mount_started(struct pnfs *m, int status)
{
	struct mount_op *op = status ? NULL : calloc(1, sizeof *op);
	if (!op) {
		struct sync *sync = m->mounting;
		m->mounting = NULL;
		sync_done(sync, status ? status : -ENOMEM);
		return;
	}
	op->m = m;
	op->req.build = root_build;
	op->req.done = root_done;
	mds_submit(&m->mds, &op->req);
}

static void
mount_start(struct pnfs *m, void *args, struct sync *sync)
{
	(void)args;
	m->mounting = sync;
	mds_start(&m->mds);
}

/* ---- options ---- */

static void
cred_set(struct rpc_cred *cred, const struct pnfs_options *o)
{
	gid_t groups[64];
	cred->flavor = AUTH_SYS;
	cred->uid = o->use_ids ? o->uid : geteuid();
	cred->gid = o->use_ids ? o->gid : getegid();
	if (o->use_ids)
		return;
	int n = getgroups(64, groups);
	for (int i = 0; i < n && i < RPC_MAX_GROUPS; i++)
		cred->gids[cred->ngids++] = groups[i];
}

int
gss_service(const char *sec)
{
	static const char *const names[] = { "sys", "krb5", "krb5i", "krb5p" };
	int service = 0;
	while (service < 4 && strcmp(sec, names[service]))
		service++;
	if (service == 4)
		return -EINVAL;
#ifndef HAVE_GSS
	if (service)
		return -EOPNOTSUPP;
#endif
	return service;
}

static int
devices_set(struct pnfs *m, const struct pnfs_options *o)
{
	char host[65] = "localhost", iqn[160];
	gethostname(host, sizeof host - 1);
	snprintf(iqn, sizeof iqn, "iqn.2026-01.net.pnfs-block:%s:%ld", host, (long)getpid());
	m->initiator = strdup(o->initiator_name ? o->initiator_name : iqn);
	if (!m->initiator)
		return -ENOMEM;
	for (const char *const *name = o->devices; name && *name; name++) {
		if (m->nbdevs == MOUNT_MAX_BDEVS)
			return error_set(-E2BIG, "more than %u devices", MOUNT_MAX_BDEVS);
		struct mount_bdev *b = &m->bdevs[m->nbdevs++];
		b->mount = m;
		b->name = strdup(*name);
		if (!b->name)
			return -ENOMEM;
	}
	return 0;
}

static void
mount_free(struct pnfs *m)
{
	if (m->loop)
		loop_stop(m->loop);
	mds_free(&m->mds);
	for (unsigned i = 0; i < m->nbdevs; i++) {
		union { const char *in; void *out; } u = { .in = m->bdevs[i].name };
		free(u.out);
	}
	free(m->initiator);
	free(m);
}

static void
stop_done(struct mds *mds)
{
	struct pnfs *m = mds->owner;
	struct sync *sync = m->mounting;
	devices_close(m);
	m->mounting = NULL;
	sync_done(sync, 0);
}

static void
stop_keys_gone(void *arg, int status)
{
	struct pnfs *m = arg;
	(void)status;
	mds_stop(&m->mds, stop_done);
}

static void
stop_start(struct pnfs *m, void *args, struct sync *sync)
{
	(void)args;
	m->mounting = sync;
	devices_unregister(m, stop_keys_gone, m);
}

static int
mount_try(const struct url *url, const struct addrinfo *ai, const struct pnfs_options *o, uint32_t service,
    struct pnfs **mount)
{
	struct pnfs *m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	LIST_INIT(&m->files);
	LIST_INIT(&m->maps);
	LIST_INIT(&m->devices);
	TAILQ_INIT(&m->io_queue);
	TAILQ_INIT(&m->io_lease);
	m->loop = loop_new("pnfs");
	if (!m->loop) {
		free(m);
		return error_set(-ENOMEM, NULL);
	}
	mds_init(&m->mds, m->loop, &mount_hooks, m);
	memcpy(&m->mds.addr, ai->ai_addr, ai->ai_addrlen);
	m->mds.addrlen = ai->ai_addrlen;
	m->mds.timeout = o->timeout;
	m->mds.want_slots = o->slots ? o->slots : 64;
	m->mds.minor = o->minor ? o->minor : 2;
	m->mds.minor_fixed = o->minor != 0;
	cred_set(&m->mds.cred, o);
	m->mds.gss.service = service;
	strcpy(m->mds.gss.host, url->host);
	m->direct = o->direct;
	strcpy(m->base, url->path);
	int err = devices_set(m, o);
	if (!err)
		err = loop_start(m->loop);
	if (err) {
		mount_free(m);
		return err;
	}
	err = sync_run(m, mount_start, NULL);
	if (err) {
		char text[200];
		snprintf(text, sizeof text, "%s", pnfs_error());
		sync_run(m, stop_start, NULL);
		mount_free(m);
		return error_set(err, "%s", text);
	}
	*mount = m;
	return 0;
}

int
pnfs_mount(const char *url, const struct pnfs_options *options, struct pnfs **mount)
{
	static const struct pnfs_options defaults;
	const struct pnfs_options *o = options ? options : &defaults;
	struct url u;
	const char *why;
	int err = url_parse(url, &u, &why);
	if (err)
		return error_set(err, "%s: %s", url, why);
	if (o->minor > 2 || o->slots > MDS_MAX_SLOTS)
		return error_set(-EINVAL, "options: minor is 1 or 2, slots at most %u", MDS_MAX_SLOTS);
	const char *sec = *u.sec ? u.sec : o->sec ? o->sec : "sys";
	int service = gss_service(sec);
	if (service < 0)
		return error_set(service, service == -EINVAL ? "%s: not a security flavor: sys, krb5, krb5i or krb5p" :
		    "%s: built without GSS-API", sec);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	int gai = getaddrinfo(u.host, u.port, &hints, &list);
	if (gai)
		return error_set(-EHOSTUNREACH, "%s: %s", u.host, gai_strerror(gai));
	err = -EHOSTUNREACH;
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		err = mount_try(&u, ai, o, (uint32_t)service, mount);
		if (err != -ECONNREFUSED && err != -EHOSTUNREACH && err != -ENETUNREACH && err != -ETIMEDOUT)
			break;
	}
	freeaddrinfo(list);
	return err;
}

static void
unmount_file_done(void *arg, int status)
{
	(void)status;
	sync_done(arg, 0);
}

static void
unmount_file(struct pnfs *m, void *args, struct sync *sync)
{
	(void)args;
	struct pnfs_file *file = LIST_FIRST(&m->files);
	if (!file)
		sync_done(sync, 1);
	else
		file_close(file, unmount_file_done, sync);
}

void
pnfs_unmount(struct pnfs *mount)
{
	if (!mount)
		return;
	while (sync_run(mount, unmount_file, NULL) == 0)
		;
	sync_run(mount, stop_start, NULL);
	mount_free(mount);
}
