#ifndef _MACHINE_FRAME_H_
#define _MACHINE_FRAME_H_

#include <sys/types.h>

struct trapframe {
	uint64_t	tf_sp;
	uint64_t	tf_lr;
	uint64_t	tf_elr;
	uint64_t	tf_spsr;
	uint64_t	tf_esr;
	uint64_t	tf_x[30];
};

#define	TRAPF_USERMODE(tf)	(((tf)->tf_spsr & 0xf) == 0)

#endif
