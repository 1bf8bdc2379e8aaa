/* Round robin over the process table; process 0 runs when nobody else can. */
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/sysctl.h>
#include <machine/pmap.h>

void	cpu_switch(uint64_t *, uint64_t);

static u_long nswitches;
SYSCTL_ULONG(nswitches, "kern.sched.switches", &nswitches);
SYSCTL_STRING(schedname, "kern.sched.name", "RR");

static struct proc *
sched_choose(void)
{
	int self = curproc - proctab, i;
	struct proc *p;

	for (i = 1; i <= NPROC; i++) {
		p = &proctab[(self + i) % NPROC];
		if (p != &proc0 && p->p_stat == SRUN)
			return (p);
	}
	return (&proc0);
}

/* Give the processor away.  Interrupts are off, before and after. */
void
sched_switch(void)
{
	struct proc *old = curproc, *new = sched_choose();

	if (new == old)
		return;
	nswitches++;
	curproc = new;
	cpu_switchin(new);
	cpu_switch(&old->p_rsp, new->p_rsp);
}

void
sched_clock(void)
{

	curproc->p_ticks++;
}
