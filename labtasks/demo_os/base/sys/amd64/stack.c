/* Registers and call chains, for a person who reads a panic. */
#include <sys/systm.h>
#include <machine/asm.h>
#include <machine/frame.h>
#include <machine/md_var.h>

#define	MAXDEPTH	12

/* Walk the chain of saved frame pointers from rbp. */
void
stack_print(uint64_t rbp)
{
	const uint64_t *fp;
	const char *name;
	uint64_t off;
	int depth;

	printf("KDB: stack backtrace:\n");
	for (depth = 0; depth < MAXDEPTH && rbp >= DMAP_BASE && rbp % 8 == 0; depth++) {
		fp = (const uint64_t *)rbp;
		name = ksym_name(fp[1], &off);
		if (name == NULL)
			break;
		printf("#%d 0x%lx at %s+0x%lx\n", depth, fp[1], name, off);
		rbp = fp[0];
	}
}

void
trapframe_print(const struct trapframe *tf)
{

	printf("instruction pointer\t= 0x%lx:0x%lx\n", tf->tf_cs, tf->tf_rip);
	printf("stack pointer\t\t= 0x%lx:0x%lx\n", tf->tf_ss, tf->tf_rsp);
	printf("frame pointer\t\t= 0x%lx\n", tf->tf_rbp);
	printf("processor eflags\t= 0x%lx\n", tf->tf_rflags);
	printf("rax %016lx rbx %016lx rcx %016lx\n", tf->tf_rax, tf->tf_rbx, tf->tf_rcx);
	printf("rdx %016lx rsi %016lx rdi %016lx\n", tf->tf_rdx, tf->tf_rsi, tf->tf_rdi);
	printf("r8  %016lx r9  %016lx r10 %016lx\n", tf->tf_r8, tf->tf_r9, tf->tf_r10);
	printf("r11 %016lx r12 %016lx r13 %016lx\n", tf->tf_r11, tf->tf_r12, tf->tf_r13);
	printf("r14 %016lx r15 %016lx\n", tf->tf_r14, tf->tf_r15);
}
