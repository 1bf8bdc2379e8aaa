#ifndef _MACHINE_ASM_H_
#define _MACHINE_ASM_H_

/* Constants the assembler and C agree on. */
#define	KERNBASE	0xffffffff80000000
#define	DMAP_BASE	0xffff800000000000
#define	DMAP_SIZE	0x40000000		/* the first gigabyte */

#define	KCODE_SEL	0x08
#define	KDATA_SEL	0x10
#define	UDATA_SEL	0x1b
#define	UCODE_SEL	0x23
#define	TSS_SEL		0x28

#define	T_BPTFLT	3
#define	T_DOUBLEFLT	8
#define	T_PAGEFLT	14
#define	T_IRQ0		32
#define	T_NVECTORS	48

#define	PSL_I		0x200

#define	ENTRY(name)	.globl name; .type name, @function; .align 16; name:
#define	END(name)	.size name, . - name

#endif
