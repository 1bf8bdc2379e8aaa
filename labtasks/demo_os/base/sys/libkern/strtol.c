#include <sys/systm.h>

/* Bases 8 to 16; stops at the first character that is no digit. */
long
strtol(const char *s, char **endp, int base)
{
	long n = 0;
	int c, neg = 0;

	while (*s == ' ')
		s++;
	if (*s == '-') {
		neg = 1;
		s++;
	}
	for (; (c = *s) != '\0'; s++) {
		if (c >= '0' && c <= '9')
			c -= '0';
		else if (c >= 'a' && c <= 'f')
			c -= 'a' - 10;
		else
			break;
		if (c >= base)
			break;
		n = n * base + c;
	}
	if (endp != NULL)
		*endp = (char *)(uintptr_t)s;
	return (neg ? -n : n);
}
