#include <err.h>
#include <stdio.h>
#include <unistd.h>

static const char state[] = "-RSZ";

int
main(void)
{
	struct kinfo_proc ki;
	int r, slot;

	printf("  PID  PPID STAT  TICKS WMESG   COMMAND\n");
	for (slot = 0; (r = getproc(slot, &ki, sizeof(ki))) >= 0; slot++) {
		if (r == 0)
			continue;
		if (ki.ki_structsize != sizeof(ki))
			errx(1, "kinfo_proc size mismatch (expected %u, got %u)",
			    (u_int)sizeof(ki), ki.ki_structsize);
		printf("%5d %5d %c    %6lu %-7s %s\n", ki.ki_pid, ki.ki_ppid,
		    state[ki.ki_stat & 3], ki.ki_ticks,
		    ki.ki_wmesg[0] != '\0' ? ki.ki_wmesg : "-", ki.ki_comm);
	}
	return (0);
}
