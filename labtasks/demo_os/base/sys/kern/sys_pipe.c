/* Pipes: a ring of bytes with a reader's and a writer's end. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/proc.h>
#include <sys/sysproto.h>
#include <machine/cpufunc.h>

#define	PIPE_SIZE	1024

struct pipe {
	char	buf[PIPE_SIZE];
	u_long	in, out;		/* bytes ever written and read */
	int	readers, writers;
};

static ssize_t
pipe_read(struct file *fp, void *buf, size_t size)
{
	struct pipe *pi = fp->f_data;
	uint64_t flags = intr_disable();
	char *to = buf;
	size_t n = 0;

	while (pi->in == pi->out && pi->writers > 0 && !curproc->p_killed)
		tsleep(pi, "piperd", 0);
	while (n < size && pi->out < pi->in)
		to[n++] = pi->buf[pi->out++ % PIPE_SIZE];
	wakeup(pi);
	intr_restore(flags);
	return (n);
}

static ssize_t
pipe_write(struct file *fp, const void *buf, size_t size)
{
	struct pipe *pi = fp->f_data;
	uint64_t flags = intr_disable();
	const char *from = buf;
	size_t n = 0;

	while (n < size && pi->readers > 0 && !curproc->p_killed) {
		if (pi->in - pi->out == PIPE_SIZE) {
			wakeup(pi);
			tsleep(pi, "pipewr", 0);
			continue;
		}
		pi->buf[pi->in++ % PIPE_SIZE] = from[n++];
	}
	wakeup(pi);
	intr_restore(flags);
	return (n > 0 ? (ssize_t)n : -EPIPE);
}

static void	pipe_close(struct file *);

static const struct fileops pipe_rops = { .fo_read = pipe_read, .fo_close = pipe_close };
static const struct fileops pipe_wops = { .fo_write = pipe_write, .fo_close = pipe_close };

static void
pipe_close(struct file *fp)
{
	struct pipe *pi = fp->f_data;
	uint64_t flags = intr_disable();

	if (fp->f_ops == &pipe_rops)
		pi->readers--;
	else
		pi->writers--;
	wakeup(pi);
	if (pi->readers == 0 && pi->writers == 0)
		free(pi);
	intr_restore(flags);
}

/* pipe(int fd[2]) */
int64_t
sys_pipe(const struct sysargs *uap)
{
	struct pipe *pi = malloc(sizeof(*pi), M_ZERO);
	struct file *rf, *wf;
	int fd[2];

	if (pi == NULL)
		return (-ENOMEM);
	pi->readers = pi->writers = 1;
	rf = falloc(&pipe_rops, pi);
	wf = falloc(&pipe_wops, pi);
	if (rf == NULL || wf == NULL)
		return (-ENOMEM);
	fd[0] = fdalloc(curproc, rf);
	fd[1] = fdalloc(curproc, wf);
	if (fd[0] < 0 || fd[1] < 0) {
		if (fd[0] >= 0)
			curproc->p_fd[fd[0]] = NULL;
		fdrop(rf);
		fdrop(wf);
		return (-EMFILE);
	}
	return (copyout(fd, (void *)uap->a[0], sizeof(fd)) != 0 ? -EFAULT : 0);
}
