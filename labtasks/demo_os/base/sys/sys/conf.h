#ifndef _SYS_CONF_H_
#define _SYS_CONF_H_

#include <sys/kernel.h>
#include <sys/types.h>

/* A character device: /dev/<d_name>. */
struct cdev {
	const char	*d_name;
	ssize_t		(*d_read)(const struct cdev *, off_t, void *, size_t);
	ssize_t		(*d_write)(const struct cdev *, const void *, size_t);
	int		d_unit;
};

#define	DEV_MODULE(ident)	SET_ENTRY(cdev, ident)

const struct cdev *cdev_lookup(const char *);

/* The console: set up before anything else, so not by SYSINIT. */
void	cninit(void);
void	cnputc(int);
int	cngetc(void);		/* -1 when nobody typed */

#endif
