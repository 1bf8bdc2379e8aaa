#ifndef _MACHINE_MD_VAR_H_
#define _MACHINE_MD_VAR_H_

#include <sys/types.h>

struct trapframe;

/* What the boot protocol handed over. */
struct bootinfo {
	uint64_t	bi_memend;	/* end of usable memory below 1 GB */
	uint64_t	bi_modstart;	/* the root archive, physical */
	uint64_t	bi_modend;
};

extern struct bootinfo bootinfo;

void	cpu_reset(void) __attribute__((noreturn));
void	cpu_poweroff(void) __attribute__((noreturn));
void	cpu_halt(void) __attribute__((noreturn));

void	idt_init(void);
void	pic_init(void);
void	pic_eoi(int);
void	pic_unmask(int);
void	clock_init(void);
void	hardclock(struct trapframe *);
void	tss_set_stack(uint64_t);

void	stack_print(uint64_t);
void	trapframe_print(const struct trapframe *);

/* vm_page.c */
uint64_t vm_page_alloc(void);		/* physical, zeroed; 0 when there is none */
void	vm_page_free(uint64_t);

#endif
