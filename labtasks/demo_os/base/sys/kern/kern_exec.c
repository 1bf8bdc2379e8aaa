/* spawn: a new process with a new program, in one step. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/proc.h>
#include <sys/sysproto.h>

int
kern_spawn(const char *path, char *const *argv, pid_t *pidp)
{
	const char *slash, *name = path;
	struct proc *p;
	int error;

	while ((slash = strchr(name, '/')) != NULL)
		name = slash + 1;
	if ((p = proc_alloc(name)) == NULL)
		return (EAGAIN);
	if ((error = exec_load(p, path, argv)) != 0) {
		proc_free(p);
		return (error);
	}
	fdcopy(curproc, p);
	*pidp = p->p_pid;
	p->p_stat = SRUN;
	return (0);
}

/* spawn(path, argv) */
int64_t
sys_spawn(const struct sysargs *uap)
{
	char path[MAXPATHLEN], *argv[MAXARGS + 1], *buf, *uarg;
	const char *const *uargv = (const char *const *)uap->a[1];
	size_t used = 0;
	pid_t pid = 0;
	int argc, error;

	if ((error = copyinstr((void *)uap->a[0], path, sizeof(path))) != 0)
		return (-error);
	if ((buf = malloc(PAGE_SIZE, M_NOWAIT)) == NULL)
		return (-ENOMEM);
	for (argc = 0; argc < MAXARGS; argc++) {
		if ((error = copyin(&uargv[argc], &uarg, sizeof(uarg))) != 0)
			goto out;
		if (uarg == NULL)
			break;
		if ((error = copyinstr(uarg, buf + used, PAGE_SIZE - used)) != 0)
			goto out;
		argv[argc] = buf + used;
		used += strlen(buf + used) + 1;
	}
	argv[argc] = NULL;
	error = kern_spawn(path, argv, &pid);
out:
	free(buf);
	return (error != 0 ? -error : pid);
}
