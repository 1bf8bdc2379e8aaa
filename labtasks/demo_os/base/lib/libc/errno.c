#include <errno.h>
#include <sys/param.h>

int errno;

static const struct {
	int		no;
	const char	*text;
} errors[] = {
	{ EPERM, "Operation not permitted" },
	{ ENOENT, "No such file or directory" },
	{ ESRCH, "No such process" },
	{ EIO, "Input/output error" },
	{ E2BIG, "Argument list too long" },
	{ ENOEXEC, "Exec format error" },
	{ EBADF, "Bad file descriptor" },
	{ ECHILD, "No child processes" },
	{ EAGAIN, "Resource temporarily unavailable" },
	{ ENOMEM, "Cannot allocate memory" },
	{ EFAULT, "Bad address" },
	{ EBUSY, "Device busy" },
	{ EEXIST, "File exists" },
	{ ENOTDIR, "Not a directory" },
	{ EISDIR, "Is a directory" },
	{ EINVAL, "Invalid argument" },
	{ EMFILE, "Too many open files" },
	{ EROFS, "Read-only file system" },
	{ EPIPE, "Broken pipe" },
	{ ENOSYS, "Function not implemented" },
};

const char *
strerror(int no)
{
	unsigned i;

	for (i = 0; i < nitems(errors); i++)
		if (errors[i].no == no)
			return (errors[i].text);
	return ("Unknown error");
}
