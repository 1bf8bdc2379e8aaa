#include <err.h>
#include <unistd.h>

static void
cat(int fd, const char *name)
{
	char buf[512];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(STDOUT_FILENO, buf, n) != n)
			err(1, "stdout");
	if (n < 0)
		err(1, "%s", name);
}

int
main(int argc, char **argv)
{
	int fd, i;

	if (argc == 1)
		cat(STDIN_FILENO, "stdin");
	for (i = 1; i < argc; i++) {
		if ((fd = open(argv[i])) < 0)
			err(1, "%s", argv[i]);
		cat(fd, argv[i]);
		close(fd);
	}
	return (0);
}
