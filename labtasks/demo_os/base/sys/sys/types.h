#ifndef _SYS_TYPES_H_
#define _SYS_TYPES_H_

typedef unsigned char		uint8_t;
typedef unsigned short		uint16_t;
typedef unsigned int		uint32_t;
typedef unsigned long		uint64_t;
typedef int			int32_t;
typedef long			int64_t;
typedef unsigned long		size_t;
typedef long			ssize_t;
typedef long			off_t;
typedef unsigned long		uintptr_t;
typedef unsigned int		u_int;
typedef unsigned char		u_char;
typedef unsigned long		u_long;
typedef int			pid_t;

#define	NULL		((void *)0)
#define	offsetof(t, m)	__builtin_offsetof(t, m)

#endif
