# Manual pages.
dist_man_MANS += doc/pnfs-mds.8 doc/pnfs.1
