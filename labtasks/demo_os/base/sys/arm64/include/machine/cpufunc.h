#ifndef _MACHINE_CPUFUNC_H_
#define _MACHINE_CPUFUNC_H_

#include <sys/types.h>

#define	WRITE_SPECIAL(reg, name)					\
static inline void							\
write_##name(uint64_t val)						\
{									\
	__asm__ volatile("msr " #reg ", %0" : : "r"(val));		\
}

WRITE_SPECIAL(mair_el1, mair)
WRITE_SPECIAL(tcr_el1, tcr)
WRITE_SPECIAL(ttbr1_el1, ttbr1)

static inline uint64_t
read_far(void)
{
	uint64_t val;

	__asm__ volatile("mrs %0, far_el1" : "=r"(val));
	return (val);
}

static inline void
isb(void)
{
	__asm__ volatile("isb" : : : "memory");
}

static inline void
disable_intr(void)
{
	__asm__ volatile("msr daifset, #2" : : : "memory");
}

#endif
