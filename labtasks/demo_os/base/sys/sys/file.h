#ifndef _SYS_FILE_H_
#define _SYS_FILE_H_

#include <sys/types.h>

struct file;
struct proc;

/* I/O on an open file; the buffers are kernel memory. */
struct fileops {
	ssize_t	(*fo_read)(struct file *, void *, size_t);
	ssize_t	(*fo_write)(struct file *, const void *, size_t);
	void	(*fo_close)(struct file *);
};

struct file {
	int			f_count;
	const struct fileops	*f_ops;
	void			*f_data;
	off_t			f_off;
};

struct file *falloc(const struct fileops *, void *);
int	fdalloc(struct proc *, struct file *);
struct file *fget(struct proc *, int);
void	fhold(struct file *);
void	fdrop(struct file *);
void	fdcopy(struct proc *, struct proc *);
void	fdfree(struct proc *);

#endif
