#ifndef _ERR_H_
#define _ERR_H_

/* err() adds what errno means. */
void	err(int, const char *, ...) __attribute__((noreturn, format(printf, 2, 3)));
void	errx(int, const char *, ...) __attribute__((noreturn, format(printf, 2, 3)));
void	warnx(const char *, ...) __attribute__((format(printf, 1, 2)));

#endif
