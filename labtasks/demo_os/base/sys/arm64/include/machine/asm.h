#ifndef _MACHINE_ASM_H_
#define _MACHINE_ASM_H_

#define	KERNBASE	0xffffff8000000000

#define	ENTRY(name)	.globl name; .type name, %function; .align 4; name:
#define	END(name)	.size name, . - name

#endif
