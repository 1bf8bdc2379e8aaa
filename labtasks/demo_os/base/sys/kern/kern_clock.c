/* What happens HZ times a second. */
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <sys/sysctl.h>
#include <sys/sysproto.h>
#include <machine/md_var.h>

volatile unsigned long ticks;
SYSCTL_ULONG(ticks, "kern.ticks", &ticks);

static const u_long hz = HZ;
SYSCTL_ULONG(hz, "kern.hz", &hz);

void	callout_run(void);

void
hardclock(struct trapframe *tf)
{

	(void)tf;
	ticks++;
	sched_clock();
	timeout_tick();
	callout_run();
}

int64_t
sys_ticks(const struct sysargs *uap)
{

	(void)uap;
	return (ticks);
}
