#ifndef _SYS_CALLOUT_H_
#define _SYS_CALLOUT_H_

#include <sys/types.h>

/* Calls c_func(c_arg) from the clock interrupt, c_ticks from now. */
struct callout {
	struct callout	*c_next;
	u_long		c_when;
	void		(*c_func)(void *);
	void		*c_arg;
};

void	callout_reset(struct callout *, u_int, void (*)(void *), void *);
void	callout_stop(struct callout *);

#endif
