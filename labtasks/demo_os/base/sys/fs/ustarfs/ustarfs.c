/* A ustar archive in memory as a read-only file system. */
#include <sys/systm.h>
#include <sys/errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/ustar.h>

#define	MAXNODES	256

static size_t
octal(const char *field)
{

	return (strtol(field, NULL, 8));
}

/* One header into one node; "./name/" and "name" are the same. */
static void
node_fill(struct vnode *vp, const struct ustar *hdr)
{
	const char *name = hdr->name;
	size_t len;

	if (strncmp(name, "./", 2) == 0)
		name += 2;
	strlcpy(vp->v_name, name, sizeof(vp->v_name));
	len = strlen(vp->v_name);
	if (len > 0 && vp->v_name[len - 1] == '/')
		vp->v_name[len - 1] = '\0';
	vp->v_type = hdr->typeflag == '5' ? S_IFDIR : S_IFREG;
	vp->v_mode = octal(hdr->mode);
	vp->v_size = octal(hdr->size);
	vp->v_data = (const char *)(hdr + 1);
}

int
ustarfs_mount(const char *image, size_t size)
{
	const struct ustar *hdr = (const struct ustar *)image;
	size_t off = 0;

	if (size < USTAR_BLOCK || memcmp(hdr->magic, "ustar", 5) != 0)
		return (EINVAL);
	rootvnodes = malloc(MAXNODES * sizeof(*rootvnodes), M_ZERO);
	if (rootvnodes == NULL)
		return (ENOMEM);
	rootvnodes[0].v_type = S_IFDIR;		/* "", the root itself */
	rootvnodes[0].v_mode = 0755;
	nrootvnodes = 1;
	while (off + USTAR_BLOCK <= size && nrootvnodes < MAXNODES) {
		hdr = (const struct ustar *)(image + off);
		if (memcmp(hdr->magic, "ustar", 5) != 0)
			break;			/* two empty blocks end it */
		node_fill(&rootvnodes[nrootvnodes], hdr);
		off += USTAR_BLOCK + roundup(rootvnodes[nrootvnodes].v_size, USTAR_BLOCK);
		if (rootvnodes[nrootvnodes].v_name[0] != '\0')
			nrootvnodes++;
	}
	return (0);
}
