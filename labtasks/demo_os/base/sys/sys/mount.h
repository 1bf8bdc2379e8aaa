#ifndef _SYS_MOUNT_H_
#define _SYS_MOUNT_H_

#include <sys/types.h>

/* A node of the root file system, which lives in memory. */
struct vnode {
	char		v_name[MAXPATHLEN];	/* no leading slash; "" is the root */
	uint32_t	v_type;			/* S_IF... */
	uint32_t	v_mode;
	const char	*v_data;
	size_t		v_size;
};

extern struct vnode *rootvnodes;
extern int nrootvnodes;

int	ustarfs_mount(const char *, size_t);
const struct vnode *namei(const char *);
const struct vnode *vfs_readdir(const char *, int);

#endif
