/* Address spaces: four levels of page tables, the upper half shared. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>
#include <machine/pmap.h>

#define	NPTE		512
#define	NUSERPML4	256
#define	PTE_INDEX(va, level)	((va) >> (12 + 9 * (level)) & (NPTE - 1))

extern uint64_t boot_pml4[];

struct pmap kernel_pmap = { .pm_pml4 = boot_pml4 };

/* Nobody needs the low mapping any more, and NULL should fault. */
void
pmap_bootstrap(void)
{

	boot_pml4[0] = 0;
	pmap_activate(&kernel_pmap);
}

struct pmap *
pmap_create(void)
{
	struct pmap *pm = malloc(sizeof(*pm), M_ZERO);
	uint64_t pa = vm_page_alloc();

	if (pm == NULL || pa == 0) {
		free(pm);
		if (pa != 0)
			vm_page_free(pa);
		return (NULL);
	}
	pm->pm_pml4 = PHYS_TO_DMAP(pa);
	memcpy(pm->pm_pml4 + NUSERPML4, boot_pml4 + NUSERPML4,
	    (NPTE - NUSERPML4) * sizeof(uint64_t));
	return (pm);
}

/* The entry that maps va, with tables made on the way if asked to. */
static uint64_t *
pmap_pte(struct pmap *pm, uint64_t va, int create)
{
	uint64_t *table = pm->pm_pml4, *pte, pa;
	int level;

	for (level = 3; level > 0; level--) {
		pte = &table[PTE_INDEX(va, level)];
		if ((*pte & PG_V) == 0) {
			if (!create || (pa = vm_page_alloc()) == 0)
				return (NULL);
			*pte = pa | PG_V | PG_RW | PG_U;
		}
		table = PHYS_TO_DMAP(*pte & PG_FRAME);
	}
	return (&table[PTE_INDEX(va, 0)]);
}

int
pmap_enter(struct pmap *pm, uint64_t va, uint64_t pa, uint64_t prot)
{
	uint64_t *pte = pmap_pte(pm, va, 1);

	if (pte == NULL)
		return (ENOMEM);
	KASSERT((*pte & PG_V) == 0, "mapped already");
	*pte = pa | prot | PG_V | PG_U;
	pm->pm_resident++;
	return (0);
}

/* Physical address of va if it is the user's and has all bits of prot, or 0. */
uint64_t
pmap_extract(struct pmap *pm, uint64_t va, uint64_t prot)
{
	uint64_t *pte;

	prot |= PG_V | PG_U;
	if (va >= VM_MAXUSER || (pte = pmap_pte(pm, va, 0)) == NULL ||
	    (*pte & prot) != prot)
		return (0);
	return ((*pte & PG_FRAME) + (va & PAGE_MASK));
}

/* Back [start, end) with zeroed memory where there is none yet. */
int
pmap_alloc_range(struct pmap *pm, uint64_t start, uint64_t end, uint64_t prot)
{
	uint64_t va, pa;

	for (va = start & ~PAGE_MASK; va < end; va += PAGE_SIZE) {
		if (pmap_extract(pm, va, 0) != 0)
			continue;
		if ((pa = vm_page_alloc()) == 0)
			return (ENOMEM);
		if (pmap_enter(pm, va, pa, prot) != 0) {
			vm_page_free(pa);
			return (ENOMEM);
		}
	}
	return (0);
}

/* Write into an address space that need not be the current one. */
int
pmap_copy_to(struct pmap *pm, uint64_t va, const void *src, size_t len)
{
	const char *from = src;
	uint64_t pa;
	size_t n;

	while (len > 0) {
		if ((pa = pmap_extract(pm, va, 0)) == 0)
			return (EFAULT);
		n = MIN(len, PAGE_SIZE - (va & PAGE_MASK));
		memcpy(PHYS_TO_DMAP(pa), from, n);
		va += n;
		from += n;
		len -= n;
	}
	return (0);
}

static void
pmap_free_table(uint64_t *table, int level)
{
	int i, n = level == 3 ? NUSERPML4 : NPTE;

	for (i = 0; i < n; i++) {
		if ((table[i] & PG_V) == 0)
			continue;
		if (level > 0)
			pmap_free_table(PHYS_TO_DMAP(table[i] & PG_FRAME), level - 1);
		else
			vm_page_free(table[i] & PG_FRAME);
	}
	vm_page_free(DMAP_TO_PHYS(table));
}

void
pmap_destroy(struct pmap *pm)
{

	KASSERT(pm != &kernel_pmap, "the kernel's");
	pmap_free_table(pm->pm_pml4, 3);
	free(pm);
}

void
pmap_activate(struct pmap *pm)
{

	if (pm == &kernel_pmap)
		load_cr3(KVTOP(boot_pml4));
	else
		load_cr3(DMAP_TO_PHYS(pm->pm_pml4));
}
