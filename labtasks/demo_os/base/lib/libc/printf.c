#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct out {
	char	*buf;
	size_t	size, len;
};

static void
put(struct out *o, char c)
{

	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void
put_padded(struct out *o, const char *s, int len, int width, int left, char pad)
{
	int fill = width - len;

	for (; !left && fill > 0; fill--)
		put(o, pad);
	while (len-- > 0)
		put(o, *s++);
	for (; fill > 0; fill--)
		put(o, ' ');
}

static int
number(unsigned long n, unsigned base, char *end)
{
	char *p = end;

	do {
		*--p = "0123456789abcdef"[n % base];
		n /= base;
	} while (n != 0);
	return (end - p);
}

/* %d %u %x %s %c %%, with l, width, 0 and - */
int
vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };
	char tmp[24], *end = tmp + sizeof(tmp), pad;
	int left, len, lng, width;
	const char *s;
	long d;

	for (; *fmt != '\0'; fmt++) {
		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		left = lng = width = 0;
		pad = ' ';
		for (fmt++; *fmt == '-' || *fmt == 'l' || (*fmt >= '0' && *fmt <= '9'); fmt++) {
			if (*fmt == '-')
				left = 1;
			else if (*fmt == 'l')
				lng = 1;
			else if (*fmt == '0' && width == 0)
				pad = '0';
			else
				width = width * 10 + *fmt - '0';
		}
		switch (*fmt) {
		case 'd':
			d = lng ? va_arg(ap, long) : va_arg(ap, int);
			len = number(d < 0 ? -d : d, 10, end);
			if (d < 0)
				*(end - ++len) = '-';
			put_padded(&o, end - len, len, width, left, pad);
			break;
		case 'u':
		case 'x':
			len = number(lng ? va_arg(ap, unsigned long) :
			    va_arg(ap, unsigned), *fmt == 'u' ? 10 : 16, end);
			put_padded(&o, end - len, len, width, left, pad);
			break;
		case 's':
			s = va_arg(ap, const char *);
			put_padded(&o, s, strlen(s), width, left, ' ');
			break;
		case 'c':
			tmp[0] = va_arg(ap, int);
			put_padded(&o, tmp, 1, width, left, ' ');
			break;
		case '\0':
			fmt--;
			break;
		default:
			put(&o, *fmt);
		}
	}
	if (size > 0)
		buf[o.len < size ? o.len : size - 1] = '\0';
	return (o.len);
}

int
snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return (n);
}

/* One write per call, so that lines of two programs do not mix. */
int
vdprintf(int fd, const char *fmt, va_list ap)
{
	char buf[512];
	int n = vsnprintf(buf, sizeof(buf), fmt, ap);

	if (n >= (int)sizeof(buf))
		n = sizeof(buf) - 1;
	return (write(fd, buf, n));
}

int
dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vdprintf(fd, fmt, ap);
	va_end(ap);
	return (n);
}

int
printf(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vdprintf(STDOUT_FILENO, fmt, ap);
	va_end(ap);
	return (n);
}
