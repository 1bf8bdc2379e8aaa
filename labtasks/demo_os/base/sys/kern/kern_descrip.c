/* Open files and the descriptors that name them. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/proc.h>
#include <sys/sysproto.h>
#include <machine/cpufunc.h>

#define	NSTDFD	3

struct file *
falloc(const struct fileops *ops, void *data)
{
	struct file *fp = malloc(sizeof(*fp), M_ZERO);

	if (fp != NULL) {
		fp->f_count = 1;
		fp->f_ops = ops;
		fp->f_data = data;
	}
	return (fp);
}

void
fhold(struct file *fp)
{
	uint64_t flags = intr_disable();

	fp->f_count++;
	intr_restore(flags);
}

void
fdrop(struct file *fp)
{
	uint64_t flags = intr_disable();
	int last = --fp->f_count == 0;

	intr_restore(flags);
	if (last) {
		if (fp->f_ops->fo_close != NULL)
			fp->f_ops->fo_close(fp);
		free(fp);
	}
}

/* Give fp the lowest free descriptor, or return -EMFILE. */
int
fdalloc(struct proc *p, struct file *fp)
{
	int fd;

	for (fd = 0; fd < NOFILE; fd++) {
		if (p->p_fd[fd] == NULL) {
			p->p_fd[fd] = fp;
			return (fd);
		}
	}
	return (-EMFILE);
}

struct file *
fget(struct proc *p, int fd)
{

	return (fd >= 0 && fd < NOFILE ? p->p_fd[fd] : NULL);
}

/* A child gets standard input, output and error, nothing else. */
void
fdcopy(struct proc *from, struct proc *to)
{
	int fd;

	for (fd = 0; fd < NSTDFD; fd++) {
		if ((to->p_fd[fd] = from->p_fd[fd]) != NULL)
			fhold(to->p_fd[fd]);
	}
}

void
fdfree(struct proc *p)
{
	int fd;

	for (fd = 0; fd < NOFILE; fd++) {
		if (p->p_fd[fd] != NULL)
			fdrop(p->p_fd[fd]);
		p->p_fd[fd] = NULL;
	}
}

int64_t
sys_close(const struct sysargs *uap)
{
	struct file *fp = fget(curproc, (int)uap->a[0]);

	if (fp == NULL)
		return (-EBADF);
	curproc->p_fd[uap->a[0]] = NULL;
	fdrop(fp);
	return (0);
}

/* dup2(from, to) */
int64_t
sys_dup2(const struct sysargs *uap)
{
	struct file *fp = fget(curproc, (int)uap->a[0]);
	int to = (int)uap->a[1];

	if (fp == NULL || to < 0 || to >= NOFILE)
		return (-EBADF);
	if (fp == curproc->p_fd[to])
		return (to);
	fhold(fp);
	if (curproc->p_fd[to] != NULL)
		fdrop(curproc->p_fd[to]);
	curproc->p_fd[to] = fp;
	return (to);
}
