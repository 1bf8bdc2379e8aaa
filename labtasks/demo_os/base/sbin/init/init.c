/*
 * The first process: runs the lines of /etc/rc, judges the tests among them
 * and turns the machine off.
 *
 *	run COMMAND ...		a failure is told, no more
 *	test NAME ...		/tests/NAME; the first failure ends it all
 *
 * Kernel variables: "test=NAME" runs that test alone; "nonce=WORD" asks for
 * the verdict on the second serial port, too.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/reboot.h>
#include <unistd.h>

#define	MAXOUTPUT	8192		/* of one test; the rest is dropped */
#define	LASTLINE	128

static char failure[LASTLINE + 64];

static void
console_setup(void)
{
	int fd;

	for (fd = 0; fd < 3; fd++)
		if (open("/dev/console") != fd)
			_exit(1);
}

static void
verdict(const char *word, const char *reason)
{
	char nonce[64];
	int fd;

	if (kenv("nonce", nonce, sizeof(nonce)) < 0)
		return;
	if ((fd = open("/dev/ttyu1")) < 0)
		return;
	dprintf(fd, "VERDICT %s %s %s\n", nonce, word, reason);
	close(fd);
}

static void
poweroff(void)
{

	reboot(RB_POWEROFF);
	_exit(1);
}

/* An old world on a new kernel, or the other way round, proves nothing. */
static void
check_abi(void)
{
	char value[32];

	if (sysctlbyname("kern.abi", value, sizeof(value)) < 0)
		strlcpy(value, "unknown", sizeof(value));
	if (atoi(value) == NIDAVEL_ABI)
		return;
	printf("init: kernel ABI %s, world built for ABI %d\n", value, NIDAVEL_ABI);
	printf("init: install a world that matches the kernel\n");
	poweroff();
}

static int
split(char *line, char **argv)
{
	int argc = 0;

	for (;;) {
		while (*line == ' ' || *line == '\t')
			*line++ = '\0';
		if (*line == '\0' || *line == '#' || argc == MAXARGS)
			break;
		argv[argc++] = line;
		while (*line != ' ' && *line != '\t' && *line != '\0')
			line++;
	}
	argv[argc] = NULL;
	return (argc);
}

static void
run_command(char **argv)
{
	int status;
	pid_t pid = spawn(argv[0], argv);

	if (pid < 0) {
		printf("init: %s: %s\n", argv[0], strerror(errno));
		return;
	}
	wait(pid, &status, 0);
	if (status != 0)
		printf("init: %s: exit status %d\n", argv[0], status);
}

/* Pass a test's output on and keep its last line. */
static void
relay(int fd, char *last)
{
	char line[LASTLINE];
	int n, total = 0;

	while ((n = fdgetline(fd, line, sizeof(line))) >= 0) {
		if ((total += n) > MAXOUTPUT)
			continue;
		printf("%s\n", line);
		if (n > 0)
			strlcpy(last, line, LASTLINE);
	}
}

/* True if the test passed; else failure tells what it said last. */
static int
run_test(const char *name)
{
	char path[MAXPATHLEN], last[LASTLINE] = "";
	char *argv[] = { path, NULL };
	int fd[2], status = -1;
	pid_t pid;

	snprintf(path, sizeof(path), "/tests/%s", name);
	if (pipe(fd) != 0)
		return (0);
	dup2(fd[1], STDOUT_FILENO);
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
	pid = spawn(path, argv);
	/* Our own output goes back to the console; the pipe ends with the test. */
	dup2(STDIN_FILENO, STDOUT_FILENO);
	dup2(STDIN_FILENO, STDERR_FILENO);
	relay(fd[0], last);
	close(fd[0]);
	if (pid < 0)
		strlcpy(last, strerror(errno), sizeof(last));
	else
		wait(pid, &status, 0);
	if (status == 0) {
		printf("init: test %s ok\n", name);
		return (1);
	}
	snprintf(failure, sizeof(failure), "test %s FAILED: %s", name,
	    last[0] != '\0' ? last : "no output");
	return (0);
}

/* True if all tests passed. */
static int
run_rc(void)
{
	char line[256], only[32], *argv[MAXARGS + 1];
	int alone = kenv("test", only, sizeof(only)) >= 0, argc, fd, i;

	if (alone)
		return (run_test(only));
	if ((fd = open("/etc/rc")) < 0) {
		snprintf(failure, sizeof(failure), "/etc/rc: %s", strerror(errno));
		return (0);
	}
	while (fdgetline(fd, line, sizeof(line)) >= 0) {
		if ((argc = split(line, argv)) < 2)
			continue;
		if (strcmp(argv[0], "run") == 0)
			run_command(argv + 1);
		else if (strcmp(argv[0], "test") == 0)
			for (i = 1; i < argc; i++)
				if (!run_test(argv[i]))
					return (0);
	}
	close(fd);
	return (1);
}

int
main(void)
{

	console_setup();
	check_abi();
	if (run_rc()) {
		printf("init: all tests passed\n");
		verdict("good", "all tests passed");
	} else {
		printf("init: %s\n", failure);
		verdict("bad", failure);
	}
	poweroff();
	return (0);
}
