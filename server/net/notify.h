/* sd_notify(3)'s protocol without its library: one datagram to $NOTIFY_SOCKET, if there is one. */
#ifndef PNFS_SERVER_NET_NOTIFY_H
#define PNFS_SERVER_NET_NOTIFY_H

void notify_send(const char *state);

#endif
