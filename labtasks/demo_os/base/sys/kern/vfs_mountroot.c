/* The root file system comes with the boot loader, as an archive. */
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/mount.h>
#include <machine/cpufunc.h>
#include <machine/md_var.h>
#include <machine/pmap.h>

static void
mountroot(void)
{
	int error = 0;

	if (bootinfo.bi_modend > bootinfo.bi_modstart) {
		error = ustarfs_mount(PHYS_TO_DMAP(bootinfo.bi_modstart),
		    bootinfo.bi_modend - bootinfo.bi_modstart);
		if (error == 0) {
			printf("Mounted root from ustarfs: %d files\n", nrootvnodes);
			return;
		}
		printf("mountroot: not a ustar archive (error %d)\n", error);
	}
	printf("mountroot: no root file system\n");
	printf("mountroot> ");
	for (;;)
		cpu_idle();
}
SYSINIT(mountroot, SI_SUB_ROOT, mountroot);
