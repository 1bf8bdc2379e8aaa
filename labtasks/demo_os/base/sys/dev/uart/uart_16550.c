/* Serial ports: the first is the console, the second free for programs. */
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/errno.h>
#include <sys/proc.h>
#include <machine/cpufunc.h>

#define	UART_DATA	0
#define	UART_IER	1
#define	UART_FCR	2
#define	UART_LCR	3
#define	UART_MCR	4
#define	UART_LSR	5
#define	LSR_RXREADY	0x01
#define	LSR_TXREADY	0x20

static const uint16_t uart_port[] = { 0x3f8, 0x2f8 };

static void
uart_setup(int unit)
{
	uint16_t port = uart_port[unit];

	outb(port + UART_IER, 0);
	outb(port + UART_LCR, 0x80);	/* divisor: 1, for 115200 baud */
	outb(port + UART_DATA, 1);
	outb(port + UART_IER, 0);
	outb(port + UART_LCR, 0x03);	/* 8 bits, no parity */
	outb(port + UART_FCR, 0x07);
	outb(port + UART_MCR, 0x03);
}

static void
uart_putc(int unit, int c)
{
	int spins = 100000;		/* a port that is not there */

	while ((inb(uart_port[unit] + UART_LSR) & LSR_TXREADY) == 0 && --spins > 0)
		continue;
	outb(uart_port[unit] + UART_DATA, c);
}

static int
uart_getc(int unit)
{
	uint8_t lsr = inb(uart_port[unit] + UART_LSR);

	if (lsr == 0xff || (lsr & LSR_RXREADY) == 0)
		return (-1);
	return (inb(uart_port[unit] + UART_DATA));
}

void
cninit(void)
{

	uart_setup(0);
	uart_setup(1);
}

void
cnputc(int c)
{

	if (c == '\n')
		uart_putc(0, '\r');
	uart_putc(0, c);
}

int
cngetc(void)
{

	return (uart_getc(0));
}

static ssize_t
uart_write(const struct cdev *dev, const void *buf, size_t size)
{
	const char *s = buf;
	size_t i;

	for (i = 0; i < size; i++) {
		if (s[i] == '\n')
			uart_putc(dev->d_unit, '\r');
		uart_putc(dev->d_unit, s[i]);
	}
	return (size);
}

/* One byte, when somebody typed one. */
static ssize_t
uart_read(const struct cdev *dev, off_t off, void *buf, size_t size)
{
	int c;

	(void)off;
	if (size == 0)
		return (0);
	while ((c = uart_getc(dev->d_unit)) < 0) {
		if (curproc->p_killed)
			return (-EIO);
		tsleep(dev, "ttyin", 1);
	}
	*(char *)buf = c;
	return (1);
}

static const struct cdev console_dev = { "console", uart_read, uart_write, 0 };
static const struct cdev ttyu1_dev = { "ttyu1", uart_read, uart_write, 1 };
DEV_MODULE(console_dev);
DEV_MODULE(ttyu1_dev);
