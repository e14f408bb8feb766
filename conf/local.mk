# Samples.
sampledir = $(docdir)/examples
dist_sample_DATA = conf/pnfs-mds.conf conf/exports conf/pnfs-mds.service
