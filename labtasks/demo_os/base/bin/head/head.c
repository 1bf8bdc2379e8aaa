#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* head lines [file] */
int
main(int argc, char **argv)
{
	char line[256];
	int fd = STDIN_FILENO, n;

	if (argc < 2)
		errx(2, "usage: head lines [file]");
	if (argc > 2 && (fd = open(argv[2])) < 0)
		err(1, "%s", argv[2]);
	for (n = atoi(argv[1]); n > 0 && fdgetline(fd, line, sizeof(line)) >= 0; n--)
		printf("%s\n", line);
	return (0);
}
