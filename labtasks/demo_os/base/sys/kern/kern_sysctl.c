/* Named values, for programs to read. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/sysctl.h>
#include <sys/sysproto.h>

SET_DECLARE(sysctl, const struct sysctl_oid);

static int
oid_format(const struct sysctl_oid *oid, char *buf, size_t size)
{

	if (oid->oid_str != NULL)
		return (snprintf(buf, size, "%s=%s", oid->oid_name, oid->oid_str));
	return (snprintf(buf, size, "%s=%lu", oid->oid_name, *oid->oid_ulong));
}

/* sysctl(index, buf, size): "name=value" of the index-th entry. */
int64_t
sys_sysctl(const struct sysargs *uap)
{
	char buf[128];
	size_t len;

	if (uap->a[0] >= (uint64_t)(__stop_set_sysctl - __start_set_sysctl))
		return (-ENOENT);
	len = oid_format(__start_set_sysctl[uap->a[0]], buf, sizeof(buf)) + 1;
	len = MIN(len, sizeof(buf));
	if (len > uap->a[2])
		return (-ENOMEM);
	return (copyout(buf, (void *)uap->a[1], len) != 0 ? -EFAULT : (int64_t)len);
}
