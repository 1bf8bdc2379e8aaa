#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/probe.h>
#include <unistd.h>

/* probe function milliseconds: how often was it entered in that time? */
int
main(int argc, char **argv)
{
	uint64_t hits;

	if (argc != 3)
		errx(2, "usage: probe function milliseconds");
	if (probe(PROBE_ENABLE, argv[1], NULL) != 0)
		err(1, "%s", argv[1]);
	msleep(atoi(argv[2]));
	if (probe(PROBE_DISABLE, argv[1], &hits) != 0)
		err(1, "%s", argv[1]);
	printf("%s: %lu\n", argv[1], hits);
	return (0);
}
