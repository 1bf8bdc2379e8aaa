/*
 * Every file call of a command and all it starts, as records in a ring buffer (x86-64).
 *
 * A call is looked at when it ends: its arguments still stand in the registers it was made with,
 * and the kernel has just read its strings, so that their pages are there. Programs are looked at
 * when they begin, for by then the caller's memory is gone. What cannot be told is counted, in
 * `unseen`: a trace with a count that is not zero proves nothing.
 *
 * Processes are known by their ids in the first namespace, whatever namespace they live in. The
 * first one is the one that runs a program of the name that stands in `name`; it is given anew
 * each time this is loaded. trace_bpf.py reads the records and has the numbers of the calls.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define KERNEL __attribute__((preserve_access_index)) /* libbpf finds where the fields are */

/* The kernel's structures, as far as they are looked at. */
struct pt_regs { unsigned long r10, r8, dx, si, di, orig_ax; } KERNEL;
struct thread_info { u32 status; } KERNEL;
struct linux_binprm { const char *filename; } KERNEL;
struct task_struct {
	struct thread_info thread_info;
	s32 pid, tgid;
	void *fs, *files;
} KERNEL;

/* The kernel's functions, by their numbers in linux/bpf.h. */
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*delete)(void *map, const void *key) = (void *)3;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*comm)(void *to, u32 size) = (void *)16;
static long (*user_read)(void *to, u32 size, const void *from) = (void *)112;
static long (*user_string)(void *to, u32 size, const void *from) = (void *)114;
static long (*kernel_string)(void *to, u32 size, const void *from) = (void *)115;
static long (*ring_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static struct task_struct *(*task)(void) = (void *)158;

enum { LONGEST = 4096 }; /* PATH_MAX: the kernel takes no longer path, its zero byte counted */
enum { FORK = 1000, EXEC, BEGIN };
enum { THREAD = 1, SAME_FS = 2, SAME_FILES = 4 };
enum { TS_COMPAT = 2, X32 = 0x40000000 };
enum { NO_WAKEUP = 1 };
enum { EFAULT = 14, ENAMETOOLONG = 36, ERESTARTSYS = 512, ERESTART_RESTARTBLOCK = 516 };
enum { AT_FDCWD = -100, F_DUPFD = 0, F_DUPFD_CLOEXEC = 1030 };
enum { LOST, UNREAD, FOREIGN, UNFOLLOWED, MET, KINDS };
enum { EXECVE = 59, FCNTL = 72, READLINK = 89, READLINKAT = 267, EXECVEAT = 322, OPENAT2 = 437 };

struct record {
	u32 pid, call;
	s32 fd, fd2, result;
	u32 extra;
	char text[4 * LONGEST]; /* two strings, and room for what older verifiers can prove of them */
};

struct room {
	u64 busy;
	u64 args[8];
	struct record record;
};

struct { int (*type)[27], (*max_entries)[RING]; } ring SEC(".maps");
struct { int (*type)[1], (*max_entries)[1 << 16]; u32 *key; u8 *value; } followed SEC(".maps");
struct { int (*type)[6], (*max_entries)[1]; u32 *key; struct room *value; } rooms SEC(".maps");

struct { int (*type)[2], (*max_entries)[KINDS]; u32 *key; u64 *value; } unseen SEC(".maps");

const volatile u64 name[2] = {0x534b53415442414c, 0x0021454d414e2a53}; /* "LABTASKSS*NAME!" */

/* Which arguments of a call are what, counted from 1. */
static const struct shape { u8 fd, path, fd2, path2, extra; } shapes[] = {
	[2] = {0, 1, 0, 0, 2}, [257] = {1, 2, 0, 0, 3}, [OPENAT2] = {1, 2}, [85] = {0, 1},
	[4] = {0, 1}, [6] = {0, 1}, [262] = {1, 2}, [332] = {1, 2}, /* stat lstat newfstatat statx */
	[21] = {0, 1}, [269] = {1, 2}, [439] = {1, 2}, /* access faccessat faccessat2 */
	[EXECVE] = {0, 1}, [EXECVEAT] = {1, 2}, [80] = {0, 1}, [81] = {1}, /* chdir fchdir */
	[82] = {0, 1, 0, 2}, [264] = {1, 2, 3, 4}, [316] = {1, 2, 3, 4}, /* rename */
	[86] = {0, 1, 0, 2}, [265] = {1, 2, 3, 4}, [88] = {0, 1, 0, 2}, [266] = {0, 1, 2, 3}, /* link symlink */
	[87] = {0, 1}, [263] = {1, 2}, [84] = {0, 1}, [83] = {0, 1}, [258] = {1, 2}, /* unlink rmdir mkdir */
	[133] = {0, 1}, [259] = {1, 2}, [90] = {0, 1}, [268] = {1, 2}, [452] = {1, 2}, /* mknod chmod */
	[92] = {0, 1}, [94] = {0, 1}, [260] = {1, 2}, [76] = {0, 1}, /* chown truncate */
	[132] = {0, 1}, [235] = {0, 1}, [261] = {1, 2}, [280] = {1, 2}, /* utime */
	[READLINK] = {0, 1}, [READLINKAT] = {1, 2}, [78] = {1}, [217] = {1}, /* getdents */
	[FCNTL] = {1, 0, 0, 0, 2}, [32] = {1}, [33] = {1}, [292] = {1}, /* dup */
};
enum { CALLS = sizeof(shapes) / sizeof(*shapes) };

INLINE void count(u32 kind)
{
	u64 *number = lookup(&unseen, &kind);
	if (number)
		__sync_fetch_and_add(number, 1);
}

/* This processor's room. It is never shared; if it should be, that is seen. */
INLINE struct room *enter(void)
{
	u32 zero = 0;
	struct room *room = lookup(&rooms, &zero);
	if (!room || __sync_lock_test_and_set(&room->busy, 1)) {
		count(MET);
		return 0;
	}
	return room;
}

INLINE void leave(struct room *room)
{
	__sync_lock_test_and_set(&room->busy, 0);
}

/* A number below a power of two, so that Linux 6.1 sees it too; the compiler must not. */
INLINE u64 below(u64 limit, u64 number)
{
	__asm__ volatile("" : "+r"(number));
	return number & (limit - 1);
}

INLINE void send(struct record *record, u32 length)
{
	u64 size = __builtin_offsetof(struct record, text) + below(4 * LONGEST, length);
	if (ring_output(&ring, record, size, NO_WAKEUP))
		count(LOST);
}

/* A path of the caller's; its length with the zero byte, or -1. */
INLINE s32 path(char *to, u64 from)
{
	long length = user_string(to, LONGEST, (void *)from);
	if (length == 0) { /* what Linux 6.1 returns for an empty one */
		*to = 0;
		return 1;
	}
	return length < 0 || length > LONGEST ? -1 : length;
}

/* The text of a call's record; its length, or -1. */
INLINE s32 text(struct room *room, const struct shape *shape)
{
	struct record *r = &room->record;
	s32 length, more = 0;

	if (!shape->path)
		return 0;
	length = path(r->text, room->args[shape->path & 7]);
	if (length < 0)
		return -1;
	char *next = r->text + below(2 * LONGEST, length);
	if (shape->path2) {
		more = path(next, room->args[shape->path2 & 7]);
	} else if ((r->call == READLINK || r->call == READLINKAT) && r->result > 0) {
		u64 from = room->args[r->call == READLINK ? 2 : 3];
		more = r->result;
		if (more > LONGEST || user_read(next, below(2 * LONGEST, more), (void *)from))
			return -1;
	}
	return more < 0 ? -1 : length + more;
}

INLINE void call(struct room *room, struct pt_regs *regs, const struct shape *shape)
{
	struct record *r = &room->record;
	u64 *args = room->args;
	s32 length;

	args[1] = regs->di;
	args[2] = regs->si;
	args[3] = regs->dx;
	args[4] = regs->r10;
	args[5] = regs->r8;
	r->fd = shape->fd ? (s32)args[shape->fd & 7] : AT_FDCWD;
	r->fd2 = shape->fd2 ? (s32)args[shape->fd2 & 7] : AT_FDCWD;
	r->extra = shape->extra ? args[shape->extra & 7] : 0;
	if (r->call == FCNTL && r->extra != F_DUPFD && r->extra != F_DUPFD_CLOEXEC)
		return;
	if (shape->path && !args[shape->path & 7]) /* utimensat of a descriptor */
		return;
	if (r->call == OPENAT2 && user_read(&r->extra, sizeof(r->extra), (void *)args[3])) {
		count(UNREAD);
		return;
	}
	length = text(room, shape);
	if (length < 0)
		count(UNREAD);
	else if (length != 1) /* fstat, as the C library does it, has an empty name */
		send(r, length);
}

SEC("tp_btf/sys_exit") int call_ended(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	long result = ctx[1];
	u32 pid = pid_tgid();
	if (!lookup(&followed, &pid))
		return 0;

	u64 number = regs->orig_ax;
	if ((s32)number < 0)
		return 0;
	if (task()->thread_info.status & TS_COMPAT || number & X32) {
		count(FOREIGN);
		return 0;
	}
	/* A path that the kernel could not read, or found too long, names nothing. */
	if (result == -EFAULT || result == -ENAMETOOLONG)
		return 0;
	if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK) /* it comes again */
		return 0;
	if (number >= CALLS || (number == EXECVE || number == EXECVEAT) && !result)
		return 0;
	const struct shape *shape = &shapes[number];
	if (!shape->path && (!shape->fd || result < 0))
		return 0;

	struct room *room = enter();
	if (!room)
		return 0;
	room->record.pid = pid;
	room->record.call = number;
	room->record.result = result;
	call(room, regs, shape);
	leave(room);
	return 0;
}

