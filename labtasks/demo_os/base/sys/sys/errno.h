#ifndef _SYS_ERRNO_H_
#define _SYS_ERRNO_H_

/* The kernel returns these negated; libc keeps them in errno. */
#define	EPERM		1
#define	ENOENT		2
#define	ESRCH		3
#define	EINTR		4
#define	EIO		5
#define	E2BIG		7
#define	ENOEXEC		8
#define	EBADF		9
#define	ECHILD		10
#define	EAGAIN		11
#define	ENOMEM		12
#define	EFAULT		14
#define	EBUSY		16
#define	EEXIST		17
#define	ENOTDIR		20
#define	EISDIR		21
#define	EINVAL		22
#define	EMFILE		24
#define	EROFS		30
#define	EPIPE		32
#define	ENOSYS		78

#endif
