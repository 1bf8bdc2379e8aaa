#ifndef _SYS_USTAR_H_
#define _SYS_USTAR_H_

/* POSIX ustar header: what makefs(8) writes and the kernel mounts. */
#define	USTAR_BLOCK	512

struct ustar {
	char	name[100];
	char	mode[8];
	char	uid[8];
	char	gid[8];
	char	size[12];		/* octal digits */
	char	mtime[12];
	char	chksum[8];
	char	typeflag;		/* '0' file, '5' directory */
	char	linkname[100];
	char	magic[6];		/* "ustar" */
	char	version[2];
	char	uname[32];
	char	gname[32];
	char	devmajor[8];
	char	devminor[8];
	char	prefix[155];
	char	pad[12];
};

#endif
