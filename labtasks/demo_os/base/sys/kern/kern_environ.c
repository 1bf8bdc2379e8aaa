/* The kernel's environment: name=value words of the boot command line. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/sysproto.h>

#define	KENV_MAX	16

static char kenv_buf[512];
static struct {
	const char	*name;
	const char	*value;
} kenv[KENV_MAX];
static u_int nkenv;

void
kern_env_init(const char *line)
{
	char *s = kenv_buf, *eq;

	strlcpy(kenv_buf, line, sizeof(kenv_buf));
	while (nkenv < KENV_MAX) {
		while (*s == ' ')
			s++;
		if (*s == '\0')
			break;
		kenv[nkenv].name = s;
		kenv[nkenv].value = "1";	/* a bare word is switched on */
		while (*s != ' ' && *s != '\0')
			s++;
		if (*s == ' ')
			*s++ = '\0';
		if ((eq = strchr(kenv[nkenv].name, '=')) != NULL) {
			*eq = '\0';
			kenv[nkenv].value = eq + 1;
		}
		nkenv++;
	}
}

const char *
kern_getenv(const char *name)
{
	u_int i;

	for (i = 0; i < nkenv; i++)
		if (strcmp(kenv[i].name, name) == 0)
			return (kenv[i].value);
	return (NULL);
}

int
kern_getenv_int(const char *name, int dflt)
{
	const char *value = kern_getenv(name);

	return (value == NULL ? dflt : (int)strtol(value, NULL, 10));
}

/* kenv(index, buf, size): "name=value" of the index-th variable. */
int64_t
sys_kenv(const struct sysargs *uap)
{
	char buf[256];
	int len;

	if (uap->a[0] >= nkenv)
		return (-ENOENT);
	len = snprintf(buf, sizeof(buf), "%s=%s", kenv[uap->a[0]].name,
	    kenv[uap->a[0]].value) + 1;
	len = MIN((size_t)len, sizeof(buf));
	if ((size_t)len > uap->a[2])
		return (-ENOMEM);
	return (copyout(buf, (void *)uap->a[1], len) != 0 ? -EFAULT : len);
}
