/* The load: how many processes want to run, averaged over a minute. */
#include <sys/systm.h>
#include <sys/callout.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <sys/sysctl.h>

#define	FSCALE		100		/* the load is kept in hundredths */
#define	WINDOW		60		/* samples, a second apart */

static u_long loadavg;
SYSCTL_ULONG(loadavg, "vm.loadavg", &loadavg);

static struct callout loadav_callout;

static void
loadav(void *arg)
{
	u_long running = 0;
	struct proc *p;

	(void)arg;
	for (p = &proctab[1]; p < &proctab[NPROC]; p++)
		running += p->p_stat == SRUN;
	loadavg = (loadavg * (WINDOW - 1) + running * FSCALE) / WINDOW;
	callout_reset(&loadav_callout, HZ, loadav, NULL);
}

static void
loadav_start(void)
{

	loadav(NULL);
}
SYSINIT(loadavg, SI_SUB_DRIVERS, loadav_start);
