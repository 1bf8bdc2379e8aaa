/* The console of arm64 machines. */
#include <sys/systm.h>
#include <sys/conf.h>

#define	PL011_BASE	0x09000000UL	/* QEMU's "virt" */
#define	UARTDR		0x00
#define	UARTFR		0x18
#define	UARTCR		0x30
#define	FR_TXFF		(1 << 5)
#define	FR_RXFE		(1 << 4)

#define	REG(off)	(*(volatile uint32_t *)(PL011_BASE + (off)))

void
cninit(void)
{

	REG(UARTCR) = 0x301;		/* on, both ways */
}

void
cnputc(int c)
{

	if (c == '\n')
		cnputc('\r');
	while (REG(UARTFR) & FR_TXFF)
		continue;
	REG(UARTDR) = c;
}

int
cngetc(void)
{

	return (REG(UARTFR) & FR_RXFE ? -1 : (int)(REG(UARTDR) & 0xff));
}
