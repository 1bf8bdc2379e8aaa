/* The packet filter's rules: the first that matches decides. */
#include <sys/systm.h>
#include <net/mbuf.h>

static const struct {
	uint8_t		proto;
	uint16_t	maxlen;
	int		action;
} rules[] = {
	{ PROTO_ICMP, MBUF_SIZE, PF_PASS },
};

int
pf_match(const struct mbuf *m)
{
	u_int i;

	for (i = 0; i < nitems(rules); i++)
		if (rules[i].proto == m->m_proto && m->m_len <= rules[i].maxlen)
			return (rules[i].action);
	return (PF_DROP);
}
