/* The kernel leaves argc, argv[] and a NULL at the stack pointer. */
	.text
	.globl	_start
_start:
	xorl	%ebp, %ebp
	movq	(%rsp), %rdi
	leaq	8(%rsp), %rsi
	movq	(%rsi), %rax
	movq	%rax, __progname(%rip)
	call	main
	movl	%eax, %edi
	call	exit

	.data
	.align	8
	.globl	__progname
__progname:
	.quad	0

	.section .note.GNU-stack, "", @progbits
