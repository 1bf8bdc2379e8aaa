/* The heap, and what happens to those who go beyond it. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define	NPIECES	64

int
main(int argc, char **argv)
{
	char *self[] = { argv[0], "crash", NULL };
	unsigned char *piece[NPIECES];
	int i, status;
	pid_t pid;

	if (argc > 1) {
		*(volatile int *)8 = 1;
		return (0);
	}
	for (i = 0; i < NPIECES; i++) {
		if ((piece[i] = malloc(100 + i * 37)) == NULL)
			errx(1, "out of memory");
		memset(piece[i], i, 100 + i * 37);
	}
	for (i = 0; i < NPIECES; i++) {
		if (piece[i][0] != i || piece[i][99 + i * 37] != i)
			errx(1, "piece %d was overwritten", i);
		free(piece[i]);
	}
	if ((pid = spawn(argv[0], self)) < 0 || wait(pid, &status, 0) != pid)
		err(1, "spawn");
	if ((status & W_KILLED) == 0)
		errx(1, "a stray write went unnoticed (status %d)", status);
	printf("heap, protection\n");
	return (0);
}
