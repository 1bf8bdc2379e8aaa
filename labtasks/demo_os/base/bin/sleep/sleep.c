#include <err.h>
#include <stdlib.h>
#include <unistd.h>

int
main(int argc, char **argv)
{

	if (argc != 2)
		errx(2, "usage: sleep seconds");
	return (msleep(atoi(argv[1]) * 1000UL) != 0);
}
