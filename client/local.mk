# libpnfs and the tools.
