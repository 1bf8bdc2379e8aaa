#include <stdio.h>
#include <unistd.h>

/* A byte at a time: nothing is read that another program should see. */
int
fdgetline(int fd, char *buf, size_t size)
{
	size_t n = 0;
	char c;

	for (;;) {
		if (read(fd, &c, 1) <= 0) {
			if (n == 0)
				return (-1);
			break;
		}
		if (c == '\n')
			break;
		if (n + 1 < size)
			buf[n++] = c;
	}
	buf[n] = '\0';
	return (n);
}
