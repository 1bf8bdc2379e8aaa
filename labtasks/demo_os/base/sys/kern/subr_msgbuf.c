/* What the kernel printed, kept for dmesg(8). */
#include <sys/systm.h>
#include <sys/conf.h>

#define	MSGBUF_SIZE	4096

static char msgbuf[MSGBUF_SIZE];
static size_t msgbuf_len;		/* bytes ever put in */

void
msgbuf_putc(int c)
{

	msgbuf[msgbuf_len++ % MSGBUF_SIZE] = c;
}

/* Copy what is kept from offset off on; returns how many bytes. */
static ssize_t
klog_read(const struct cdev *dev, off_t off, void *buf, size_t size)
{
	size_t kept = MIN(msgbuf_len, MSGBUF_SIZE), start = msgbuf_len - kept, i;
	char *to = buf;

	(void)dev;
	for (i = 0; i < size && off + i < kept; i++)
		to[i] = msgbuf[(start + off + i) % MSGBUF_SIZE];
	return (i);
}

static const struct cdev klog_dev = { "klog", klog_read, NULL, 0 };
DEV_MODULE(klog_dev);
