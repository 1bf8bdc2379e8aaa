/* Exceptions, and the way of a system call to its handler. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/proc.h>
#include <sys/syscall.h>
#include <sys/sysproto.h>
#include <sys/wait.h>
#include <machine/asm.h>
#include <machine/cpufunc.h>
#include <machine/frame.h>
#include <machine/md_var.h>

#include "opt_probe.h"
#ifdef PROBE
#include <sys/probe.h>
#endif

struct gate {
	uint16_t	offset0;
	uint16_t	selector;
	uint8_t		ist;
	uint8_t		type;
	uint16_t	offset1;
	uint32_t	offset2;
	uint32_t	reserved;
};

static struct gate idt[T_NVECTORS];

extern char trap_stubs[];
void	trap(struct trapframe *);
void	syscall(struct trapframe *);

static const char *const trap_msg[] = {
	"divide fault", "debug trap", "NMI", "breakpoint", "overflow", "bound",
	"invalid opcode", "no coprocessor", "double fault", "trap 9",
	"invalid TSS", "segment not present", "stack fault",
	"general protection fault", "page fault",
};

void
idt_init(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t addr;
	int i;

	for (i = 0; i < T_NVECTORS; i++) {
		addr = (uint64_t)trap_stubs + i * 16;
		idt[i].offset0 = addr;
		idt[i].offset1 = addr >> 16;
		idt[i].offset2 = addr >> 32;
		idt[i].selector = KCODE_SEL;
		idt[i].type = 0x8e;	/* interrupt gate: interrupts go off */
	}
	idt[T_BPTFLT].ist = 1;
	idt[T_DOUBLEFLT].ist = 2;
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static const char *
trap_name(uint64_t no)
{

	return (no < nitems(trap_msg) ? trap_msg[no] : "unknown trap");
}

static void
trap_fatal(struct trapframe *tf)
{

	printf("\nFatal trap %lu: %s while in kernel mode\n", tf->tf_trapno,
	    trap_name(tf->tf_trapno));
	printf("cpuid = 0\n");
	if (tf->tf_trapno == T_PAGEFLT)
		printf("fault virtual address\t= 0x%lx\n", rcr2());
	printf("fault code\t\t= 0x%lx\n", tf->tf_err);
	trapframe_print(tf);
	printf("current process\t\t= %d (%s)\n", curproc->p_pid, curproc->p_comm);
	panic("%s", trap_name(tf->tf_trapno));
}

static void
trap_irq(struct trapframe *tf)
{
	int irq = tf->tf_trapno - T_IRQ0;

	pic_eoi(irq);
	if (irq == 0) {
		hardclock(tf);
		sched_switch();		/* a time slice is one tick */
	}
}

static void
trap_user(struct trapframe *tf)
{

	printf("pid %d (%s): %s at 0x%lx, address 0x%lx: killed\n",
	    curproc->p_pid, curproc->p_comm, trap_name(tf->tf_trapno),
	    tf->tf_rip, tf->tf_trapno == T_PAGEFLT ? rcr2() : 0);
	enable_intr();
	exit1(W_KILLED | tf->tf_trapno);
}

void
trap(struct trapframe *tf)
{

	if (tf->tf_trapno >= T_IRQ0)
		trap_irq(tf);
#ifdef PROBE
	else if (tf->tf_trapno == T_BPTFLT && probe_trap(tf))
		return;
#endif
	else if (TRAPF_USERMODE(tf))
		trap_user(tf);
	else
		trap_fatal(tf);
	if (TRAPF_USERMODE(tf) && curproc->p_killed) {
		enable_intr();
		exit1(W_KILLED);
	}
}

void
syscall(struct trapframe *tf)
{
	struct sysargs args = { { tf->tf_rdi, tf->tf_rsi, tf->tf_rdx,
	    tf->tf_r10, tf->tf_r8, tf->tf_r9 } };
	uint64_t code = tf->tf_rax;

	if (code < SYS_MAXSYSCALL && sysent[code].sy_call != NULL)
		tf->tf_rax = sysent[code].sy_call(&args);
	else
		tf->tf_rax = -ENOSYS;
	if (curproc->p_killed)
		exit1(W_KILLED);
}
