/* open, stat and directories. */
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/proc.h>
#include <sys/stat.h>
#include <sys/sysproto.h>

static ssize_t
vn_read(struct file *fp, void *buf, size_t size)
{
	const struct vnode *vp = fp->f_data;

	if (vp->v_type == S_IFDIR)
		return (-EISDIR);
	if ((size_t)fp->f_off >= vp->v_size)
		return (0);
	size = MIN(size, vp->v_size - fp->f_off);
	memcpy(buf, vp->v_data + fp->f_off, size);
	fp->f_off += size;
	return (size);
}

static ssize_t
vn_write(struct file *fp, const void *buf, size_t size)
{

	(void)fp;
	(void)buf;
	(void)size;
	return (-EROFS);
}

static const struct fileops vnops = { .fo_read = vn_read, .fo_write = vn_write };

static ssize_t
dev_read(struct file *fp, void *buf, size_t size)
{
	const struct cdev *dev = fp->f_data;
	ssize_t n;

	if (dev->d_read == NULL)
		return (-EIO);
	if ((n = dev->d_read(dev, fp->f_off, buf, size)) > 0)
		fp->f_off += n;
	return (n);
}

static ssize_t
dev_write(struct file *fp, const void *buf, size_t size)
{
	const struct cdev *dev = fp->f_data;

	return (dev->d_write != NULL ? dev->d_write(dev, buf, size) : -EIO);
}

static const struct fileops devops = { .fo_read = dev_read, .fo_write = dev_write };

/* open(path) */
int64_t
sys_open(const struct sysargs *uap)
{
	char path[MAXPATHLEN];
	const struct fileops *ops = &vnops;
	const void *data;
	struct file *fp;
	int error, fd;

	if ((error = copyinstr((void *)uap->a[0], path, sizeof(path))) != 0)
		return (-error);
	if (strncmp(path, "/dev/", 5) == 0) {
		ops = &devops;
		data = cdev_lookup(path + 5);
	} else
		data = namei(path);
	if (data == NULL)
		return (-ENOENT);
	if ((fp = falloc(ops, (void *)(uintptr_t)data)) == NULL)
		return (-ENOMEM);
	if ((fd = fdalloc(curproc, fp)) < 0)
		fdrop(fp);
	return (fd);
}

/* stat(path, buf) */
int64_t
sys_stat(const struct sysargs *uap)
{
	char path[MAXPATHLEN];
	const struct vnode *vp;
	struct stat st;
	int error;

	if ((error = copyinstr((void *)uap->a[0], path, sizeof(path))) != 0)
		return (-error);
	if ((vp = namei(path)) == NULL)
		return (-ENOENT);
	st.st_type = vp->v_type;
	st.st_mode = vp->v_mode;
	st.st_size = vp->v_size;
	return (copyout(&st, (void *)uap->a[1], sizeof(st)) != 0 ? -EFAULT : 0);
}

/* getdirent(path, index, buf): 0 at the end of the directory. */
int64_t
sys_getdirent(const struct sysargs *uap)
{
	char path[MAXPATHLEN];
	const struct vnode *vp;
	const char *name, *slash;
	struct dirent de;
	int error;

	if ((error = copyinstr((void *)uap->a[0], path, sizeof(path))) != 0)
		return (-error);
	if ((vp = namei(path)) == NULL)
		return (-ENOENT);
	if (vp->v_type != S_IFDIR)
		return (-ENOTDIR);
	if ((vp = vfs_readdir(path, (int)uap->a[1])) == NULL)
		return (0);
	for (name = vp->v_name; (slash = strchr(name, '/')) != NULL; )
		name = slash + 1;
	de.d_type = vp->v_type;
	memset(de.d_name, 0, sizeof(de.d_name));
	strlcpy(de.d_name, name, sizeof(de.d_name));
	return (copyout(&de, (void *)uap->a[2], sizeof(de)) != 0 ? -EFAULT : 1);
}
