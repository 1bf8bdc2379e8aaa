# What every makefile of the tree shares.

CC?=		cc
AR?=		ar
HOSTCC?=	${CC}

# No date, no host and no path of this build may reach an object.
REPRO=		-ffile-prefix-map=${SRCTOP}=. -fno-ident
DEPFLAGS=	-MD -MP

# Objects of sources that left SRCS would differ from a clean build.
PRUNE=		for o in *.o; do case " ${OBJS} " in \
		*" $$o "*) ;; *) rm -f $$o $${o%.o}.d ;; esac; done

.SUFFIXES:
.SUFFIXES: .o .c .S
