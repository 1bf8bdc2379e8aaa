/* Start of the machine: not more than a console yet. */
#include <sys/systm.h>
#include <sys/conf.h>
#include <machine/cpufunc.h>
#include <machine/pmap.h>

#define	FDT_MAGIC	0xd00dfeed

void	initarm(const uint32_t *);

static uint32_t
be32(uint32_t v)
{

	return (v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24);
}

void
initarm(const uint32_t *fdt)
{

	cninit();
	pmap_bootstrap();
	if (be32(fdt[0]) != FDT_MAGIC)
		panic("initarm: no device tree");
	printf("device tree: %u bytes\n", be32(fdt[1]));
}

void
cpu_halt(void)
{

	disable_intr();
	for (;;)
		__asm__ volatile("wfi");
}
