/* The kernel's own function names, put there by ksyms(8) after a first link. */
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/sysctl.h>

struct ksym {
	uint64_t	addr;		/* ascending */
	uint64_t	size;
	const char	*name;
};

extern const struct ksym ksymtab[];
extern const uint64_t nksyms;

/* The function that addr lies in, and how far. */
const char *
ksym_name(uint64_t addr, uint64_t *off)
{
	uint64_t lo = 0, hi = nksyms, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (addr < ksymtab[mid].addr)
			hi = mid;
		else if (addr >= ksymtab[mid].addr + ksymtab[mid].size)
			lo = mid + 1;
		else {
			*off = addr - ksymtab[mid].addr;
			return (ksymtab[mid].name);
		}
	}
	return (NULL);
}

uint64_t
ksym_value(const char *name, uint64_t *size)
{
	uint64_t i;

	for (i = 0; i < nksyms; i++) {
		if (strcmp(ksymtab[i].name, name) == 0) {
			*size = ksymtab[i].size;
			return (ksymtab[i].addr);
		}
	}
	return (0);
}

SYSCTL_ULONG(ksyms, "kern.ksyms", &nksyms);
