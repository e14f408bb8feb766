/*
 * Why something is not done directly: one enumeration for logs, pnfsctl, the
 * EXPORT line of pnfs-mds and libpnfs's fallbacks.
 */
#ifndef PNFS_REASON_H
#define PNFS_REASON_H

#define REASONS(X) \
	X(NONE, "none") X(NO_DEVICE, "no-device") X(NO_RESERVATIONS, "no-reservations") \
	X(NO_PTPL, "no-ptpl") X(WRONG_DEVICE, "wrong-device") X(REFLINKED, "reflinked") \
	X(REALTIME, "realtime") X(LOCAL_OPEN, "local-open") X(UNALIGNED, "unaligned") \
	X(EOF_BLOCK, "eof-block") X(RECALL_PENDING, "recall-pending") X(FENCED, "fenced") \
	X(NO_SPACE, "no-space") X(GRACE, "grace") X(UNSUPPORTED_KERNEL, "unsupported-kernel") \
	X(NOT_XFS, "not-xfs") X(LAYOUTS_OFF, "layouts-off") X(IO_ERROR, "io-error") X(STOPPING, "stopping") \
	X(KEEPER, "keeper")

enum reason {
#define X(id, name) REASON_##id,
	REASONS(X)
#undef X
	REASON_COUNT
};

static inline const char *
reason_name(enum reason reason)
{
	static const char *const names[] = {
#define X(id, name) name,
		REASONS(X)
#undef X
	};
	return (unsigned)reason < REASON_COUNT ? names[reason] : "?";
}

#endif
