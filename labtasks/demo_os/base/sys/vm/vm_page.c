/* Physical memory: a list of free pages, threaded through the pages. */
#include <sys/systm.h>
#include <sys/sysctl.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>
#include <machine/pmap.h>

extern char end[];

static uint64_t free_head;		/* physical; 0 ends the list */
static u_long nfree;
SYSCTL_ULONG(vm_free, "vm.free_count", &nfree);

void
vm_page_free(uint64_t pa)
{
	uint64_t flags = intr_disable();

	*(uint64_t *)PHYS_TO_DMAP(pa) = free_head;
	free_head = pa;
	nfree++;
	intr_restore(flags);
}

uint64_t
vm_page_alloc(void)
{
	uint64_t flags = intr_disable(), pa = free_head;

	if (pa != 0) {
		free_head = *(uint64_t *)PHYS_TO_DMAP(pa);
		nfree--;
	}
	intr_restore(flags);
	if (pa != 0)
		memset(PHYS_TO_DMAP(pa), 0, PAGE_SIZE);
	return (pa);
}

/* All between the kernel's end and the end of memory, but not the archive. */
static void
vm_init(void)
{
	uint64_t pa, first = roundup(KVTOP(end), PAGE_SIZE);

	for (pa = bootinfo.bi_memend & ~PAGE_MASK; pa > first; ) {
		pa -= PAGE_SIZE;
		if (pa + PAGE_SIZE > bootinfo.bi_modstart && pa < bootinfo.bi_modend)
			continue;
		vm_page_free(pa);
	}
	printf("real memory  = %lu (%lu MB)\n", bootinfo.bi_memend, bootinfo.bi_memend >> 20);
	printf("avail memory = %lu (%lu MB)\n", nfree * PAGE_SIZE, nfree * PAGE_SIZE >> 20);
}
SYSINIT(vm, SI_SUB_VM, vm_init);
