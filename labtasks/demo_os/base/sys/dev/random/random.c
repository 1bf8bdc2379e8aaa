/* /dev/random: xorshift over the cycle counter.  Not for secrets. */
#include <sys/systm.h>
#include <sys/conf.h>
#include <machine/cpufunc.h>

static uint64_t state = 88172645463325252UL;

static uint64_t
random_next(void)
{

	state ^= rdtsc();
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state);
}

static ssize_t
random_read(const struct cdev *dev, off_t off, void *buf, size_t size)
{
	uint8_t *out = buf;
	size_t i;

	(void)dev;
	(void)off;
	for (i = 0; i < size; i++)
		out[i] = random_next() >> 24;
	return (size);
}

static const struct cdev random_dev = { "random", random_read, NULL, 0 };
DEV_MODULE(random_dev);
