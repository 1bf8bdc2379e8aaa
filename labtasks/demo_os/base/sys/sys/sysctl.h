#ifndef _SYS_SYSCTL_H_
#define _SYS_SYSCTL_H_

#include <sys/kernel.h>
#include <sys/types.h>

/* A named value.  Exactly one of the two is set. */
struct sysctl_oid {
	const char		*oid_name;
	const char		*oid_str;
	const volatile u_long	*oid_ulong;
};

#define	SYSCTL_STRING(ident, name, str)					\
	static const struct sysctl_oid ident##_oid = { name, str, 0 };	\
	SET_ENTRY(sysctl, ident##_oid)
#define	SYSCTL_ULONG(ident, name, ptr)					\
	static const struct sysctl_oid ident##_oid = { name, 0, ptr };	\
	SET_ENTRY(sysctl, ident##_oid)

#endif
