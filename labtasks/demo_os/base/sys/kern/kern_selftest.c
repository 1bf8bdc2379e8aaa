/* Ways to fail on request: for those who test how a failure looks. */
#include <sys/systm.h>
#include <sys/kernel.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>

static void
selftest_run(void)
{

	if (kern_getenv_int("test.panic", 0))
		panic("test.panic was set");
	if (kern_getenv_int("test.trap", 0))
		*(volatile int *)0x10 = 1;
	if (kern_getenv_int("test.hang", 0)) {
		disable_intr();
		for (;;)
			continue;
	}
	if (kern_getenv_int("test.reboot", 0))
		cpu_reset();		/* without a word */
}
SYSINIT(selftest, SI_SUB_SELFTEST, selftest_run);
