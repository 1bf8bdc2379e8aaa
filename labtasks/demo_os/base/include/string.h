#ifndef _STRING_H_
#define _STRING_H_

#include <sys/types.h>

void	*memcpy(void *, const void *, size_t);
void	*memset(void *, int, size_t);
int	memcmp(const void *, const void *, size_t);
char	*strchr(const char *, int);
int	strcmp(const char *, const char *);
int	strncmp(const char *, const char *, size_t);
size_t	strlcpy(char *, const char *, size_t);
size_t	strlen(const char *);

#endif
