/* The C library's own functions. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

static int
by_value(const void *a, const void *b)
{

	return (*(const int *)a - *(const int *)b);
}

int
main(void)
{
	int v[] = { 5, -1, 3, 9, 0, 3 };
	char buf[64];
	unsigned i;

	snprintf(buf, sizeof(buf), "%5d|%-4s|%04x|%lu|%c", -42, "ab", 0xbeef, 1UL << 40, 'z');
	if (strcmp(buf, "  -42|ab  |beef|1099511627776|z") != 0)
		errx(1, "snprintf made \"%s\"", buf);
	if (snprintf(buf, 4, "abcdef") != 6 || strcmp(buf, "abc") != 0)
		errx(1, "snprintf went too far");
	if (strtol("-1f", NULL, 16) != -0x1f || atoi("077") != 77)
		errx(1, "strtol");
	if (strlcpy(buf, "hello", 3) != 5 || strcmp(buf, "he") != 0)
		errx(1, "strlcpy");
	if (strchr("a/b", '/') == NULL || strchr("ab", '/') != NULL)
		errx(1, "strchr");
	qsort(v, nitems(v), sizeof(v[0]), by_value);
	for (i = 1; i < nitems(v); i++)
		if (v[i - 1] > v[i])
			errx(1, "qsort");
	printf("printf, strings, numbers, sorting\n");
	return (0);
}
