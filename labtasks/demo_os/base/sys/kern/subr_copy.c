/* Between the kernel and the current process, only where it may. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/proc.h>
#include <machine/pmap.h>

/* May the process touch all of [va, va + len)? */
static int
useracc(uint64_t va, size_t len, uint64_t prot)
{
	uint64_t end = va + len;

	if (end < va || end > VM_MAXUSER)
		return (0);
	for (va &= ~PAGE_MASK; va < end; va += PAGE_SIZE)
		if (pmap_extract(curproc->p_pmap, va, prot) == 0)
			return (0);
	return (1);
}

int
copyin(const void *uaddr, void *kaddr, size_t len)
{

	if (!useracc((uint64_t)uaddr, len, 0))
		return (EFAULT);
	memcpy(kaddr, uaddr, len);
	return (0);
}

int
copyout(const void *kaddr, void *uaddr, size_t len)
{

	if (!useracc((uint64_t)uaddr, len, PG_RW))
		return (EFAULT);
	memcpy(uaddr, kaddr, len);
	return (0);
}

int
copyinstr(const void *uaddr, char *kaddr, size_t size)
{
	const char *from = uaddr;
	size_t i;

	for (i = 0; i < size; i++) {
		if ((i == 0 || ((uint64_t)&from[i] & PAGE_MASK) == 0) &&
		    !useracc((uint64_t)&from[i], 1, 0))
			return (EFAULT);
		if ((kaddr[i] = from[i]) == '\0')
			return (0);
	}
	return (E2BIG);
}
