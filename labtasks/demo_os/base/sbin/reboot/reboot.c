#include <err.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

/* reboot [-p | -h] */
int
main(int argc, char **argv)
{
	int howto = RB_AUTOBOOT;

	if (argc > 1 && strcmp(argv[1], "-p") == 0)
		howto = RB_POWEROFF;
	else if (argc > 1 && strcmp(argv[1], "-h") == 0)
		howto = RB_HALT;
	else if (argc > 1)
		errx(2, "usage: reboot [-p | -h]");
	return (reboot(howto));
}
