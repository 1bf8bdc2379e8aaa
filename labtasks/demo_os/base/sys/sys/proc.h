#ifndef _SYS_PROC_H_
#define _SYS_PROC_H_

#include <sys/param.h>
#include <sys/types.h>
#include <sys/user.h>

#define	NPROC		32
#define	KSTACK_PAGES	4

struct file;
struct pmap;

struct proc {
	pid_t		p_pid;
	struct proc	*p_parent;
	u_int		p_stat;		/* S... */
	int		p_xstat;	/* exit status, once SZOMB */
	int		p_killed;	/* dies at the next way out */
	const void	*p_wchan;	/* what it sleeps on */
	const char	*p_wmesg;
	u_long		p_wakeat;	/* tick that ends a timed sleep, or 0 */
	u_long		p_ticks;
	uint64_t	p_rsp;		/* kernel stack pointer while switched out */
	char		*p_kstack;
	struct pmap	*p_pmap;
	uint64_t	p_brk;		/* end of the heap */
	struct file	*p_fd[NOFILE];
	char		p_comm[MAXCOMLEN + 1];
};

extern struct proc proctab[NPROC];
extern struct proc *curproc;
#define	proc0	(proctab[0])

struct proc *proc_alloc(const char *);
void	proc_free(struct proc *);
void	fill_kinfo_proc(const struct proc *, struct kinfo_proc *);

void	sched_switch(void);
void	sched_clock(void);

int	kern_spawn(const char *, char *const *, pid_t *);
int	exec_load(struct proc *, const char *, char *const *);
void	exit1(int) __attribute__((noreturn));

/* machine dependent */
void	cpu_fork(struct proc *, uint64_t, uint64_t);
void	cpu_switchin(struct proc *);

#endif
