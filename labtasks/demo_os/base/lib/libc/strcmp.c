#include <string.h>

int
strcmp(const char *a, const char *b)
{

	while (*a != '\0' && *a == *b)
		a++, b++;
	return ((uint8_t)*a - (uint8_t)*b);
}

int
strncmp(const char *a, const char *b, size_t len)
{

	for (; len > 0; len--, a++, b++)
		if (*a != *b || *a == '\0')
			return ((uint8_t)*a - (uint8_t)*b);
	return (0);
}
