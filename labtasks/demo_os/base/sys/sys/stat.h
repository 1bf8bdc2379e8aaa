#ifndef _SYS_STAT_H_
#define _SYS_STAT_H_

#include <sys/param.h>
#include <sys/types.h>

#define	S_IFREG		1
#define	S_IFDIR		2
#define	S_IFCHR		3

struct stat {
	uint32_t	st_type;	/* S_IF... */
	uint32_t	st_mode;	/* permission bits */
	uint64_t	st_size;
};

struct dirent {
	uint32_t	d_type;		/* S_IF... */
	char		d_name[MAXPATHLEN];
};

#endif
