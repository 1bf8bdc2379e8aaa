/* /dev/null and /dev/zero. */
#include <sys/systm.h>
#include <sys/conf.h>

static ssize_t
null_read(const struct cdev *dev, off_t off, void *buf, size_t size)
{

	(void)dev;
	(void)off;
	(void)buf;
	(void)size;
	return (0);
}

static ssize_t
zero_read(const struct cdev *dev, off_t off, void *buf, size_t size)
{

	(void)dev;
	(void)off;
	memset(buf, 0, size);
	return (size);
}

static ssize_t
null_write(const struct cdev *dev, const void *buf, size_t size)
{

	(void)dev;
	(void)buf;
	return (size);
}

static const struct cdev null_dev = { "null", null_read, null_write, 0 };
static const struct cdev zero_dev = { "zero", zero_read, null_write, 0 };
DEV_MODULE(null_dev);
DEV_MODULE(zero_dev);
