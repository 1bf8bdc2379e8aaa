/* Start of the machine: boot information, segments, system call entry. */
#include <sys/systm.h>
#include <sys/conf.h>
#include <machine/asm.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>
#include <machine/pmap.h>

#define	HVM_MAGIC	0x336ec578
#define	MEM_RAM		1

#define	MSR_STAR	0xc0000081
#define	MSR_LSTAR	0xc0000082
#define	MSR_SFMASK	0xc0000084

/* The PVH boot protocol, as much of it as we read. */
struct hvm_start_info {
	uint32_t	magic;
	uint32_t	version;
	uint32_t	flags;
	uint32_t	nr_modules;
	uint64_t	modlist_paddr;
	uint64_t	cmdline_paddr;
	uint64_t	rsdp_paddr;
	uint64_t	memmap_paddr;		/* version 1 and later */
	uint32_t	memmap_entries;
	uint32_t	reserved;
};

struct hvm_modlist_entry {
	uint64_t	paddr;
	uint64_t	size;
	uint64_t	cmdline_paddr;
	uint64_t	reserved;
};

struct hvm_memmap_entry {
	uint64_t	addr;
	uint64_t	size;
	uint32_t	type;
	uint32_t	reserved;
};

struct tss {
	uint32_t	reserved0;
	uint64_t	rsp[3];
	uint64_t	reserved1;
	uint64_t	ist[7];
	uint64_t	reserved2;
	uint16_t	reserved3;
	uint16_t	iobase;
} __attribute__((packed));

struct bootinfo bootinfo;

extern uint64_t gdt[];
extern uint64_t kstack_top;
extern char end[];
void	Xsyscall(void);
void	hammer_time(uint64_t);

static struct tss tss;
static char bpt_stack[4096] __attribute__((aligned(16)));
static char df_stack[4096] __attribute__((aligned(16)));

static void
tss_init(void)
{
	uint64_t base = (uint64_t)&tss;

	/*
	 * Breakpoints get a stack of their own: a probe's handler writes to
	 * the interrupted stack, just where the frame would lie otherwise.
	 */
	tss.ist[0] = (uint64_t)(bpt_stack + sizeof(bpt_stack));
	tss.ist[1] = (uint64_t)(df_stack + sizeof(df_stack));
	tss.iobase = sizeof(tss);
	gdt[5] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
	    0x89UL << 40 | (base >> 24 & 0xff) << 56;
	gdt[6] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
}

/* Where traps and system calls from user mode put their frame. */
void
tss_set_stack(uint64_t top)
{

	tss.rsp[0] = top;
	kstack_top = top;
}

static void
syscall_init(void)
{

	wrmsr(MSR_STAR, (uint64_t)KCODE_SEL << 32);
	wrmsr(MSR_LSTAR, (uint64_t)Xsyscall);
	wrmsr(MSR_SFMASK, PSL_I | 0x40400);	/* and direction, alignment */
}

static void
bootinfo_parse(const struct hvm_start_info *si)
{
	const struct hvm_memmap_entry *mm = PHYS_TO_DMAP(si->memmap_paddr);
	const struct hvm_modlist_entry *mod;
	uint64_t top;
	u_int i;

	for (i = 0; i < si->memmap_entries; i++) {
		top = MIN(mm[i].addr + mm[i].size, DMAP_SIZE);
		if (mm[i].type == MEM_RAM && mm[i].addr <= KVTOP(end))
			bootinfo.bi_memend = MAX(bootinfo.bi_memend, top);
	}
	if (si->nr_modules > 0) {
		mod = PHYS_TO_DMAP(si->modlist_paddr);
		bootinfo.bi_modstart = mod->paddr;
		bootinfo.bi_modend = mod->paddr + mod->size;
	}
	if (si->cmdline_paddr != 0)
		kern_env_init(PHYS_TO_DMAP(si->cmdline_paddr));
}

/* The first C code: called by locore.S, still without any service. */
void
hammer_time(uint64_t start_info)
{
	const struct hvm_start_info *si = PHYS_TO_DMAP(start_info);

	cninit();
	pmap_bootstrap();
	tss_init();
	idt_init();
	syscall_init();
	if (si->magic != HVM_MAGIC || si->version < 1)
		panic("hammer_time: not a PVH boot loader");
	bootinfo_parse(si);
}
