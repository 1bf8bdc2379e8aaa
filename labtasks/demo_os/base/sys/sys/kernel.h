#ifndef _SYS_KERNEL_H_
#define _SYS_KERNEL_H_

/*
 * Linker sets: each file adds its own entries, nobody keeps a list.  The
 * linker defines __start_ and __stop_ for a section named like an identifier.
 */
#define	SET_ENTRY(set, sym)						\
	static const void *const __set_##set##_##sym			\
	    __attribute__((section("set_" #set), used)) = &sym
#define	SET_DECLARE(set, type)						\
	extern type *const __start_set_##set[];				\
	extern type *const __stop_set_##set[]
#define	SET_FOREACH(var, set)						\
	for ((var) = __start_set_##set; (var) < __stop_set_##set; (var)++)

/* Order of the start of the system; mi_startup() runs them. */
enum sysinit_order {
	SI_SUB_VM = 10,
	SI_SUB_KMEM = 20,
	SI_SUB_PROC = 30,
	SI_SUB_INTR = 40,
	SI_SUB_CLOCK = 50,
	SI_SUB_DRIVERS = 60,
	SI_SUB_ROOT = 80,
	SI_SUB_SELFTEST = 90,
	SI_SUB_CREATE_INIT = 100,
};

struct sysinit {
	enum sysinit_order	order;
	void			(*func)(void);
};

#define	SYSINIT(ident, order, func)					\
	static const struct sysinit ident##_sysinit = { order, func };	\
	SET_ENTRY(sysinit, ident##_sysinit)

extern volatile unsigned long ticks;	/* clock interrupts since boot */

#endif
