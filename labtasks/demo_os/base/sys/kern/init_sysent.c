/* The system call table. */
#include <sys/syscall.h>
#include <sys/sysproto.h>

#define	SY(name)	[SYS_##name] = { #name, sys_##name }

const struct sysent sysent[SYS_MAXSYSCALL] = {
	SY(exit), SY(spawn), SY(read), SY(write), SY(open), SY(close), SY(wait),
	SY(getpid), SY(kill), SY(dup2), SY(pipe), SY(sbrk), SY(msleep),
	SY(ticks), SY(getdirent), SY(sysctl), SY(kenv), SY(getproc), SY(probe),
	SY(ping), SY(reboot), SY(stat),
};
