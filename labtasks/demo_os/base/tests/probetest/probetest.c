/*
 * A probe on the packet filter's hook: one packet, one hit.  Another process
 * sends the packet, since whoever meets a broken probe may not come back; we
 * look at the count from outside, and taking the probe away frees it.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/probe.h>
#include <unistd.h>

#define	FUNCTION	"pf_hook"
#define	PATIENCE	30		/* looks, 10 ms apart */

int
main(int argc, char **argv)
{
	char *self[] = { argv[0], "ping", NULL };
	int look, status = 0;
	uint64_t hits;
	pid_t pid;

	if (argc > 1)
		return (ping(8) != 0);
	if (probe(PROBE_ENABLE, FUNCTION, NULL) != 0) {
		if (errno == ENOSYS) {
			printf("skipped: no probes in this kernel\n");
			return (0);
		}
		err(1, "%s", FUNCTION);
	}
	if ((pid = spawn(argv[0], self)) < 0)
		err(1, "spawn");
	for (look = 0; look < PATIENCE && wait(pid, &status, WNOHANG) == 0; look++)
		msleep(10);
	if (probe(PROBE_DISABLE, FUNCTION, &hits) != 0)
		err(1, "%s", FUNCTION);
	if (look == PATIENCE)
		wait(pid, &status, 0);
	if (hits != 1)
		errx(1, "probe: %lu hits (expected 1)", hits);
	if (status != 0)
		errx(1, "the packet got lost");
	printf("probe: %lu hit\n", hits);
	return (0);
}
