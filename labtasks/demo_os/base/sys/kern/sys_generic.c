/* read and write: between a user's buffer and an open file, a piece at a time. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/proc.h>
#include <sys/sysproto.h>

#define	IOCHUNK	512

/* read(fd, buf, size) */
int64_t
sys_read(const struct sysargs *uap)
{
	struct file *fp = fget(curproc, (int)uap->a[0]);
	char *ubuf = (char *)uap->a[1], buf[IOCHUNK];
	ssize_t n, done = 0, want = uap->a[2];

	if (fp == NULL || fp->f_ops->fo_read == NULL)
		return (-EBADF);
	while (done < want) {
		n = fp->f_ops->fo_read(fp, buf, MIN(want - done, IOCHUNK));
		if (n < 0 && done == 0)
			return (n);
		if (n <= 0)
			break;
		if (copyout(buf, ubuf + done, n) != 0)
			return (-EFAULT);
		done += n;
		if (n < IOCHUNK)
			break;
	}
	return (done);
}

/* write(fd, buf, size) */
int64_t
sys_write(const struct sysargs *uap)
{
	struct file *fp = fget(curproc, (int)uap->a[0]);
	const char *ubuf = (const char *)uap->a[1];
	char buf[IOCHUNK];
	ssize_t n, done = 0, want = uap->a[2];

	if (fp == NULL || fp->f_ops->fo_write == NULL)
		return (-EBADF);
	while (done < want) {
		n = MIN(want - done, IOCHUNK);
		if (copyin(ubuf + done, buf, n) != 0)
			return (-EFAULT);
		n = fp->f_ops->fo_write(fp, buf, n);
		if (n <= 0)
			return (done > 0 ? done : n);
		done += n;
	}
	return (done);
}
