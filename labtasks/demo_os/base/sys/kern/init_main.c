/* The start of the system, in the order its parts asked for. */
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/proc.h>
#include <machine/cpufunc.h>

#include "vers.h"

SET_DECLARE(sysinit, const struct sysinit);

void	mi_startup(void);

static void
create_init(void)
{
	char *const argv[] = { "init", NULL };
	pid_t pid;
	int error;

	error = kern_spawn("/sbin/init", argv, &pid);
	if (error != 0) {
		printf("init: not found in path /sbin/init (error %d)\n", error);
		panic("no init");
	}
	KASSERT(pid == 1, "init is not process 1");
}
SYSINIT(create_init, SI_SUB_CREATE_INIT, create_init);

/* Called by the machine's start; stays as the idle process. */
void
mi_startup(void)
{
	const struct sysinit *const *sip;
	int order, next;

	printf("%s\n", NIDAVEL_COPYRIGHT);
	printf("%s %s %s %s\n", NIDAVEL_NAME, NIDAVEL_RELEASE, KERNEL_IDENT,
	    KERNEL_MACHINE);

	for (order = 0; ; order = next) {
		next = 0x7fffffff;
		SET_FOREACH(sip, sysinit) {
			if ((int)(*sip)->order == order)
				(*sip)->func();
			else if ((int)(*sip)->order > order)
				next = MIN(next, (int)(*sip)->order);
		}
		if (next == 0x7fffffff)
			break;
	}
	for (;;) {
		disable_intr();
		sched_switch();
		cpu_idle();
	}
}
