#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ping [count [bytes]]: our own loopback is all the network there is. */
int
main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1, i;
	u_int len = argc > 2 ? atoi(argv[2]) : 56;

	for (i = 0; i < count; i++) {
		if (ping(len) != 0)
			err(1, "lo0");
		printf("%u bytes from lo0: seq=%d\n", len + 8, i);
	}
	return (0);
}
