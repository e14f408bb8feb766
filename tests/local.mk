# Unit tests (libcheck), fuzz targets.
