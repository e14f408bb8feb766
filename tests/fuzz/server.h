/* A whole server without exports, for targets that need one.  It ends with the program. */
#ifndef PNFS_TESTS_FUZZ_SERVER_H
#define PNFS_TESTS_FUZZ_SERVER_H

struct mds *fuzz_server(void);

#endif
