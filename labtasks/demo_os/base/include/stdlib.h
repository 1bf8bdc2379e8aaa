#ifndef _STDLIB_H_
#define _STDLIB_H_

#include <sys/types.h>

void	exit(int) __attribute__((noreturn));
int	atoi(const char *);
long	strtol(const char *, char **, int);
void	*malloc(size_t);
void	free(void *);
void	qsort(void *, size_t, size_t, int (*)(const void *, const void *));

#endif
