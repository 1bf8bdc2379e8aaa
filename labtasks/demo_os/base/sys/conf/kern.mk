# Flags of every kernel object.  The makefile config(8) writes includes this.
include ${SRCTOP}/share/mk/own.mk

WARNS=		-Wall -Wextra -Wno-implicit-fallthrough
CFLAGS=		-O1 ${WARNS} ${REPRO} ${DEPFLAGS} -D_KERNEL -nostdinc \
		-I. -I${SRCTOP}/sys -I${SRCTOP}/sys/${TARGET}/include \
		-ffreestanding -fno-builtin -fno-pic -fno-pie -fno-stack-protector \
		-fno-strict-aliasing -fno-asynchronous-unwind-tables \
		-mcmodel=kernel -mno-red-zone -mno-sse -mgeneral-regs-only \
		${PROLOGUE}
# Backtraces follow frame pointers, and probes look for the push of one right
# behind the landing pad: nothing may be moved in front of it.
PROLOGUE=	-fno-omit-frame-pointer -fno-optimize-sibling-calls \
		-fno-shrink-wrap -fcf-protection=branch
LDFLAGS=	-nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments \
		-Wl,-T,${SRCTOP}/sys/conf/ldscript.${TARGET}

KERNDEPS=	${SRCTOP}/share/mk/own.mk ${SRCTOP}/sys/conf/kern.mk
LINKDEPS=	Makefile ${SRCTOP}/sys/conf/ldscript.${TARGET} ${OBJTOP}/tmp/bin/ksyms

# Linked twice: the first kernel has the functions' addresses, the second one
# also a table of their names.  The table comes last, so that nothing moves.
kernel: ${OBJS} ${KERNDEPS} ${LINKDEPS}
	@printf '.section .ksyms,"a"\n.globl ksymtab,nksyms\nksymtab:\nnksyms:\n' > ksyms0.S
	${CC} -c -o ksyms0.o ksyms0.S
	${CC} ${LDFLAGS} -o kernel.tmp ${OBJS} ksyms0.o
	${OBJTOP}/tmp/bin/ksyms kernel.tmp ksyms.S
	${CC} -c -o ksyms.o ksyms.S
	${CC} ${LDFLAGS} -o $@ ${OBJS} ksyms.o
	@rm -f kernel.tmp ksyms0.S ksyms0.o
