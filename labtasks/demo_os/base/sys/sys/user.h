#ifndef _SYS_USER_H_
#define _SYS_USER_H_

#include <sys/param.h>
#include <sys/types.h>

/* One process as ps(1) sees it.  ki_structsize lets a stranger notice. */
struct kinfo_proc {
	uint32_t	ki_structsize;
	int32_t		ki_pid;
	int32_t		ki_ppid;
	uint32_t	ki_stat;	/* S... of sys/proc.h */
	uint64_t	ki_ticks;	/* clock ticks it was seen running */
	char		ki_wmesg[8];	/* what it sleeps on */
	char		ki_comm[MAXCOMLEN + 1];
};

/* ki_stat */
#define	SFREE	0
#define	SRUN	1
#define	SSLEEP	2
#define	SZOMB	3

#endif
