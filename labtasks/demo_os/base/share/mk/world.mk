# How anything that runs on Nidavel itself is compiled.
include ${SRCTOP}/share/mk/own.mk

MAKEFILES=	${SRCTOP}/share/mk/own.mk ${SRCTOP}/share/mk/world.mk ${SRCTOP}/${DIR}/Makefile
VPATH=		${SRCTOP}/${DIR}
WARNS=		-Wall -Wextra -Wno-unused-parameter
CFLAGS=		-O1 ${WARNS} ${REPRO} ${DEPFLAGS} -ffreestanding -fno-builtin \
		-fno-pic -fno-pie -fno-stack-protector -mno-sse -mgeneral-regs-only \
		-fno-asynchronous-unwind-tables -fcf-protection=none \
		-nostdinc -I${SRCTOP}/include -I${SRCTOP}/sys
LDFLAGS=	-nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,-z,max-page-size=4096 -Wl,-z,norelro

.c.o:
	${CC} ${CFLAGS} -c -o $@ $<

.S.o:
	${CC} ${CFLAGS} -c -o $@ $<
