/* Echo request and reply. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/sysctl.h>
#include <sys/sysproto.h>
#include <net/mbuf.h>

#define	ICMP_ECHOREPLY	0
#define	ICMP_ECHO	8
#define	ICMP_HDRLEN	8

static u_long echoes;
SYSCTL_ULONG(icmp_echoes, "net.icmp.echoes", &echoes);

static void
icmp_seal(struct mbuf *m)
{
	uint16_t sum;

	m->m_data[2] = m->m_data[3] = 0;
	sum = in_cksum(m->m_data, m->m_len);
	m->m_data[2] = sum >> 8;
	m->m_data[3] = sum;
}

/* Turn a request into its reply, in place. */
int
icmp_input(struct mbuf *m)
{

	if (m->m_len < ICMP_HDRLEN || in_cksum(m->m_data, m->m_len) != 0)
		return (EINVAL);
	if (m->m_data[0] != ICMP_ECHO)
		return (EINVAL);
	echoes++;
	m->m_data[0] = ICMP_ECHOREPLY;
	icmp_seal(m);
	return (0);
}

/* One echo request with len bytes, answered by ourselves. */
int
icmp_ping(u_int len)
{
	struct mbuf m = { .m_proto = PROTO_ICMP, .m_ttl = 64 };
	u_int i;
	int error;

	if (len > MBUF_SIZE - ICMP_HDRLEN)
		return (E2BIG);
	m.m_len = ICMP_HDRLEN + len;
	m.m_data[0] = ICMP_ECHO;
	for (i = 0; i < len; i++)
		m.m_data[ICMP_HDRLEN + i] = i;
	icmp_seal(&m);
	if ((error = loop_output(&m)) != 0)
		return (error);
	return (m.m_data[0] == ICMP_ECHOREPLY ? 0 : EIO);
}

/* ping(bytes) */
int64_t
sys_ping(const struct sysargs *uap)
{

	return (-icmp_ping(MIN(uap->a[0], 0xffff)));
}
