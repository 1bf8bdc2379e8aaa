/* Formatted output to the console, the message buffer and memory. */
#include <sys/systm.h>
#include <sys/conf.h>

struct snbuf {
	char	*buf;
	size_t	size, len;
};

static void
kputc(int c, void *arg)
{

	(void)arg;
	msgbuf_putc(c);
	cnputc(c);
}

static void
snputc(int c, void *arg)
{
	struct snbuf *sb = arg;

	if (sb->len + 1 < sb->size)
		sb->buf[sb->len] = c;
	sb->len++;
}

/* Digits of n, last one first; returns how many. */
static int
digits(u_long n, u_int base, char *out)
{
	int len = 0;

	do {
		out[len++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n != 0);
	return (len);
}

/* %d %i %u %x %p %s %c %%, with l, z, #, width, 0 and - */
int
kvprintf(void (*put)(int, void *), void *arg, const char *fmt, va_list ap)
{
	char tmp[24], pad;
	const char *s;
	int alt, c, count = 0, left, len, lng, neg, width;
	u_long n;

#define	PUT(ch)	(put((ch), arg), count++)
	for (; (c = *fmt) != '\0'; fmt++) {
		if (c != '%') {
			PUT(c);
			continue;
		}
		alt = left = lng = neg = width = 0;
		pad = ' ';
		for (;;) {
			c = *++fmt;
			if (c == '#')
				alt = 1;
			else if (c == '-')
				left = 1;
			else if (c == '0' && width == 0)
				pad = '0';
			else if (c >= '0' && c <= '9')
				width = width * 10 + c - '0';
			else if (c == 'l' || c == 'z')
				lng = 1;
			else
				break;
		}
		s = tmp;
		switch (c) {
		case 'c':
			tmp[0] = va_arg(ap, int);
			len = 1;
			break;
		case 's':
			if ((s = va_arg(ap, const char *)) == NULL)
				s = "(null)";
			len = strlen(s);
			break;
		case 'd':
		case 'i':
			n = lng ? va_arg(ap, long) : va_arg(ap, int);
			if ((neg = (long)n < 0))
				n = -n;
			len = digits(n, 10, tmp);
			break;
		case 'p':
			alt = lng = 1;
			/* FALLTHROUGH */
		case 'u':
		case 'x':
			n = lng ? va_arg(ap, u_long) : va_arg(ap, u_int);
			len = digits(n, c == 'u' ? 10 : 16, tmp);
			break;
		case '\0':
			return (count);
		default:
			PUT(c);
			continue;
		}
		width -= len + neg + (alt ? 2 : 0);
		if (pad == ' ' && !left)
			for (; width > 0; width--)
				PUT(' ');
		if (neg)
			PUT('-');
		if (alt) {
			PUT('0');
			PUT('x');
		}
		if (pad == '0')
			for (; width > 0; width--)
				PUT('0');
		if (s == tmp && c != 'c')
			while (len > 0)
				PUT(tmp[--len]);
		else
			while (len-- > 0)
				PUT(*s++);
		for (; width > 0; width--)
			PUT(' ');
	}
#undef PUT
	return (count);
}

int
vprintf(const char *fmt, va_list ap)
{

	return (kvprintf(kputc, NULL, fmt, ap));
}

int
printf(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vprintf(fmt, ap);
	va_end(ap);
	return (n);
}

int
snprintf(char *buf, size_t size, const char *fmt, ...)
{
	struct snbuf sb = { buf, size, 0 };
	va_list ap;

	va_start(ap, fmt);
	kvprintf(snputc, &sb, fmt, ap);
	va_end(ap);
	if (size > 0)
		buf[MIN(sb.len, size - 1)] = '\0';
	return (sb.len);
}
