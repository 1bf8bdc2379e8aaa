/* The heap of a process. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/proc.h>
#include <sys/sysproto.h>
#include <machine/pmap.h>

#define	MAXDSIZ	(16UL << 20)

/* sbrk(increment): the old end of the heap.  It only grows. */
int64_t
sys_sbrk(const struct sysargs *uap)
{
	uint64_t old = curproc->p_brk;
	int error;

	if (uap->a[0] > MAXDSIZ)
		return (-ENOMEM);
	error = pmap_alloc_range(curproc->p_pmap, old, old + uap->a[0], PG_RW | PG_NX);
	if (error != 0)
		return (-error);
	curproc->p_brk = old + roundup(uap->a[0], 16);
	return (old);
}
