/* Programs: static ELF files, copied into an address space. */
#include <sys/systm.h>
#include <sys/elf.h>
#include <sys/errno.h>
#include <sys/mount.h>
#include <sys/proc.h>
#include <sys/stat.h>
#include <machine/pmap.h>

static int
load_segment(struct proc *p, const struct vnode *vp, const Elf64_Phdr *ph)
{
	uint64_t prot = 0;
	int error;

	if (ph->p_offset + ph->p_filesz > vp->v_size ||
	    ph->p_filesz > ph->p_memsz || ph->p_vaddr + ph->p_memsz > USRSTACK)
		return (ENOEXEC);
	if (ph->p_flags & PF_W)
		prot |= PG_RW;
	if ((ph->p_flags & PF_X) == 0)
		prot |= PG_NX;
	error = pmap_alloc_range(p->p_pmap, ph->p_vaddr, ph->p_vaddr + ph->p_memsz, prot);
	if (error != 0)
		return (error);
	p->p_brk = MAX(p->p_brk, roundup(ph->p_vaddr + ph->p_memsz, PAGE_SIZE));
	return (pmap_copy_to(p->p_pmap, ph->p_vaddr, vp->v_data + ph->p_offset, ph->p_filesz));
}

/* Strings at the top of the stack, then argv[] and its NULL, then argc. */
static int
copy_args(struct proc *p, char *const *argv, uint64_t *spp)
{
	uint64_t sp = USRSTACK, vec[MAXARGS + 2];
	size_t len;
	int argc, error;

	for (argc = 0; argv[argc] != NULL; argc++) {
		if (argc == MAXARGS)
			return (E2BIG);
		len = strlen(argv[argc]) + 1;
		sp -= len;
		if (USRSTACK - sp > PAGE_SIZE)
			return (E2BIG);
		if ((error = pmap_copy_to(p->p_pmap, sp, argv[argc], len)) != 0)
			return (error);
		vec[argc + 1] = sp;
	}
	vec[0] = argc;
	vec[argc + 1] = 0;
	sp = (sp - (argc + 2) * sizeof(vec[0])) & ~15UL;
	*spp = sp;
	return (pmap_copy_to(p->p_pmap, sp, vec, (argc + 2) * sizeof(vec[0])));
}

/* Make the new process p ready to run the program at path. */
int
exec_load(struct proc *p, const char *path, char *const *argv)
{
	const struct vnode *vp = namei(path);
	const Elf64_Ehdr *eh;
	const Elf64_Phdr *ph;
	uint64_t sp;
	int error, i;

	if (vp == NULL)
		return (ENOENT);
	if (vp->v_type != S_IFREG || vp->v_size < sizeof(*eh))
		return (ENOEXEC);
	eh = (const Elf64_Ehdr *)vp->v_data;
	if (memcmp(eh->e_ident, "\177ELF\2\1", 6) != 0 || eh->e_type != ET_EXEC ||
	    eh->e_machine != EM_X86_64 ||
	    eh->e_phoff + eh->e_phnum * sizeof(*ph) > vp->v_size)
		return (ENOEXEC);

	ph = (const Elf64_Phdr *)(vp->v_data + eh->e_phoff);
	for (i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD || ph[i].p_memsz == 0)
			continue;
		if ((error = load_segment(p, vp, &ph[i])) != 0)
			return (error);
	}
	error = pmap_alloc_range(p->p_pmap, USRSTACK - USRSTACK_PAGES * PAGE_SIZE,
	    USRSTACK, PG_RW | PG_NX);
	if (error == 0)
		error = copy_args(p, argv, &sp);
	if (error == 0)
		cpu_fork(p, eh->e_entry, sp);
	return (error);
}
