#include <string.h>
#include <unistd.h>

/* The value of a kernel environment variable: its length, or -1. */
int
kenv(const char *name, char *buf, size_t size)
{
	char entry[256];
	size_t len = strlen(name);
	int i;

	for (i = 0; sys_kenv(i, entry, sizeof(entry)) > 0; i++)
		if (strncmp(entry, name, len) == 0 && entry[len] == '=')
			return (strlcpy(buf, entry + len + 1, size));
	return (-1);
}
