/* Translation tables: 4 KB granule, three levels, the kernel in TTBR1. */
#include <sys/systm.h>
#include <machine/cpufunc.h>
#include <machine/pmap.h>

#define	L1_BLOCK	(1UL << 30)

static uint64_t l1_kernel[512] __attribute__((aligned(4096)));

/* The first 4 GB: devices in the first block, memory behind it. */
void
pmap_bootstrap(void)
{
	uint64_t pa;
	u_int i;

	for (i = 0; i < 4; i++) {
		pa = i * L1_BLOCK;
		l1_kernel[i] = pa | ATTR_AF | ATTR_IDX(i == 0 ? MAIR_DEVICE : MAIR_NORMAL) |
		    L1_IS_BLOCK;
	}
	write_mair(MAIR_VALUE);
	write_tcr(TCR_VALUE);
	write_ttbr1((uint64_t)l1_kernel);
	isb();
}
