#ifndef _SYS_SYSPROTO_H_
#define _SYS_SYSPROTO_H_

#include <sys/types.h>

/* Handlers take the six argument registers and return a value or -errno. */
struct sysargs {
	uint64_t	a[6];
};

typedef int64_t	sy_call_t(const struct sysargs *);

sy_call_t sys_exit, sys_spawn, sys_read, sys_write, sys_open, sys_close,
    sys_wait, sys_getpid, sys_kill, sys_dup2, sys_pipe, sys_sbrk, sys_msleep,
    sys_ticks, sys_getdirent, sys_sysctl, sys_kenv, sys_getproc, sys_probe,
    sys_ping, sys_reboot, sys_stat;

struct sysent {
	const char	*sy_name;
	sy_call_t	*sy_call;
};

extern const struct sysent sysent[];

#endif
