/*
 * pnfs-mds.conf: INI, by libinih.  Names in INTERFACES.md.
 */
#ifndef PNFS_SERVER_CONF_CONF_H
#define PNFS_SERVER_CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>

struct device_conf {
	struct device_conf *next;
	char *name;			/* [device NAME] */
	char *path;			/* local block device under the XFS, e.g. /dev/sdb, /dev/loop0 */
	char *iscsi_url;		/* iscsi://HOST[:PORT]/IQN/LUN, the LUN as the clients see it */
	char *initiator_name;		/* IQN the server uses itself */
	char *designator;		/* "naa.6001..." or "eui.0025...": overrides what the LU says; NULL: ask it */
	bool allow_no_ptpl;		/* hand out SCSI layouts though registrations do not survive a power loss of the target */
	char *fence_command;
	unsigned line;
};

struct mds_conf {
	char *file;
	char *listen_host;		/* "0.0.0.0" */
	uint16_t listen_port;		/* 2049; 0: any free one, told by READY port= */
	char *state_dir, *ctl, *exports_file;
	uint32_t lease, grace;		/* seconds */
	uint32_t recall_timeout;	/* seconds; the lease unless it is given (RFC 8881 12.5.5) */
	uint32_t max_io_time;		/* seconds an I/O that a client has sent may take to reach the disk (RFC 5663 2.3.8) */
	bool keeper;			/* what must outlive the server is held by a process of its own (keeper/keeper.h) */
	unsigned loops, workers;	/* 0: by the number of processors */
	char *keytab, *principal;	/* RPCSEC_GSS; NULL: Kerberos' default, any nfs/HOST in it */
	struct device_conf *devices;
};

/*
 * Read FILE.  0, or -errno with *error (malloc'd) "file:line: ... 'word' ...".
 * Unknown sections and names, values out of range and doubles are errors.
 */
int conf_read(struct mds_conf *conf, const char *file, char **error);
/* The same of TEXT, which messages call NAME: for tests and the fuzzer. */
int conf_parse(struct mds_conf *conf, const char *text, const char *name, char **error);
void conf_free(struct mds_conf *conf);
struct device_conf *conf_device(const struct mds_conf *conf, const char *name);

#endif
