/* The loopback interface: what goes out comes in. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/sysctl.h>
#include <net/mbuf.h>

static u_long packets;
SYSCTL_ULONG(lo_packets, "net.lo0.packets", &packets);

int
loop_output(struct mbuf *m)
{

	packets++;
	if (pf_hook(m) != PF_PASS)
		return (EPERM);
	switch (m->m_proto) {
	case PROTO_ICMP:
		return (icmp_input(m));
	default:
		return (EINVAL);
	}
}
