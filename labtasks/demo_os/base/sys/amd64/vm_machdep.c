/* The machine's part of processes: first frame, switching, ends of the machine. */
#include <sys/systm.h>
#include <sys/proc.h>
#include <machine/asm.h>
#include <machine/cpufunc.h>
#include <machine/frame.h>
#include <machine/md_var.h>
#include <machine/pmap.h>

#define	PIIX_PM1A_CNT	0x604		/* QEMU's "pc" and "q35" */
#define	PM1_SLP_EN	0x2000		/* with type 0: soft off */
#define	KBD_CNTL	0x64

void	fork_trampoline(void);

/*
 * Lay out a new process's kernel stack as if it had been switched out just
 * before returning to user mode at rip, with stack rsp.
 */
void
cpu_fork(struct proc *p, uint64_t rip, uint64_t rsp)
{
	char *top = p->p_kstack + KSTACK_PAGES * PAGE_SIZE;
	struct trapframe *tf = (struct trapframe *)top - 1;
	uint64_t *sp = (uint64_t *)tf;

	memset(tf, 0, sizeof(*tf));
	tf->tf_rip = rip;
	tf->tf_cs = UCODE_SEL;
	tf->tf_rflags = PSL_I | 2;
	tf->tf_rsp = rsp;
	tf->tf_ss = UDATA_SEL;
	*--sp = (uint64_t)fork_trampoline;
	sp -= 6;			/* what cpu_switch() pops */
	memset(sp, 0, 6 * sizeof(*sp));
	p->p_rsp = (uint64_t)sp;
}

void
cpu_switchin(struct proc *p)
{

	pmap_activate(p->p_pmap);
	if (p->p_kstack != NULL)
		tss_set_stack((uint64_t)(p->p_kstack + KSTACK_PAGES * PAGE_SIZE));
}

void
cpu_halt(void)
{

	disable_intr();
	for (;;)
		__asm__ volatile("hlt");
}

void
cpu_poweroff(void)
{

	outw(PIIX_PM1A_CNT, PM1_SLP_EN);
	cpu_halt();
}

/* Ask the keyboard controller; then fault with no way to report it. */
void
cpu_reset(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) null_idt = { 0, 0 };

	outb(KBD_CNTL, 0xfe);
	__asm__ volatile("lidt %0; int3" : : "m"(null_idt));
	cpu_halt();
}
