/* Synchronous exceptions. */
#include <sys/systm.h>
#include <machine/cpufunc.h>
#include <machine/frame.h>

#define	ESR_EC(esr)	((esr) >> 26 & 0x3f)
#define	EC_SVC		0x15
#define	EC_DATA_ABORT	0x25
#define	EC_BRK		0x3c

void	do_el1h_sync(struct trapframe *);

void
do_el1h_sync(struct trapframe *tf)
{

	switch (ESR_EC(tf->tf_esr)) {
	case EC_DATA_ABORT:
		printf("Fatal data abort:\n");
		printf("  far: %016lx\n  elr: %016lx\n  esr: %08lx\n", read_far(),
		    tf->tf_elr, tf->tf_esr);
		panic("data abort");
	case EC_BRK:
		panic("undefined breakpoint at %lx", tf->tf_elr);
	default:
		panic("unknown exception %lx", ESR_EC(tf->tf_esr));
	}
}
