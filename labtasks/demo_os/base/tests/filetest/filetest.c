/* Files, directories and devices. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
main(void)
{
	struct stat st;
	char buf[16], again[16];
	int fd;

	if (stat("/etc/motd", &st) != 0 || st.st_type != S_IFREG || st.st_size == 0)
		errx(1, "stat of /etc/motd");
	if (open("/etc/nothing") >= 0 || errno != ENOENT)
		errx(1, "opened a file that is not there");
	if ((fd = open("/etc/motd")) < 0 || read(fd, buf, 8) != 8)
		errx(1, "read of /etc/motd");
	close(fd);
	if ((fd = open("/etc/motd")) < 0 || read(fd, again, 8) != 8 || memcmp(buf, again, 8) != 0)
		errx(1, "read twice, two results");
	if (write(fd, "x", 1) >= 0 || errno != EROFS)
		errx(1, "wrote to a read-only file");
	close(fd);
	if ((fd = open("/dev/zero")) < 0 || read(fd, buf, sizeof(buf)) != sizeof(buf) || buf[7] != 0)
		errx(1, "/dev/zero");
	close(fd);
	if (read(fd, buf, 1) >= 0 || errno != EBADF)
		errx(1, "read from a closed descriptor");
	if (read(STDIN_FILENO, (void *)0x1000, 0) < 0)
		err(1, "empty read");
	printf("files, directories, devices\n");
	return (0);
}
