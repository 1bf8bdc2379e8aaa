#ifndef _SYS_PARAM_H_
#define _SYS_PARAM_H_

/*
 * __Nidavel_version counts every change that programs or modules can see.
 * NIDAVEL_ABI counts only those that stop old programs from working: system
 * call numbers and structures that cross the kernel boundary.
 */
#define	__Nidavel_version	100000
#define	NIDAVEL_ABI		1

#define	PAGE_SIZE	4096UL
#define	PAGE_MASK	(PAGE_SIZE - 1)
#define	MAXCOMLEN	19		/* longest command name kept */
#define	MAXPATHLEN	100		/* what a ustar header holds */
#define	MAXARGS		16
#define	NOFILE		16		/* descriptors of one process */
#define	HZ		100

#define	roundup(x, y)	((((x) + (y) - 1) / (y)) * (y))
#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))
#define	MIN(a, b)	((a) < (b) ? (a) : (b))
#define	MAX(a, b)	((a) > (b) ? (a) : (b))

#endif
