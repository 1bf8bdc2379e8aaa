#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define	MAXENTRIES	64

static struct dirent entries[MAXENTRIES];

static int
by_name(const void *a, const void *b)
{

	return (strcmp(((const struct dirent *)a)->d_name, ((const struct dirent *)b)->d_name));
}

/* ls [directory] */
int
main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/";
	int i, n = 0, r = 0;

	while (n < MAXENTRIES && (r = getdirent(path, n, &entries[n])) > 0)
		n++;
	if (r < 0)
		err(1, "%s", path);
	qsort(entries, n, sizeof(entries[0]), by_name);
	for (i = 0; i < n; i++)
		printf("%s%s\n", entries[i].d_name, entries[i].d_type == S_IFDIR ? "/" : "");
	return (0);
}
