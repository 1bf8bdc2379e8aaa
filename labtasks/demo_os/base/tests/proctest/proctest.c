/* Processes: starting, waiting, killing, and what ps(1) is told. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
run(const char *path, char *arg)
{
	char *argv[] = { "child", arg, NULL };
	int status = -1;
	pid_t pid = spawn(path, argv);

	if (pid < 0)
		err(1, "%s", path);
	if (wait(pid, &status, 0) != pid)
		err(1, "wait");
	return (status);
}

static void
check_self(void)
{
	struct kinfo_proc ki;
	int r, slot;

	for (slot = 0; (r = getproc(slot, &ki, sizeof(ki))) >= 0; slot++) {
		if (r == 0 || ki.ki_pid != getpid())
			continue;
		if (ki.ki_structsize != sizeof(ki))
			errx(1, "kinfo_proc size mismatch (expected %u, got %u)",
			    (u_int)sizeof(ki), ki.ki_structsize);
		if (strcmp(ki.ki_comm, "proctest") != 0 || ki.ki_stat != SRUN)
			errx(1, "kinfo_proc is wrong about us: %s", ki.ki_comm);
		return;
	}
	errx(1, "not in the process table");
}

int
main(void)
{
	char *argv[] = { "sleep", "60", NULL };
	int status;
	pid_t pid;

	if (run("/bin/true", NULL) != 0 || run("/bin/false", NULL) != 1)
		errx(1, "exit status got lost");
	if (spawn("/bin/nothing", argv) >= 0 || errno != ENOENT)
		errx(1, "spawned a program that is not there");
	if (spawn("/etc/motd", argv) >= 0 || errno != ENOEXEC)
		errx(1, "spawned a text");
	check_self();
	if ((pid = spawn("/bin/sleep", argv)) < 0)
		err(1, "sleep");
	if (wait(pid, &status, WNOHANG) != 0)
		errx(1, "sleep does not sleep");
	if (kill(pid) != 0 || wait(pid, &status, 0) != pid || (status & W_KILLED) == 0)
		errx(1, "kill");
	if (wait(-1, &status, 0) >= 0 || errno != ECHILD)
		errx(1, "waited for nobody");
	printf("spawn, wait, kill, getproc\n");
	return (0);
}
