/*
 * makefs image directory: the directory as a ustar archive, which the kernel
 * mounts as its root.  Sorted, owned by root, without dates: the same tree
 * gives the same image.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sys/ustar.h"

static FILE *image;

static void
die(const char *path, const char *why)
{

	fprintf(stderr, "makefs: %s: %s\n", path, why);
	exit(1);
}

static void
put(const void *buf, size_t size)
{

	if (fwrite(buf, 1, size, image) != size)
		die("image", "not written");
}

static void
put_header(const char *name, char type, unsigned mode, unsigned long size)
{
	const unsigned char *p;
	struct ustar hdr;
	unsigned sum = 0;

	memset(&hdr, 0, sizeof(hdr));
	if (strlen(name) >= sizeof(hdr.name))
		die(name, "name too long");
	strcpy(hdr.name, name);
	snprintf(hdr.mode, sizeof(hdr.mode), "%07o", mode);
	snprintf(hdr.uid, sizeof(hdr.uid), "%07o", 0);
	snprintf(hdr.gid, sizeof(hdr.gid), "%07o", 0);
	snprintf(hdr.size, sizeof(hdr.size), "%011lo", size);
	snprintf(hdr.mtime, sizeof(hdr.mtime), "%011o", 0);
	hdr.typeflag = type;
	memcpy(hdr.magic, "ustar", 6);
	memcpy(hdr.version, "00", 2);
	memset(hdr.chksum, ' ', sizeof(hdr.chksum));
	for (p = (unsigned char *)&hdr; p < (unsigned char *)(&hdr + 1); p++)
		sum += *p;
	snprintf(hdr.chksum, sizeof(hdr.chksum), "%06o", sum);
	put(&hdr, sizeof(hdr));
}

static void
put_file(const char *path, const char *name, const struct stat *st)
{
	static const char zeros[USTAR_BLOCK];
	char buf[65536];
	unsigned long done = 0;
	size_t n;
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		die(path, "not readable");
	put_header(name, '0', st->st_mode & 0777, st->st_size);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0) {
		put(buf, n);
		done += n;
	}
	fclose(f);
	if (done != (unsigned long)st->st_size)
		die(path, "changed while it was read");
	if (done % USTAR_BLOCK != 0)
		put(zeros, USTAR_BLOCK - done % USTAR_BLOCK);
}

/* name is path without the root directory, and without a leading slash. */
static void
walk(const char *path, const char *name)
{
	char subpath[4096], subname[1024];
	struct dirent **list;
	struct stat st;
	int i, n = scandir(path, &list, NULL, alphasort);

	if (n < 0)
		die(path, "not readable");
	for (i = 0; i < n; free(list[i++])) {
		if (strcmp(list[i]->d_name, ".") == 0 || strcmp(list[i]->d_name, "..") == 0)
			continue;
		snprintf(subpath, sizeof(subpath), "%s/%s", path, list[i]->d_name);
		snprintf(subname, sizeof(subname), "%s%s%s", name, *name ? "/" : "",
		    list[i]->d_name);
		if (lstat(subpath, &st) != 0)
			die(subpath, "not found");
		if (S_ISDIR(st.st_mode)) {
			put_header(subname, '5', 0755, 0);
			walk(subpath, subname);
		} else if (S_ISREG(st.st_mode))
			put_file(subpath, subname, &st);
		else
			die(subpath, "neither file nor directory");
	}
	free(list);
}

int
main(int argc, char **argv)
{
	static const char zeros[2 * USTAR_BLOCK];

	if (argc != 3) {
		fprintf(stderr, "usage: makefs image directory\n");
		return (2);
	}
	if ((image = fopen(argv[1], "wb")) == NULL)
		die(argv[1], "not writable");
	walk(argv[2], "");
	put(zeros, sizeof(zeros));
	if (fclose(image) != 0)
		die(argv[1], "not written");
	return (0);
}
