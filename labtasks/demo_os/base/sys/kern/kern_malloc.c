/*
 * Kernel memory: powers of two carved from pages, whole runs of pages above
 * that.  A header in front of each piece remembers its size.
 */
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/sysctl.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>
#include <machine/pmap.h>

#define	MINSHIFT	5
#define	MAXSHIFT	16		/* largest piece: 64 KB */
#define	ARENA_PAGES	1024		/* 4 MB */

struct piece {
	u_long		size;		/* of the piece, with this header */
	struct piece	*next;		/* while it is free */
};

static struct piece *freelist[MAXSHIFT + 1];
static char *arena, *arena_end;

static u_long inuse;
SYSCTL_ULONG(malloc_inuse, "vm.malloc_inuse", &inuse);

/* A run of pages, taken in one go while memory is still in order. */
static void
malloc_init(void)
{
	uint64_t pa, first = vm_page_alloc();
	int i;

	for (i = 1; i < ARENA_PAGES; i++) {
		pa = vm_page_alloc();
		KASSERT(pa == first + i * PAGE_SIZE, "memory is not contiguous");
	}
	arena = PHYS_TO_DMAP(first);
	arena_end = arena + ARENA_PAGES * PAGE_SIZE;
}
SYSINIT(malloc, SI_SUB_KMEM, malloc_init);

void *
malloc(size_t size, int how)
{
	struct piece *pc;
	uint64_t flags;
	int shift;

	size += sizeof(*pc);
	for (shift = MINSHIFT; (1UL << shift) < size; shift++)
		if (shift == MAXSHIFT)
			return (NULL);
	flags = intr_disable();
	if ((pc = freelist[shift]) != NULL) {
		freelist[shift] = pc->next;
	} else if (arena + (1UL << shift) <= arena_end) {
		pc = (struct piece *)arena;
		arena += 1UL << shift;
	}
	if (pc != NULL)
		inuse += 1UL << shift;
	intr_restore(flags);
	if (pc == NULL)
		return (NULL);
	pc->size = 1UL << shift;
	if (how & M_ZERO)
		memset(pc + 1, 0, pc->size - sizeof(*pc));
	return (pc + 1);
}

void
free(void *addr)
{
	struct piece *pc = (struct piece *)addr - 1;
	uint64_t flags;
	int shift;

	if (addr == NULL)
		return;
	for (shift = MINSHIFT; (1UL << shift) < pc->size; shift++)
		continue;
	KASSERT((1UL << shift) == pc->size && shift <= MAXSHIFT, "corrupt header");
	flags = intr_disable();
	pc->next = freelist[shift];
	freelist[shift] = pc;
	inuse -= pc->size;
	intr_restore(flags);
}
