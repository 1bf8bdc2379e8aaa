/*
 * config sysdir machine ident: from a kernel's configuration to its makefile
 * and headers, in the current directory.  A file is written only when it
 * changes, so that make rebuilds only what an option or a new file touches.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "configvers.h"

#define	MAXFILES	256
#define	MAXOPTIONS	32
#define	LINELEN		256

static const char *sysdir;

static char *files[MAXFILES];		/* chosen sources, without sysdir */
static int nfiles;
static struct {
	char	name[32];
	int	set;
} options[MAXOPTIONS];
static int noptions;

static char *text;			/* the output being put together */
static size_t textlen;

static void
die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "config: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

static FILE *
open_in(const char *fmt, ...)
{
	char path[1024];
	size_t n;
	va_list ap;

	n = snprintf(path, sizeof(path), "%s/", sysdir);
	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - n, fmt, ap);
	va_end(ap);
	return (fopen(path, "r"));
}

/* The words of the next line that has any; comments are none. */
static int
words(FILE *f, char *line, char **w, int max)
{
	char *s;
	int n;

	while (fgets(line, LINELEN, f) != NULL) {
		if ((s = strchr(line, '#')) != NULL)
			*s = '\0';
		n = 0;
		for (s = strtok(line, " \t\n"); s != NULL && n < max; s = strtok(NULL, " \t\n"))
			w[n++] = s;
		if (n > 0)
			return (n);
	}
	return (0);
}

static int
option_index(const char *name)
{
	int i;

	for (i = 0; i < noptions; i++)
		if (strcasecmp(options[i].name, name) == 0)
			return (i);
	return (-1);
}

static void
check_version(void)
{
	char line[LINELEN];
	FILE *f = open_in("conf/configvers");

	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		die("conf/configvers: not readable");
	fclose(f);
	if (atoi(line) != CONFIGVERS)
		die("ERROR: version of config(8) does not match kernel! "
		    "(tool %d, sources %d)", CONFIGVERS, atoi(line));
}

static void
read_options(void)
{
	char line[LINELEN], *w[2];
	FILE *f = open_in("conf/options");

	if (f == NULL)
		die("conf/options: not readable");
	while (words(f, line, w, 2) > 0) {
		if (noptions == MAXOPTIONS)
			die("conf/options: too many");
		snprintf(options[noptions++].name, sizeof(options[0].name), "%s", w[0]);
	}
	fclose(f);
}

/* A machine may have a configuration of its own under the same name. */
static void
read_kernel(const char *machine, const char *ident)
{
	char line[LINELEN], *w[3];
	FILE *f = open_in("%s/conf/%s", machine, ident);
	int i, n;

	if (f == NULL && (f = open_in("conf/%s", ident)) == NULL)
		die("conf/%s: no such kernel configuration", ident);
	while ((n = words(f, line, w, 3)) > 0) {
		if (n == 2 && strcmp(w[0], "ident") == 0)
			continue;
		if (n != 2 || strcmp(w[0], "options") != 0)
			die("conf/%s: %s: not understood", ident, w[0]);
		if ((i = option_index(w[1])) < 0)
			die("conf/%s: unknown option %s", ident, w[1]);
		options[i].set = 1;
	}
	fclose(f);
}

static int
wanted(char **w, int n)
{
	const char *name;
	int i, not;

	if (n == 2 && strcmp(w[1], "standard") == 0)
		return (1);
	if (n != 3 || strcmp(w[1], "optional") != 0)
		die("conf/files: %s: not understood", w[0]);
	not = w[2][0] == '!';
	name = w[2] + not;
	if ((i = option_index(name)) < 0)
		die("conf/files: %s: unknown option %s", w[0], name);
	return (options[i].set != not);
}

static void
read_files(const char *name)
{
	char line[LINELEN], *w[3];
	FILE *f = open_in("conf/%s", name);
	int n;

	if (f == NULL)
		die("conf/%s: not readable", name);
	while ((n = words(f, line, w, 3)) > 0) {
		if (!wanted(w, n))
			continue;
		if (nfiles == MAXFILES)
			die("conf/%s: too many files", name);
		files[nfiles++] = strdup(w[0]);
	}
	fclose(f);
}

static void
out(const char *fmt, ...)
{
	char line[2 * LINELEN];
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text = realloc(text, textlen + n + 1);
	memcpy(text + textlen, line, n + 1);
	textlen += n;
}

