# Manual pages and tables.
dist_man_MANS += doc/pnfs-mds.8 doc/pnfs.1 doc/pnfsctl.8
EXTRA_DIST += doc/capture.md doc/protocol.md doc/providers.md
