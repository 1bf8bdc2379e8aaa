/* A kernel without options INET. */
#include <sys/errno.h>
#include <sys/sysproto.h>

int64_t
sys_ping(const struct sysargs *uap)
{

	(void)uap;
	return (-ENOSYS);
}
