/* The two 8259 interrupt controllers. */
#include <sys/systm.h>
#include <sys/kernel.h>
#include <machine/asm.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>

#define	PIC1	0x20
#define	PIC2	0xa0

static uint16_t pic_mask = 0xffff & ~(1 << 2);	/* 2 is the cascade */

static void
pic_set_mask(void)
{

	outb(PIC1 + 1, pic_mask);
	outb(PIC2 + 1, pic_mask >> 8);
}

void
pic_init(void)
{

	outb(PIC1, 0x11);		/* initialise, four words follow */
	outb(PIC2, 0x11);
	outb(PIC1 + 1, T_IRQ0);		/* vectors, clear of the exceptions */
	outb(PIC2 + 1, T_IRQ0 + 8);
	outb(PIC1 + 1, 1 << 2);
	outb(PIC2 + 1, 2);
	outb(PIC1 + 1, 1);
	outb(PIC2 + 1, 1);
	pic_set_mask();
}
SYSINIT(pic, SI_SUB_INTR, pic_init);

void
pic_unmask(int irq)
{

	pic_mask &= ~(1 << irq);
	pic_set_mask();
}

void
pic_eoi(int irq)
{

	if (irq >= 8)
		outb(PIC2, 0x20);
	outb(PIC1, 0x20);
}
