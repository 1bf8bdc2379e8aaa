/* Pipes between processes. */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What echo says, read by us. */
int
main(void)
{
	char *echo_argv[] = { "echo", "hello", "world", NULL };
	char line[64];
	int fd[2], saved, status;
	pid_t pid;

	if (pipe(fd) != 0)
		err(1, "pipe");
	saved = 9;
	dup2(STDOUT_FILENO, saved);
	dup2(fd[1], STDOUT_FILENO);
	close(fd[1]);
	pid = spawn("/bin/echo", echo_argv);
	dup2(saved, STDOUT_FILENO);
	if (pid < 0)
		err(1, "spawn");
	if (fdgetline(fd[0], line, sizeof(line)) != 11 || strcmp(line, "hello world") != 0)
		errx(1, "read \"%s\" from the pipe", line);
	if (read(fd[0], line, 1) != 0)
		errx(1, "the pipe did not end");
	if (wait(pid, &status, 0) != pid || status != 0)
		errx(1, "echo failed (status %d)", status);
	printf("pipes\n");
	return (0);
}
