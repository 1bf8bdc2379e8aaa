#include <err.h>
#include <unistd.h>

int
main(void)
{
	char buf[512];
	ssize_t n;
	int fd = open("/dev/klog");

	if (fd < 0)
		err(1, "/dev/klog");
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		write(STDOUT_FILENO, buf, n);
	return (0);
}
