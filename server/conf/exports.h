/*
 * exports(5): what is exported, to whom, how.  Reread on SIGHUP: exports_read()
 * makes a new table; inodes and layouts hold references to exports, not tables.
 */
#ifndef PNFS_SERVER_CONF_EXPORTS_H
#define PNFS_SERVER_CONF_EXPORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Security flavors: sys, and RPCSEC_GSS with krb5 by its service (RFC 2203 5.3.1: none 1, integrity 2, privacy 3). */
#define EXPORT_SEC_SYS 1u
#define EXPORT_SEC_KRB5 (EXPORT_SEC_SYS << 1)
#define EXPORT_SEC_KRB5I (EXPORT_SEC_SYS << 2)
#define EXPORT_SEC_KRB5P (EXPORT_SEC_SYS << 3)

/* One "client(options)" of an export's line. */
struct export_client {
	struct export_client *next;
	char *spec;			/* *, host, 10.0.0.0/8, fe80::/64, *.domain, as written */
	bool rw, root_squash, all_squash, insecure;
	uint32_t anonuid, anongid;	/* 65534 */
	uint32_t sec;			/* EXPORT_SEC_ */
	uint8_t nsec, sec_list[4];	/* the same as services (0: sys), in the order given */
	bool sec_set;			/* not the default: sys */
};

struct export_line {
	struct export_line *next;
	char *path;			/* absolute, as written, no trailing slash */
	unsigned line;
	bool fsid_root;			/* fsid=0|root: this one is the pseudo root itself */
	char *fsid;			/* other fsid= (number or UUID), or NULL */
	bool pnfs;			/* pnfs|no_pnfs; default pnfs */
	bool delegations;		/* delegations|no_delegations; default no_delegations */
	uint32_t layout_type;		/* layouts=block (3) | scsi (5); default 3 */
	char *provider;			/* kernel|plain, NULL: the best that works */
	char *device;			/* device=NAME of pnfs-mds.conf, or NULL */
	struct export_client *clients;	/* first match wins, in the order of exports(5): host, subnet, wildcard */
};

struct exports {
	struct export_line *lines;
};

/* 0, or -errno with *error "file:line: ...".  TEXT variants are for tests and the fuzzer. */
int exports_read(struct exports **exports, const char *file, char **error);
int exports_parse(struct exports **exports, const char *text, const char *name, char **error);
void exports_free(struct exports *exports);

/* A line of its own, for an export that outlives the table: exports_match() knows it as well.  NULL without memory. */
struct export_line *exports_line_copy(const struct export_line *line);
void exports_line_free(struct export_line *line);

/* The options for a client at ADDR; NULL: not exported to it. */
const struct export_client *exports_match(const struct export_line *line, const struct sockaddr *addr);

#endif
