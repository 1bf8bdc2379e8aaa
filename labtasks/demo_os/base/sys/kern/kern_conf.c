/* Character devices by name. */
#include <sys/systm.h>
#include <sys/conf.h>

SET_DECLARE(cdev, const struct cdev);

const struct cdev *
cdev_lookup(const char *name)
{
	const struct cdev *const *devp;

	SET_FOREACH(devp, cdev)
		if (strcmp((*devp)->d_name, name) == 0)
			return (*devp);
	return (NULL);
}
