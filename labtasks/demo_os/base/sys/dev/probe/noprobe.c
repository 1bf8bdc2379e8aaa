/* A kernel without options PROBE. */
#include <sys/errno.h>
#include <sys/sysproto.h>

int64_t
sys_probe(const struct sysargs *uap)
{

	(void)uap;
	return (-ENOSYS);
}
