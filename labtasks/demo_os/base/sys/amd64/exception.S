/* Ways into the kernel and the one way out of it. */
#include <machine/asm.h>

	.macro	PUSH_REGS
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.endm

	.text
/* A stub per vector.  Some push an error code; the others get a zero. */
	.align	16
	.globl	trap_stubs
trap_stubs:
	.set	vec, 0
	.rept	T_NVECTORS
	.align	16
	.if	!((vec == 8) || ((vec >= 10) && (vec <= 14)) || (vec == 17) || (vec == 21))
	pushq	$0
	.endif
	pushq	$vec
	jmp	alltraps
	.set	vec, vec + 1
	.endr

ENTRY(alltraps)
	PUSH_REGS
	cld
	movq	%rsp, %rdi
	call	trap			/* %rbp stays: backtraces go through */
	jmp	doreti
END(alltraps)

/*
 * SYSCALL leaves the user's %rip in %rcx and flags in %r11, interrupts off
 * (SFMASK), and does not switch stacks.  There is one CPU, so a variable holds
 * the user's stack pointer for the few instructions until it is saved.  The
 * frame is the one a trap would have left.
 */
ENTRY(Xsyscall)
	movq	%rsp, scratch_rsp(%rip)
	movq	kstack_top(%rip), %rsp
	pushq	$UDATA_SEL
	pushq	scratch_rsp(%rip)
	pushq	%r11
	pushq	$UCODE_SEL
	pushq	%rcx
	pushq	$0
	pushq	$T_NVECTORS
	PUSH_REGS
	cld
	movq	%rsp, %rdi
	xorl	%ebp, %ebp
	sti
	call	syscall
	cli
	/* FALLTHROUGH */
END(Xsyscall)

ENTRY(doreti)
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq
END(doreti)

	.bss
	.align	8
scratch_rsp:
	.skip	8
	.globl	kstack_top
kstack_top:
	.skip	8

	.section .note.GNU-stack, "", @progbits
