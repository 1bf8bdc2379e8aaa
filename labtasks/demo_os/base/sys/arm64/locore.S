/*
 * Entry from the boot loader: exception level 1 or 2, MMU off, %x0 holding the
 * physical address of the device tree.
 */
#include <machine/asm.h>

	.section .text.boot, "ax"
	.globl	_start
_start:
	mov	x19, x0			/* the device tree, for initarm() */
	mrs	x1, CurrentEL
	cmp	x1, #(2 << 2)
	b.ne	1f
	mov	x1, #(1 << 31)		/* EL1 is 64-bit */
	msr	hcr_el2, x1
	mov	x1, #0x3c5		/* EL1h, everything masked */
	msr	spsr_el2, x1
	adr	x1, 1f
	msr	elr_el2, x1
	eret
1:
	adrp	x1, exception_vectors
	msr	vbar_el1, x1
	adrp	x1, bootstack_top
	mov	sp, x1
	mov	x29, xzr
	mov	x0, x19
	bl	initarm
	bl	mi_startup
2:	wfi
	b	2b
