/* From one kernel stack to another. */
#include <machine/asm.h>

	.text
/* cpu_switch(uint64_t *save, uint64_t rsp): interrupts are off. */
ENTRY(cpu_switch)
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret
END(cpu_switch)

/* First return of a new process: cpu_fork() put its user frame above us. */
ENTRY(fork_trampoline)
	jmp	doreti
END(fork_trampoline)

	.section .note.GNU-stack, "", @progbits
