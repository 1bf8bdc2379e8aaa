/* The ends of the system: asked for, and not. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/kernel.h>
#include <sys/reboot.h>
#include <sys/sysproto.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>

const char *panicstr;

static void
print_uptime(void)
{

	printf("Uptime: %lu.%02lus\n", ticks / HZ, ticks % HZ * 100 / HZ);
}

void
kern_reboot(int howto)
{

	print_uptime();
	switch (howto) {
	case RB_POWEROFF:
		printf("Powering off.\n");
		cpu_poweroff();
	case RB_HALT:
		printf("The operating system has halted.\n");
		cpu_halt();
	default:
		printf("Rebooting...\n");
		cpu_reset();
	}
}

void
panic(const char *fmt, ...)
{
	va_list ap;

	disable_intr();
	if (panicstr != NULL) {
		printf("panic: double panic, first was: %s\n", panicstr);
		cpu_reset();
	}
	panicstr = fmt;
	printf("panic: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\ncpuid = 0\n");
	stack_print((uint64_t)__builtin_frame_address(0));
	kern_reboot(kern_getenv_int("panic.halt", 0) ? RB_HALT : RB_AUTOBOOT);
}

int64_t
sys_reboot(const struct sysargs *uap)
{

	disable_intr();
	kern_reboot(uap->a[0]);
}
