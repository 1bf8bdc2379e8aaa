/*
 * The instructions a compiler opens a function with, as far as a probe has to
 * know them: where the frame is entered, and how long what stands before is.
 */
#include <sys/systm.h>
#include <sys/probe.h>

static const struct {
	enum insn	insn;
	uint8_t		len;
	uint8_t		bytes[5];
} insns[] = {
	{ INSN_LANDING, 4, { 0xf3, 0x0f, 0x1e, 0xfa } },	/* endbr64 */
	{ INSN_NOP, 1, { 0x90 } },
	{ INSN_NOP, 2, { 0x66, 0x90 } },
	{ INSN_PUSH_FP, 1, { 0x55 } },				/* push %rbp */
	{ INSN_MOV_FP, 3, { 0x48, 0x89, 0xe5 } },		/* mov %rsp,%rbp */
};

/* What stands at ip, and how many bytes it takes. */
enum insn
insn_decode(const uint8_t *ip, int *len)
{
	u_int i;

	for (i = 0; i < nitems(insns); i++) {
		if (memcmp(ip, insns[i].bytes, insns[i].len) == 0) {
			*len = insns[i].len;
			return (insns[i].insn);
		}
	}
	*len = 0;
	return (INSN_UNKNOWN);
}

/*
 * Find the instruction of a function's prologue that a probe replaces: the
 * push of the frame pointer, behind landing pads and padding.
 */
uint8_t *
probe_entry(uint8_t *func, size_t size)
{
	uint8_t *ip = func, *limit = func + size;
	int len;

	while (ip < limit) {
		switch (insn_decode(ip, &len)) {
		case INSN_PUSH_FP:
			return (ip);
		case INSN_LANDING:
		case INSN_NOP:
			ip += len;
			break;
		default:
			return (NULL);
		}
	}
	return (NULL);
}
