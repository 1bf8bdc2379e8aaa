#ifndef _NET_MBUF_H_
#define _NET_MBUF_H_

#include <sys/types.h>

#define	MBUF_SIZE	128

/* A packet. */
struct mbuf {
	uint8_t		m_proto;
	uint8_t		m_ttl;
	uint16_t	m_len;
	uint8_t		m_data[MBUF_SIZE];
};

#define	PROTO_ICMP	1

int	pf_hook(const struct mbuf *);
int	pf_match(const struct mbuf *);
int	loop_output(struct mbuf *);
int	icmp_input(struct mbuf *);
int	icmp_ping(u_int);
uint16_t in_cksum(const void *, size_t);

#define	PF_PASS		0
#define	PF_DROP		1

#endif
