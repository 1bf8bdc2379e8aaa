#include <err.h>
#include <stdio.h>
#include <unistd.h>

/* kenv [name]: one variable of the kernel's environment, or all. */
int
main(int argc, char **argv)
{
	char buf[256];
	int i;

	if (argc > 1) {
		if (kenv(argv[1], buf, sizeof(buf)) < 0)
			errx(1, "%s: not set", argv[1]);
		printf("%s\n", buf);
		return (0);
	}
	for (i = 0; sys_kenv(i, buf, sizeof(buf)) > 0; i++)
		printf("%s\n", buf);
	return (0);
}
