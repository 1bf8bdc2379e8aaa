# A static library: SRCS -> libLIB.a, and START, an object of its own.
include ${SRCTOP}/share/mk/world.mk

LIBOBJS=	${SRCS:.c=.o} ${ASRCS:.S=.o}
OBJS=		${LIBOBJS} ${START}

all: ${START} lib${LIB}.a

lib${LIB}.a: ${LIBOBJS} ${START} ${MAKEFILES} ${SRCTOP}/share/mk/lib.mk
	@${PRUNE}
	@rm -f $@
	${AR} crD $@ ${LIBOBJS}

${OBJS}: ${MAKEFILES}

sinclude ${OBJS:.o=.d}
