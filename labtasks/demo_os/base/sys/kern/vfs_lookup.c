/* From paths to nodes. */
#include <sys/systm.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct vnode *rootvnodes;
int nrootvnodes;

static const char *
skip_slashes(const char *path)
{

	while (*path == '/')
		path++;
	return (path);
}

const struct vnode *
namei(const char *path)
{
	int i;

	path = skip_slashes(path);
	for (i = 0; i < nrootvnodes; i++)
		if (strcmp(rootvnodes[i].v_name, path) == 0)
			return (&rootvnodes[i]);
	return (NULL);
}

/* The index-th entry of the directory at path. */
const struct vnode *
vfs_readdir(const char *path, int index)
{
	const char *rest;
	size_t len;
	int i;

	path = skip_slashes(path);
	len = strlen(path);
	for (i = 0; i < nrootvnodes; i++) {
		rest = rootvnodes[i].v_name;
		if (len > 0) {
			if (strncmp(rest, path, len) != 0 || rest[len] != '/')
				continue;
			rest += len + 1;
		}
		if (*rest == '\0' || strchr(rest, '/') != NULL)
			continue;
		if (index-- == 0)
			return (&rootvnodes[i]);
	}
	return (NULL);
}