SEC("tp_btf/sched_process_fork") int process_made(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	u32 pid = parent->pid, born = child->pid;
	u8 yes = 1;
	if (!lookup(&followed, &pid))
		return 0;
	if (update(&followed, &born, &yes, 0))
		count(UNFOLLOWED);

	struct room *room = enter();
	if (!room)
		return 0;
	struct record *r = &room->record;
	r->pid = pid;
	r->call = FORK;
	r->result = born;
	r->fd = r->fd2 = AT_FDCWD;
	r->extra = (parent->tgid == child->tgid ? THREAD : 0) |
		   (parent->fs == child->fs ? SAME_FS : 0) |
		   (parent->files == child->files ? SAME_FILES : 0);
	send(r, 0);
	leave(room);
	return 0;
}

SEC("tp_btf/sched_process_exec") int program_begun(u64 *ctx)
{
	struct task_struct *self = (void *)ctx[0];
	struct linux_binprm *program = (void *)ctx[2];
	u32 pid = self->pid, before = ctx[1], call = EXEC; /* a thread takes its leader's id */
	u64 own[2];
	u8 yes = 1;
	if (!lookup(&followed, &before)) {
		if (comm(own, sizeof(own)) || own[0] != name[0] || own[1] != name[1])
			return 0;
		call = BEGIN;
	}
	if ((call == BEGIN || before != pid) && update(&followed, &pid, &yes, 0))
		count(UNFOLLOWED);
	if (before != pid)
		delete(&followed, &before);

	struct room *room = enter();
	if (!room)
		return 0;
	struct record *r = &room->record;
	r->pid = pid;
	r->call = call;
	r->result = before;
	r->fd = r->fd2 = AT_FDCWD;
	r->extra = 0;
	long length = kernel_string(r->text, LONGEST, program->filename);
	if (length > 0 && length <= LONGEST)
		send(r, length);
	else
		count(UNREAD);
	leave(room);
	return 0;
}

SEC("tp_btf/sched_process_exit") int process_ended(void *ctx)
{
	u32 pid = pid_tgid();
	delete(&followed, &pid);
	return 0;
}

char terms[] SEC("license") = "GPL";
