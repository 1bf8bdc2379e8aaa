#ifndef _SYS_PROBE_H_
#define _SYS_PROBE_H_

#include <sys/types.h>

/* probe(cmd, function, &count): count the entries into a kernel function. */
#define	PROBE_ENABLE	1
#define	PROBE_DISABLE	2
#define	PROBE_READ	3

#define	PROBE_NAMELEN	32

#ifdef _KERNEL
struct trapframe;

int	probe_control(int, const char *, uint64_t *);
int	probe_trap(struct trapframe *);

/* What the instruction parser tells about one instruction. */
enum insn {
	INSN_UNKNOWN,
	INSN_LANDING,		/* endbr64 */
	INSN_NOP,
	INSN_PUSH_FP,		/* push %rbp: the entry of a function's frame */
	INSN_MOV_FP,		/* mov %rsp,%rbp */
};

enum insn	insn_decode(const uint8_t *, int *);
uint8_t		*probe_entry(uint8_t *, size_t);
#endif

#endif
