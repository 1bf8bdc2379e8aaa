/* The packet filter's hook: every packet comes by here, on its way in or out. */
#include <sys/systm.h>
#include <sys/sysctl.h>
#include <net/mbuf.h>

static u_long passed, dropped;
SYSCTL_ULONG(pf_passed, "net.pf.passed", &passed);
SYSCTL_ULONG(pf_dropped, "net.pf.dropped", &dropped);

int
pf_hook(const struct mbuf *m)
{
	int action = pf_match(m);

	if (action == PF_PASS)
		passed++;
	else
		dropped++;
	return (action);
}
