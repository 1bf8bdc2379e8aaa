#include <err.h>
#include <stdio.h>
#include <unistd.h>

/* wc [file]: lines, words, bytes. */
int
main(int argc, char **argv)
{
	unsigned long bytes = 0, lines = 0, nwords = 0;
	int fd = STDIN_FILENO, i, inword = 0;
	char buf[512];
	ssize_t n;

	if (argc > 1 && (fd = open(argv[1])) < 0)
		err(1, "%s", argv[1]);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		bytes += n;
		for (i = 0; i < n; i++) {
			lines += buf[i] == '\n';
			if (buf[i] == ' ' || buf[i] == '\n' || buf[i] == '\t')
				inword = 0;
			else if (!inword) {
				inword = 1;
				nwords++;
			}
		}
	}
	printf("%7lu %7lu %7lu\n", lines, nwords, bytes);
	return (0);
}
