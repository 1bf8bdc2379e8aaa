#ifndef _MACHINE_PMAP_H_
#define _MACHINE_PMAP_H_

#include <machine/asm.h>
#include <sys/types.h>

#define	PG_V		0x001UL
#define	PG_RW		0x002UL
#define	PG_U		0x004UL
#define	PG_NX		(1UL << 63)
#define	PG_FRAME	0x000ffffffffff000UL

#define	VM_MAXUSER	0x0000800000000000UL
#define	USRSTACK	0x00007fffffff0000UL
#define	USRSTACK_PAGES	8

/* All memory is also mapped at DMAP_BASE. */
#define	PHYS_TO_DMAP(pa)	((void *)((uint64_t)(pa) + DMAP_BASE))
#define	DMAP_TO_PHYS(va)	((uint64_t)(va) - DMAP_BASE)
#define	KVTOP(va)		((uint64_t)(va) - KERNBASE)

struct pmap {
	uint64_t	*pm_pml4;
	u_int		pm_resident;	/* pages mapped for the user */
};

extern struct pmap kernel_pmap;

void	pmap_bootstrap(void);
struct pmap *pmap_create(void);
void	pmap_destroy(struct pmap *);
int	pmap_enter(struct pmap *, uint64_t, uint64_t, uint64_t);
uint64_t pmap_extract(struct pmap *, uint64_t, uint64_t);
void	pmap_activate(struct pmap *);
int	pmap_alloc_range(struct pmap *, uint64_t, uint64_t, uint64_t);
int	pmap_copy_to(struct pmap *, uint64_t, const void *, size_t);

#endif
