#ifndef _UNISTD_H_
#define _UNISTD_H_

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>

#define	STDIN_FILENO	0
#define	STDOUT_FILENO	1
#define	STDERR_FILENO	2

/* System calls: -1 and errno when they fail. */
void	_exit(int) __attribute__((noreturn));
pid_t	spawn(const char *, char *const *);
ssize_t	read(int, void *, size_t);
ssize_t	write(int, const void *, size_t);
int	open(const char *);
int	close(int);
pid_t	wait(pid_t, int *, int);
pid_t	getpid(void);
int	kill(pid_t);
int	dup2(int, int);
int	pipe(int[2]);
void	*sbrk(size_t);
int	msleep(u_long);
long	ticks(void);
int	getdirent(const char *, int, struct dirent *);
int	sys_sysctl(int, char *, size_t);
int	sys_kenv(int, char *, size_t);
int	getproc(int, struct kinfo_proc *, size_t);
int	probe(int, const char *, uint64_t *);
int	ping(u_int);
int	reboot(int);
int	stat(const char *, struct stat *);

/* "name=value" entries of the kernel, by name. */
int	kenv(const char *, char *, size_t);
int	sysctlbyname(const char *, char *, size_t);

#endif
