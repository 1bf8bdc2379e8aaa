/*
 * Entry from the boot loader (PVH: what "qemu -kernel" speaks for an ELF file
 * with the note below).  We arrive in 32-bit protected mode, paging off, %ebx
 * holding the physical address of struct hvm_start_info, and leave in long mode
 * at KERNBASE.
 */
#include <machine/asm.h>

#define	PG_TABLE	0x3		/* present, writable */
#define	PG_2M		0x83		/* the same, one large page */
#define	LOW(sym)	((sym) - KERNBASE)

	.section .note.Xen, "a", @note
	.align	4
	.long	4, 8, 18		/* "Xen", 8 bytes, PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	LOW(pvh_start)

	.section .text.boot, "ax"
	.code32
	.globl	pvh_start
pvh_start:
	cli
	cld
	movl	%ebx, %edi		/* survives until hammer_time() */

	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE, which long mode demands */
	movl	%eax, %cr4
	movl	$LOW(boot_pml4), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orl	$0x901, %eax		/* long mode, no-execute, SYSCALL */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80010001, %eax	/* paging, write protect, protection */
	movl	%eax, %cr0		/* now in compatibility mode ... */

	lgdt	LOW(boot_gdtr)
	ljmp	$KCODE_SEL, $LOW(low64)	/* ... and now in 64-bit mode */

	.code64
low64:
	movabsq	$high64, %rax
	jmp	*%rax
high64:
	movl	$KDATA_SEL, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movabsq	$gdtr, %rax		/* the same table, at its high address */
	lgdt	(%rax)
	movq	$bootstack_top, %rsp
	xorl	%ebp, %ebp		/* backtraces end here */
	movl	%edi, %edi
	call	hammer_time
	call	mi_startup
1:	hlt
	jmp	1b

	.data
	.align	4096
	.globl	boot_pml4
boot_pml4:				/* low, direct map, kernel */
	.quad	LOW(boot_pdpt) + PG_TABLE
	.fill	255, 8, 0
	.quad	LOW(boot_pdpt) + PG_TABLE
	.fill	254, 8, 0
	.quad	LOW(boot_pdpt_high) + PG_TABLE
boot_pdpt:
	.quad	LOW(boot_pd) + PG_TABLE
	.fill	511, 8, 0
boot_pdpt_high:
	.fill	510, 8, 0
	.quad	LOW(boot_pd) + PG_TABLE
	.fill	1, 8, 0
boot_pd:				/* the first gigabyte, in large pages */
	.set	i, 0
	.rept	512
	.quad	(i << 21) + PG_2M
	.set	i, i + 1
	.endr

	.align	16
	.globl	gdt
gdt:
	.quad	0
	.quad	0x00209a0000000000	/* kernel code */
	.quad	0x0000920000000000	/* kernel data */
	.quad	0x0000f20000000000	/* user data */
	.quad	0x0020fa0000000000	/* user code */
	.quad	0, 0			/* task state, filled in by machdep.c */
gdt_end:
boot_gdtr:
	.word	gdt_end - gdt - 1
	.long	LOW(gdt)
	.align	8
gdtr:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.bss
	.align	16
bootstack:
	.skip	16384
bootstack_top:

	.section .note.GNU-stack, "", @progbits
