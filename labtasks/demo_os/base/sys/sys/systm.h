#ifndef _SYS_SYSTM_H_
#define _SYS_SYSTM_H_

#include <sys/param.h>
#include <sys/types.h>
#include <sys/stdarg.h>

struct trapframe;

/* kern_shutdown.c */
extern const char *panicstr;
void	panic(const char *, ...) __attribute__((noreturn, format(printf, 1, 2)));
void	kern_reboot(int) __attribute__((noreturn));

#define	KASSERT(exp, msg) do {						\
	if (!(exp))							\
		panic("%s: %s", __func__, msg);				\
} while (0)

/* subr_prf.c */
int	printf(const char *, ...) __attribute__((format(printf, 1, 2)));
int	vprintf(const char *, va_list);
int	snprintf(char *, size_t, const char *, ...) __attribute__((format(printf, 3, 4)));
int	kvprintf(void (*)(int, void *), void *, const char *, va_list);

/* subr_msgbuf.c */
void	msgbuf_putc(int);

/* kern_environ.c */
void	kern_env_init(const char *);
const char *kern_getenv(const char *);
int	kern_getenv_int(const char *, int);

/* kern_synch.c, kern_timeout.c */
int	tsleep(const void *, const char *, u_int);
void	wakeup(const void *);
void	timeout_tick(void);

/* kern_malloc.c */
void	*malloc(size_t, int);
void	free(void *);
#define	M_NOWAIT	0
#define	M_ZERO		1

/* kern_ksyms.c */
const char *ksym_name(uint64_t, uint64_t *);
uint64_t ksym_value(const char *, uint64_t *);

/* subr_copy.c */
int	copyin(const void *, void *, size_t);
int	copyout(const void *, void *, size_t);
int	copyinstr(const void *, char *, size_t);

/* libkern */
void	*memcpy(void *, const void *, size_t);
void	*memset(void *, int, size_t);
int	memcmp(const void *, const void *, size_t);
size_t	strlen(const char *);
int	strcmp(const char *, const char *);
int	strncmp(const char *, const char *, size_t);
size_t	strlcpy(char *, const char *, size_t);
char	*strchr(const char *, int);
long	strtol(const char *, char **, int);

#endif
