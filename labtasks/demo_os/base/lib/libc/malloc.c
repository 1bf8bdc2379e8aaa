#include <stdlib.h>
#include <unistd.h>

#define	ALIGN	16
#define	CHUNK	4096

/* In front of every piece; free ones are kept in a list, first fit. */
struct piece {
	size_t		size;
	struct piece	*next;
};

static struct piece *freelist;
static char *heap, *heap_end;

void *
malloc(size_t size)
{
	struct piece **pp, *pc;
	size_t grow;
	char *mem;

	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	for (pp = &freelist; (pc = *pp) != NULL; pp = &pc->next) {
		if (pc->size >= size) {
			*pp = pc->next;
			return (pc + 1);
		}
	}
	if ((size_t)(heap_end - heap) < size + sizeof(*pc)) {
		grow = (size + sizeof(*pc) + CHUNK - 1) / CHUNK * CHUNK;
		if ((mem = sbrk(grow)) == (void *)-1)
			return (NULL);
		if (mem != heap_end)
			heap = mem;
		heap_end = mem + grow;
	}
	pc = (struct piece *)heap;
	heap += size + sizeof(*pc);
	pc->size = size;
	return (pc + 1);
}

void
free(void *addr)
{
	struct piece *pc = (struct piece *)addr - 1;

	if (addr == NULL)
		return;
	pc->next = freelist;
	freelist = pc;
}
