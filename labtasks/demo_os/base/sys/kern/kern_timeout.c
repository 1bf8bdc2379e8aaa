/* Callouts: functions that run from the clock interrupt, once. */
#include <sys/systm.h>
#include <sys/callout.h>
#include <sys/kernel.h>
#include <machine/cpufunc.h>

static struct callout *callouts;	/* soonest first */

void	callout_run(void);

void
callout_stop(struct callout *c)
{
	uint64_t flags = intr_disable();
	struct callout **cp;

	for (cp = &callouts; *cp != NULL; cp = &(*cp)->c_next) {
		if (*cp == c) {
			*cp = c->c_next;
			break;
		}
	}
	intr_restore(flags);
}

void
callout_reset(struct callout *c, u_int timo, void (*func)(void *), void *arg)
{
	uint64_t flags = intr_disable();
	struct callout **cp;

	callout_stop(c);
	c->c_when = ticks + timo;
	c->c_func = func;
	c->c_arg = arg;
	for (cp = &callouts; *cp != NULL && (*cp)->c_when <= c->c_when; )
		cp = &(*cp)->c_next;
	c->c_next = *cp;
	*cp = c;
	intr_restore(flags);
}

/* Interrupts are off. */
void
callout_run(void)
{
	struct callout *c;

	while ((c = callouts) != NULL && c->c_when <= ticks) {
		callouts = c->c_next;
		c->c_func(c->c_arg);
	}
}
