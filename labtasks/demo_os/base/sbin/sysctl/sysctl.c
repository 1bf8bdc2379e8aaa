#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* sysctl [prefix] */
int
main(int argc, char **argv)
{
	const char *prefix = argc > 1 ? argv[1] : "";
	char buf[256];
	int i, shown = 0;

	for (i = 0; sys_sysctl(i, buf, sizeof(buf)) > 0; i++) {
		if (strncmp(buf, prefix, strlen(prefix)) == 0) {
			printf("%s\n", buf);
			shown++;
		}
	}
	if (shown == 0)
		errx(1, "%s: no such name", prefix);
	return (0);
}
