#include <stdio.h>
#include <unistd.h>

static const char *const names[] = {
	"kern.ostype", "kern.osrelease", "kern.ident", "hw.machine",
};

int
main(void)
{
	char value[64];
	unsigned i;

	for (i = 0; i < nitems(names); i++) {
		if (sysctlbyname(names[i], value, sizeof(value)) < 0)
			return (1);
		printf("%s%s", i > 0 ? " " : "", value);
	}
	printf("\n");
	return (0);
}
