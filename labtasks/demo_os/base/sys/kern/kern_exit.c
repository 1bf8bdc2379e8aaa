/* The end of a process, and those who wait for it. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/proc.h>
#include <sys/sysproto.h>
#include <sys/wait.h>
#include <machine/cpufunc.h>
#include <machine/pmap.h>

void
exit1(int status)
{
	struct proc *self = curproc, *p;

	if (self->p_pid == 1)
		panic("Going nowhere without my init! (status %#x)", status);
	fdfree(self);

	disable_intr();
	for (p = proctab; p < &proctab[NPROC]; p++)
		if (p->p_parent == self)
			p->p_parent = &proctab[1];	/* init adopts orphans */
	wakeup(&proctab[1]);
	self->p_xstat = status;
	self->p_stat = SZOMB;
	wakeup(self->p_parent);
	sched_switch();
	panic("a zombie ran");
}

/* wait(pid or -1, &status, options) */
int64_t
sys_wait(const struct sysargs *uap)
{
	pid_t want = (pid_t)uap->a[0], pid;
	uint64_t flags = intr_disable();
	struct proc *p;
	int children, status;

	for (;;) {
		children = 0;
		for (p = &proctab[1]; p < &proctab[NPROC]; p++) {
			if (p->p_parent != curproc || p->p_stat == SFREE ||
			    (want != -1 && p->p_pid != want))
				continue;
			children++;
			if (p->p_stat == SZOMB)
				goto reap;
		}
		if (children == 0 || (uap->a[2] & WNOHANG) || curproc->p_killed) {
			intr_restore(flags);
			return (children == 0 ? -ECHILD : 0);
		}
		tsleep(curproc, "wait", 0);
	}
reap:
	pid = p->p_pid;
	status = p->p_xstat;
	proc_free(p);
	intr_restore(flags);
	if (uap->a[1] != 0 && copyout(&status, (void *)uap->a[1], sizeof(status)) != 0)
		return (-EFAULT);
	return (pid);
}

int64_t
sys_exit(const struct sysargs *uap)
{

	exit1(uap->a[0] & 0xff);
}

/* kill(pid): there is one signal, and it is deadly. */
int64_t
sys_kill(const struct sysargs *uap)
{
	pid_t pid = (pid_t)uap->a[0];
	uint64_t flags;
	struct proc *p;

	if (pid <= 1)
		return (-EPERM);
	flags = intr_disable();
	for (p = &proctab[1]; p < &proctab[NPROC]; p++) {
		if (p->p_pid != pid || p->p_stat == SFREE || p->p_stat == SZOMB)
			continue;
		p->p_killed = 1;
		if (p->p_stat == SSLEEP)
			wakeup(p->p_wchan);
		intr_restore(flags);
		return (0);
	}
	intr_restore(flags);
	return (-ESRCH);
}
