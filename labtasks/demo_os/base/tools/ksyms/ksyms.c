/* ksyms kernel out.S: the functions of a linked kernel as a table to link in. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sym {
	Elf64_Addr	addr;
	Elf64_Xword	size;
	const char	*name;
};

static void
die(const char *path, const char *why)
{

	fprintf(stderr, "ksyms: %s: %s\n", path, why);
	exit(1);
}

static char *
slurp(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *buf;
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0)
		die(path, "not readable");
	rewind(f);
	buf = malloc(size);
	if (buf == NULL || fread(buf, 1, size, f) != (size_t)size)
		die(path, "not read");
	fclose(f);
	return (buf);
}

static int
by_address(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;

	if (x->addr != y->addr)
		return (x->addr < y->addr ? -1 : 1);
	return (strcmp(x->name, y->name));
}

/* All functions, ascending; returns how many. */
static size_t
collect(const char *image, struct sym **out)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)image;
	const Elf64_Shdr *sh = (const Elf64_Shdr *)(image + eh->e_shoff), *tab = NULL;
	const Elf64_Sym *sym;
	const char *names;
	size_t i, n = 0, count;

	for (i = 0; i < eh->e_shnum; i++)
		if (sh[i].sh_type == SHT_SYMTAB)
			tab = &sh[i];
	if (tab == NULL)
		return (0);
	sym = (const Elf64_Sym *)(image + tab->sh_offset);
	names = image + sh[tab->sh_link].sh_offset;
	count = tab->sh_size / sizeof(*sym);
	*out = malloc(count * sizeof(**out));
	for (i = 0; i < count; i++) {
		if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC || sym[i].st_shndx == SHN_UNDEF)
			continue;
		(*out)[n].addr = sym[i].st_value;
		(*out)[n].size = sym[i].st_size;
		(*out)[n++].name = names + sym[i].st_name;
	}
	qsort(*out, n, sizeof(**out), by_address);
	return (n);
}

int
main(int argc, char **argv)
{
	struct sym *syms = NULL;
	size_t i, n;
	FILE *f;

	if (argc != 3) {
		fprintf(stderr, "usage: ksyms kernel out.S\n");
		return (2);
	}
	n = collect(slurp(argv[1]), &syms);
	if (n == 0)
		die(argv[1], "no functions");
	if ((f = fopen(argv[2], "w")) == NULL)
		die(argv[2], "not writable");
	fprintf(f, "\t.section .ksyms, \"a\"\n\t.align 8\n\t.globl nksyms, ksymtab\n");
	fprintf(f, "nksyms:\t.quad %zu\nksymtab:\n", n);
	for (i = 0; i < n; i++)
		fprintf(f, "\t.quad 0x%lx, %lu, .L%zu\n", (unsigned long)syms[i].addr,
		    (unsigned long)syms[i].size, i);
	for (i = 0; i < n; i++)
		fprintf(f, ".L%zu:\t.asciz \"%s\"\n", i, syms[i].name);
	fprintf(f, "\t.section .note.GNU-stack, \"\", @progbits\n");
	return (fclose(f) != 0);
}
