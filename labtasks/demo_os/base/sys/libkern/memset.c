#include <sys/systm.h>

void *
memset(void *dst, int c, size_t len)
{
	void *to = dst;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(c) : "memory");
	return (dst);
}
