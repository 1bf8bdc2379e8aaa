/* A stub per system call; numbers from the header the kernel uses, too. */
#include <sys/syscall.h>

	.macro	STUB name, number
	.globl	\name
	.type	\name, @function
\name:
	movl	$\number, %eax
	movq	%rcx, %r10		/* SYSCALL wants %rcx for itself */
	syscall
	testq	%rax, %rax
	js	cerror
	ret
	.size	\name, . - \name
	.endm

	.text
	STUB	_exit, SYS_exit
	STUB	spawn, SYS_spawn
	STUB	read, SYS_read
	STUB	write, SYS_write
	STUB	open, SYS_open
	STUB	close, SYS_close
	STUB	wait, SYS_wait
	STUB	getpid, SYS_getpid
	STUB	kill, SYS_kill
	STUB	dup2, SYS_dup2
	STUB	pipe, SYS_pipe
	STUB	sbrk, SYS_sbrk
	STUB	msleep, SYS_msleep
	STUB	ticks, SYS_ticks
	STUB	getdirent, SYS_getdirent
	STUB	sys_sysctl, SYS_sysctl
	STUB	sys_kenv, SYS_kenv
	STUB	getproc, SYS_getproc
	STUB	probe, SYS_probe
	STUB	ping, SYS_ping
	STUB	reboot, SYS_reboot
	STUB	stat, SYS_stat

cerror:
	negl	%eax
	movl	%eax, errno(%rip)
	movq	$-1, %rax
	ret

	.section .note.GNU-stack, "", @progbits
