/* Words to the service manager: the protocol of systemd's sd_notify(3), a datagram to $NOTIFY_SOCKET. */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=..."; lines. Nothing where nobody listens. */
void notify_manager(const char *state);

#endif
