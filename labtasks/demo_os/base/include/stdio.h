#ifndef _STDIO_H_
#define _STDIO_H_

#include <sys/stdarg.h>
#include <sys/types.h>

int	printf(const char *, ...) __attribute__((format(printf, 1, 2)));
int	dprintf(int, const char *, ...) __attribute__((format(printf, 2, 3)));
int	snprintf(char *, size_t, const char *, ...) __attribute__((format(printf, 3, 4)));
int	vsnprintf(char *, size_t, const char *, va_list);
int	vdprintf(int, const char *, va_list);

/* A line from fd without its newline; its length, or -1 at the end. */
int	fdgetline(int, char *, size_t);

#endif
