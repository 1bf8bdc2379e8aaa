#ifndef _SYS_WAIT_H_
#define _SYS_WAIT_H_

#define	WNOHANG		1

/* Exit status of a process that was killed, not one that returned. */
#define	W_KILLED	0x100

#endif
