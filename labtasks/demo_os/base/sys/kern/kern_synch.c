/* Sleeping on an address until somebody wakes it up, or for some time. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <sys/sysproto.h>
#include <machine/cpufunc.h>

/*
 * The caller looked at what it waits for with interrupts off, and calls with
 * them still off: no wakeup can get lost.  timo is in ticks, 0 is for ever.
 * A process that was killed does not sleep; its loops have to look for that.
 */
int
tsleep(const void *chan, const char *wmesg, u_int timo)
{
	uint64_t flags = intr_disable();
	int timedout;

	KASSERT(curproc != &proc0, "the idle process may not sleep");
	if (curproc->p_killed) {
		intr_restore(flags);
		return (EINTR);
	}
	curproc->p_wchan = chan;
	curproc->p_wmesg = wmesg;
	curproc->p_wakeat = timo != 0 ? ticks + timo : 0;
	curproc->p_stat = SSLEEP;
	sched_switch();
	timedout = timo != 0 && curproc->p_wakeat == 0;
	curproc->p_wchan = NULL;
	curproc->p_wmesg = NULL;
	intr_restore(flags);
	return (timedout ? EAGAIN : 0);
}

void
wakeup(const void *chan)
{
	uint64_t flags = intr_disable();
	struct proc *p;

	for (p = &proctab[1]; p < &proctab[NPROC]; p++)
		if (p->p_stat == SSLEEP && p->p_wchan == chan)
			p->p_stat = SRUN;
	intr_restore(flags);
}

/* From the clock interrupt: end the sleeps whose time has come. */
void
timeout_tick(void)
{
	struct proc *p;

	for (p = &proctab[1]; p < &proctab[NPROC]; p++) {
		if (p->p_stat == SSLEEP && p->p_wakeat != 0 && p->p_wakeat <= ticks) {
			p->p_wakeat = 0;
			p->p_stat = SRUN;
		}
	}
}

/* msleep(milliseconds) */
int64_t
sys_msleep(const struct sysargs *uap)
{
	u_int timo = MIN(uap->a[0], 3600 * 1000UL) * HZ / 1000;

	tsleep(&curproc->p_wakeat, "nanslp", MAX(timo, 1));
	return (0);
}
