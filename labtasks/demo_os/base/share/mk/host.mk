# A tool that runs on the building host: SRCS -> tmp/bin/PROG.
include ${SRCTOP}/share/mk/own.mk

SRCS?=		${PROG}.c
OBJS=		${SRCS:.c=.o}
MAKEFILES=	${SRCTOP}/share/mk/own.mk ${SRCTOP}/share/mk/host.mk ${SRCTOP}/${DIR}/Makefile
VPATH=		${SRCTOP}/${DIR}
HOSTCFLAGS=	-O1 -Wall ${REPRO} ${DEPFLAGS} -iquote ${SRCTOP}/sys -iquote ${SRCTOP}/sys/conf

all: ${OBJTOP}/tmp/bin/${PROG}

${OBJTOP}/tmp/bin/${PROG}: ${OBJS} ${MAKEFILES}
	@${PRUNE}
	${HOSTCC} -o $@ ${OBJS}

${OBJS}: ${MAKEFILES}

.c.o:
	${HOSTCC} ${HOSTCFLAGS} -c -o $@ $<

sinclude ${OBJS:.o=.d}
