#ifndef _MACHINE_PMAP_H_
#define _MACHINE_PMAP_H_

#define	L1_IS_BLOCK	1UL
#define	ATTR_AF		(1UL << 10)
#define	ATTR_IDX(i)	((uint64_t)(i) << 2)
#define	MAIR_DEVICE	0
#define	MAIR_NORMAL	1
#define	MAIR_VALUE	0xff00UL
#define	TCR_VALUE	0x3519UL

void	pmap_bootstrap(void);

#endif
