# A program of the world: SRCS -> PROG, installed in BINDIR.
include ${SRCTOP}/share/mk/world.mk

SRCS?=		${PROG}.c
OBJS=		${SRCS:.c=.o}
LIBC=		${OBJTOP}/world/lib/libc

all: ${PROG}

${PROG}: ${OBJS} ${LIBC}/crt0.o ${LIBC}/libc.a ${MAKEFILES} ${SRCTOP}/share/mk/prog.mk
	@${PRUNE}
	${CC} ${LDFLAGS} -o $@ ${LIBC}/crt0.o ${OBJS} ${LIBC}/libc.a

${OBJS}: ${MAKEFILES}

install:
	@mkdir -p ${DESTDIR}${BINDIR}
	install -m 555 ${PROG} ${DESTDIR}${BINDIR}/${PROG}

sinclude ${OBJS:.o=.d}
