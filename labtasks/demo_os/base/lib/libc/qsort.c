#include <stdlib.h>

/* Insertion sort: short, stable, and right for the lists we have. */
void
qsort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	char *a = base, tmp, *x, *y;
	size_t i, j, k;

	for (i = 1; i < n; i++) {
		for (j = i; j > 0 && cmp(a + (j - 1) * size, a + j * size) > 0; j--) {
			x = a + (j - 1) * size;
			y = a + j * size;
			for (k = 0; k < size; k++) {
				tmp = x[k];
				x[k] = y[k];
				y[k] = tmp;
			}
		}
	}
}
