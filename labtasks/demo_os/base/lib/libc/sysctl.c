#include <string.h>
#include <unistd.h>

/* The value the kernel shows under a name: its length, or -1. */
int
sysctlbyname(const char *name, char *buf, size_t size)
{
	char entry[256];
	size_t len = strlen(name);
	int i;

	for (i = 0; sys_sysctl(i, entry, sizeof(entry)) > 0; i++)
		if (strncmp(entry, name, len) == 0 && entry[len] == '=')
			return (strlcpy(buf, entry + len + 1, size));
	return (-1);
}
