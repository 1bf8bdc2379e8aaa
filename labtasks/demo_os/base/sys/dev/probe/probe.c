/*
 * Function boundary probes: a breakpoint on the instruction that enters a
 * function's frame.  The trap handler counts, does what the instruction would
 * have done, and goes on behind it.
 */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/probe.h>
#include <sys/sysctl.h>
#include <sys/sysproto.h>
#include <machine/cpufunc.h>
#include <machine/frame.h>

#define	NPROBES		8
#define	BREAKPOINT	0xcc		/* int3 */

static struct probe {
	char		name[PROBE_NAMELEN];
	uint8_t		*addr;		/* NULL: not in use */
	uint8_t		saved;		/* the byte under the breakpoint */
	volatile uint64_t hits;
} probes[NPROBES];

static u_long nprobes;
SYSCTL_ULONG(nprobes, "debug.probes", &nprobes);

static struct probe *
probe_find(const char *name)
{
	int i;

	for (i = 0; i < NPROBES; i++)
		if (probes[i].addr != NULL && strcmp(probes[i].name, name) == 0)
			return (&probes[i]);
	return (NULL);
}

/* These run while a breakpoint is handled: a probe there would not end. */
static int
probe_forbidden(const char *name)
{

	return (strncmp(name, "probe_", 6) == 0 || strncmp(name, "insn_", 5) == 0 ||
	    strncmp(name, "mem", 3) == 0 || strcmp(name, "trap") == 0);
}

static int
probe_enable(const char *name)
{
	uint64_t addr, flags, size;
	struct probe *pr;
	uint8_t *ip;

	if (probe_find(name) != NULL)
		return (EEXIST);
	if ((addr = ksym_value(name, &size)) == 0)
		return (ENOENT);
	if (probe_forbidden(name))
		return (EPERM);
	if ((ip = probe_entry((uint8_t *)addr, size)) == NULL)
		return (EINVAL);
	for (pr = probes; pr < &probes[NPROBES] && pr->addr != NULL; pr++)
		continue;
	if (pr == &probes[NPROBES])
		return (EBUSY);
	strlcpy(pr->name, name, sizeof(pr->name));
	pr->hits = 0;
	pr->saved = *ip;
	flags = intr_disable();
	pr->addr = ip;
	*ip = BREAKPOINT;
	nprobes++;
	intr_restore(flags);
	return (0);
}

static void
probe_disable(struct probe *pr)
{
	uint64_t flags = intr_disable();

	*pr->addr = pr->saved;
	pr->addr = NULL;
	nprobes--;
	intr_restore(flags);
}

/* PROBE_ENABLE, PROBE_DISABLE (tells the last count) or PROBE_READ. */
int
probe_control(int cmd, const char *name, uint64_t *hits)
{
	struct probe *pr;

	*hits = 0;
	if (cmd == PROBE_ENABLE)
		return (probe_enable(name));
	if ((pr = probe_find(name)) == NULL)
		return (ENOENT);
	*hits = pr->hits;
	if (cmd == PROBE_DISABLE)
		probe_disable(pr);
	else if (cmd != PROBE_READ)
		return (EINVAL);
	return (0);
}

/* Do the replaced instruction's work on the interrupted registers. */
static int
probe_emulate(const struct probe *pr, struct trapframe *tf)
{
	uint8_t insn[8];
	int len;

	memcpy(insn, pr->addr, sizeof(insn));
	insn[0] = pr->saved;
	switch (insn_decode(insn, &len)) {
	case INSN_PUSH_FP:
		tf->tf_rsp -= sizeof(uint64_t);
		*(uint64_t *)tf->tf_rsp = tf->tf_rbp;
		break;
	case INSN_NOP:
	case INSN_LANDING:
		break;
	default:
		return (0);
	}
	tf->tf_rip = (uint64_t)pr->addr + len;
	return (1);
}

/*
 * A breakpoint in the kernel: true if it was one of ours.  One that cannot be
 * emulated was taken away while we were on the way here: run it again.
 */
int
probe_trap(struct trapframe *tf)
{
	uint64_t addr = tf->tf_rip - 1;
	struct probe *pr;

	for (pr = probes; pr < &probes[NPROBES]; pr++) {
		if (pr->addr != (uint8_t *)addr)
			continue;
		pr->hits++;
		if (!probe_emulate(pr, tf))
			tf->tf_rip = addr;
		return (1);
	}
	return (0);
}

/* probe(cmd, function, &count) */
int64_t
sys_probe(const struct sysargs *uap)
{
	char name[PROBE_NAMELEN];
	uint64_t hits;
	int error;

	if ((error = copyinstr((void *)uap->a[1], name, sizeof(name))) != 0)
		return (-error);
	if ((error = probe_control((int)uap->a[0], name, &hits)) != 0)
		return (-error);
	if (uap->a[2] != 0 && copyout(&hits, (void *)uap->a[2], sizeof(hits)) != 0)
		return (-EFAULT);
	return (0);
}
