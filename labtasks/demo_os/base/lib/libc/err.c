#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char *__progname;		/* argv[0], from crt0.S */

static const char *
progname(void)
{
	const char *name = __progname, *slash;

	while ((slash = strchr(name, '/')) != NULL)
		name = slash + 1;
	return (name);
}

void
err(int status, const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	dprintf(STDERR_FILENO, "%s: ", progname());
	va_start(ap, fmt);
	vdprintf(STDERR_FILENO, fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, ": %s\n", strerror(error));
	exit(status);
}

void
errx(int status, const char *fmt, ...)
{
	va_list ap;

	dprintf(STDERR_FILENO, "%s: ", progname());
	va_start(ap, fmt);
	vdprintf(STDERR_FILENO, fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "\n");
	exit(status);
}

void
warnx(const char *fmt, ...)
{
	va_list ap;

	dprintf(STDERR_FILENO, "%s: ", progname());
	va_start(ap, fmt);
	vdprintf(STDERR_FILENO, fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "\n");
}
