/* The 8254 timer, HZ times a second. */
#include <sys/systm.h>
#include <sys/kernel.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>

#define	TIMER_FREQ	1193182
#define	TIMER_CNTR0	0x40
#define	TIMER_MODE	0x43

void
clock_init(void)
{
	u_int count = TIMER_FREQ / HZ;

	outb(TIMER_MODE, 0x34);		/* counter 0, rate generator */
	outb(TIMER_CNTR0, count & 0xff);
	outb(TIMER_CNTR0, count >> 8);
	pic_unmask(0);
	enable_intr();
}
SYSINIT(clock, SI_SUB_CLOCK, clock_init);