/* Write what out() collected, unless the file has it already. */
static void
flush_to(const char *path)
{
	char *old = malloc(textlen + 1);
	size_t n = 0;
	FILE *f;

	if ((f = fopen(path, "r")) != NULL) {
		n = fread(old, 1, textlen + 1, f);
		fclose(f);
	}
	if (f == NULL || n != textlen || memcmp(old, text, n) != 0) {
		if ((f = fopen(path, "w")) == NULL ||
		    fwrite(text, 1, textlen, f) != textlen || fclose(f) != 0)
			die("%s: not writable", path);
	}
	free(old);
	textlen = 0;
}

static void
write_headers(const char *machine, const char *ident)
{
	char line[LINELEN], path[64], *eq, *s;
	FILE *f;
	int i;

	for (i = 0; i < noptions; i++) {
		snprintf(path, sizeof(path), "opt_%.40s.h", options[i].name);
		for (s = path; *s != '\0'; s++)
			*s = tolower((unsigned char)*s);
		if (options[i].set)
			out("#define\t%s\t1\n", options[i].name);
		else
			out("/* %s is not set */\n", options[i].name);
		flush_to(path);
	}
	if ((f = open_in("conf/newvers")) == NULL)
		die("conf/newvers: not readable");
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] != '#' && (eq = strchr(line, '=')) != NULL) {
			*eq = '\0';
			out("#define\tNIDAVEL_%s\t%s", line, eq + 1);
		}
	}
	fclose(f);
	out("#define\tKERNEL_IDENT\t\"%s\"\n", ident);
	out("#define\tKERNEL_MACHINE\t\"%s\"\n", machine);
	flush_to("vers.h");
}

/* kern/foo.c -> kern/foo.<suffix> */
static const char *
with_suffix(const char *file, const char *suffix)
{
	static char buf[LINELEN];

	snprintf(buf, sizeof(buf), "%.*s.%s", (int)(strrchr(file, '.') - file), file, suffix);
	return (buf);
}

static void
make_dirs(const char *file)
{
	char path[LINELEN], *s;

	snprintf(path, sizeof(path), "%s", file);
	for (s = path; (s = strchr(s, '/')) != NULL; *s++ = '/') {
		*s = '\0';
		mkdir(path, 0777);
	}
}

/* Objects the last makefile had and this one has not would be left behind. */
static void
remove_stale(void)
{
	char line[LINELEN], *w[2];
	FILE *f = fopen("Makefile", "r");
	int i;

	if (f == NULL)
		return;
	while (words(f, line, w, 2) > 0) {
		if (strcmp(w[0], "sinclude") != 0)
			continue;
		for (i = 0; i < nfiles; i++)
			if (strcmp(with_suffix(files[i], "d"), w[1]) == 0)
				break;
		if (i == nfiles) {
			unlink(w[1]);
			unlink(with_suffix(w[1], "o"));
		}
	}
	fclose(f);
}

static void
write_makefile(const char *ident)
{
	int i;

	out("# %s, written by config(8)\n\nOBJS=", ident);
	for (i = 0; i < nfiles; i++)
		out("\t\\\n\t%s", with_suffix(files[i], "o"));
	out("\n\ninclude ${SRCTOP}/sys/conf/kern.mk\n");
	for (i = 0; i < nfiles; i++) {
		make_dirs(files[i]);
		out("\n%s: ${SRCTOP}/sys/%s ${KERNDEPS}\n", with_suffix(files[i], "o"), files[i]);
		out("\t${CC} ${CFLAGS} -c -o $@ ${SRCTOP}/sys/%s\n", files[i]);
		out("sinclude %s\n", with_suffix(files[i], "d"));
	}
	flush_to("Makefile");
}

int
main(int argc, char **argv)
{
	char name[64];

	if (argc != 4) {
		fprintf(stderr, "usage: config sysdir machine ident\n");
		return (2);
	}
	sysdir = argv[1];
	check_version();
	read_options();
	read_kernel(argv[2], argv[3]);
	read_files("files");
	snprintf(name, sizeof(name), "files.%s", argv[2]);
	read_files(name);
	write_headers(argv[2], argv[3]);
	remove_stale();
	write_makefile(argv[3]);
	return (0);
}
