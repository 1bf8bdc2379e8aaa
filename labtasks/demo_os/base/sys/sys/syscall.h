#ifndef _SYS_SYSCALL_H_
#define _SYS_SYSCALL_H_

/* System call numbers: shared by the kernel's table and libc's stubs. */
#define	SYS_exit	1
#define	SYS_spawn	2
#define	SYS_read	3
#define	SYS_write	4
#define	SYS_open	5
#define	SYS_close	6
#define	SYS_wait	7
#define	SYS_getpid	8
#define	SYS_kill	9
#define	SYS_dup2	10
#define	SYS_pipe	11
#define	SYS_sbrk	12
#define	SYS_msleep	13
#define	SYS_ticks	14
#define	SYS_getdirent	15
#define	SYS_sysctl	16
#define	SYS_kenv	17
#define	SYS_getproc	18
#define	SYS_probe	19
#define	SYS_ping	20
#define	SYS_reboot	21
#define	SYS_stat	22
#define	SYS_MAXSYSCALL	23

#endif
