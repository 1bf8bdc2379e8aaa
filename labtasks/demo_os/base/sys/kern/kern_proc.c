/* The process table. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <sys/sysproto.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>
#include <machine/pmap.h>

struct proc proctab[NPROC];
struct proc *curproc = &proc0;

static pid_t lastpid;

static void
proc_init(void)
{

	proc0.p_stat = SRUN;
	proc0.p_pmap = &kernel_pmap;
	strlcpy(proc0.p_comm, "idle", sizeof(proc0.p_comm));
}
SYSINIT(proc, SI_SUB_PROC, proc_init);

/* A process that does not run yet, with a stack and an address space. */
struct proc *
proc_alloc(const char *comm)
{
	struct proc *p;
	uint64_t flags = intr_disable();

	for (p = &proctab[1]; p < &proctab[NPROC]; p++)
		if (p->p_pid == 0 && p->p_stat == SFREE)
			break;
	if (p == &proctab[NPROC]) {
		intr_restore(flags);
		return (NULL);
	}
	memset(p, 0, sizeof(*p));
	p->p_pid = ++lastpid;
	intr_restore(flags);

	p->p_parent = curproc;
	strlcpy(p->p_comm, comm, sizeof(p->p_comm));
	p->p_kstack = malloc(KSTACK_PAGES * PAGE_SIZE, M_ZERO);
	p->p_pmap = pmap_create();
	if (p->p_kstack == NULL || p->p_pmap == NULL) {
		proc_free(p);
		return (NULL);
	}
	return (p);
}

void
proc_free(struct proc *p)
{

	KASSERT(p != curproc, "freeing the running process");
	fdfree(p);
	if (p->p_pmap != NULL && p->p_pmap != &kernel_pmap)
		pmap_destroy(p->p_pmap);
	free(p->p_kstack);
	p->p_stat = SFREE;
	p->p_pid = 0;
}

void
fill_kinfo_proc(const struct proc *p, struct kinfo_proc *ki)
{

	memset(ki, 0, sizeof(*ki));
	ki->ki_structsize = sizeof(*ki);
	ki->ki_pid = p->p_pid;
	ki->ki_ppid = p->p_parent != NULL ? p->p_parent->p_pid : 0;
	ki->ki_stat = p->p_stat;
	ki->ki_ticks = p->p_ticks;
	if (p->p_wmesg != NULL)
		strlcpy(ki->ki_wmesg, p->p_wmesg, sizeof(ki->ki_wmesg));
	strlcpy(ki->ki_comm, p->p_comm, sizeof(ki->ki_comm));
}

int64_t
sys_getpid(const struct sysargs *uap)
{

	(void)uap;
	return (curproc->p_pid);
}

/* getproc(slot, buf, size): 0 for a free slot, 1 when buf was filled. */
int64_t
sys_getproc(const struct sysargs *uap)
{
	struct kinfo_proc ki;
	uint64_t flags;

	if (uap->a[0] >= NPROC)
		return (-ESRCH);
	flags = intr_disable();
	fill_kinfo_proc(&proctab[uap->a[0]], &ki);
	intr_restore(flags);
	if (ki.ki_stat == SFREE)
		return (0);
	if (copyout(&ki, (void *)uap->a[1], MIN(uap->a[2], sizeof(ki))) != 0)
		return (-EFAULT);
	return (1);
}
