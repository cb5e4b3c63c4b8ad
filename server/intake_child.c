#define _GNU_SOURCE /* the registers of a signal, close_range */

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/error.h"
#include "media/wav.h"
#include "server/intake.h"

#define CPU_SECONDS 60
#define MEMORY_BYTES ((rlim_t)1 << 30)
#define DESCRIPTORS 16

/* Sanitizers reserve terabytes of addresses. */
#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#endif

/* ---- limits ---- */

static enum inlay_err limit(int what, rlim_t value, const char *name, struct inlay_error *err)
{
	/* Never above what is there already. */
	struct rlimit now;
	if (!getrlimit((unsigned)what, &now) && now.rlim_max < value)
		value = now.rlim_max;
	if (setrlimit((unsigned)what, &(struct rlimit){ value, value }) == 0)
		return INLAY_OK;
	il_fail_errno(err, "its %s cannot be limited", name);
	return INLAY_ERR_IO;
}

static enum inlay_err set_limits(int64_t file_bytes, struct inlay_error *err)
{
	enum inlay_err rc = limit(RLIMIT_CPU, CPU_SECONDS, "time", err);
#ifndef SANITIZED
	if (!rc)
		rc = limit(RLIMIT_AS, MEMORY_BYTES, "memory", err);
#endif
	if (!rc)
		rc = limit(RLIMIT_FSIZE, (rlim_t)file_bytes, "output", err);
	if (!rc)
		rc = limit(RLIMIT_NOFILE, DESCRIPTORS, "number of files", err);
	if (!rc)
		rc = limit(RLIMIT_NPROC, 0, "number of processes", err);
	if (!rc)
		rc = limit(RLIMIT_CORE, 0, "core file", err);
	return rc;
}

/* ---- calls that are answered here ---- */

/* What the kernel saves of a call: its arguments and where the result goes. */
#if defined __x86_64__
#define REGISTER(context, name) ((context)->uc_mcontext.gregs[name])
#define ARGUMENT_1(context) REGISTER(context, REG_RDI)
#define ARGUMENT_3(context) REGISTER(context, REG_RDX)
#define ARGUMENT_4(context) REGISTER(context, REG_R10)
#define RESULT(context) REGISTER(context, REG_RAX)
#elif defined __aarch64__
#define ARGUMENT_1(context) ((context)->uc_mcontext.regs[0])
#define ARGUMENT_3(context) ((context)->uc_mcontext.regs[2])
#define ARGUMENT_4(context) ((context)->uc_mcontext.regs[3])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#else
#error "where are the arguments of a system call on this processor?"
#endif

static int upload_fd = -1;

static long open_upload(void)
{
	int fd = upload_fd < 0 ? -1 : dup(upload_fd);
	upload_fd = -1;
	return fd < 0 ? -EACCES : fd;
}

/* fstat() of new C libraries, which could name a file as well: done as what it means. */
static long stat_open_file(const ucontext_t *context)
{
	if (!(ARGUMENT_4(context) & AT_EMPTY_PATH))
		return -EACCES;
	return syscall(SYS_fstat, (int)ARGUMENT_1(context), (void *)(uintptr_t)ARGUMENT_3(context)) < 0 ? -errno : 0;
}

static void on_call(int number, siginfo_t *info, void *data)
{
	ucontext_t *context = data;
	int saved = errno;
	(void)number;
	long result = info->si_syscall == SYS_newfstatat ? stat_open_file(context) : open_upload();
	RESULT(context) = result;
	errno = saved;
}

static enum inlay_err catch_calls(int upload, struct inlay_error *err)
{
	upload_fd = upload;
	struct sigaction action = { .sa_sigaction = on_call, .sa_flags = SA_SIGINFO };
	if (sigaction(SIGSYS, &action, NULL) == 0)
		return INLAY_OK;
	return il_fail_errno(err, "its opens cannot be caught");
}

/* ---- system calls ---- */

/* Names, as libseccomp knows on every architecture which are none there. */
static const char *const allowed[] = {
	"read",
	"readv",
	"pread64",
	"write",
	"writev",
	"lseek",
	"_llseek",
	"close",
	"dup",
	"fstat",
	"fstat64",
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"futex",
	"futex_time64",
	"clock_gettime",
	"clock_getres",
	"time",
	"gettimeofday",
	"clock_gettime64",
	"exit",
	"exit_group",
	"rt_sigreturn",
	"sigreturn",
	"rt_sigaction",
	"rt_sigprocmask",
	"sigaltstack",
	"getrandom",
	"sched_yield",
	"getpid",
	"gettid",
	"getrusage",
	"sched_getaffinity",
	"set_robust_list",
	"restart_syscall",
};

static const int allowed_fcntl[] = { F_GETFD, F_SETFD, F_GETFL };

static int allow(scmp_filter_ctx filter, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);
	return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int fill(scmp_filter_ctx filter)
{
	int rc = 0;
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed && !rc; i++)
		rc = allow(filter, allowed[i]);
	for (size_t i = 0; i < sizeof allowed_fcntl / sizeof *allowed_fcntl && !rc; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
		                      SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)allowed_fcntl[i]));
	/* Memory, but none to run code from. */
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		                      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		                      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	const int caught[] = { SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(newfstatat) };
	for (size_t i = 0; i < sizeof caught / sizeof *caught && !rc; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_TRAP, caught[i], 0);
	return rc;
}

static enum inlay_err close_filter(struct inlay_error *err)
{
	/* The rest is refused and does not kill: what a library's next version tries out is no attack. */
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return il_fail_memory(err);
	int rc = fill(filter);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (!rc)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_IO, "this system has no sandbox for it (seccomp): %s", strerror(-rc));
}

enum inlay_err intake_sandbox(int upload, int64_t file_bytes, struct inlay_error *err)
{
	enum inlay_err rc = set_limits(file_bytes, err);
	if (!rc && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		il_fail_errno(err, "its rights cannot be given up");
		rc = INLAY_ERR_IO;
	}
	if (!rc)
		rc = catch_calls(upload, err);
	return rc ? rc : close_filter(err);
}

/* ---- the child ---- */

static enum inlay_err decode(double limit_s, struct inlay_error *err)
{
	double most = limit_s * IL_WAV_RATE_MAX * IL_WAV_CHANNELS_MAX * 2;
	int64_t file_bytes = (int64_t)(most < UINT32_MAX ? most : UINT32_MAX) + IL_WAV_HEADER_BYTES;
	enum inlay_err rc = intake_sandbox(3, file_bytes, err);
	if (rc)
		return INLAY_ERR_IO;
	return il_wav_write("sound", 4, limit_s, err);
}

int intake_child_main(int argc, char **argv)
{
	struct inlay_error err = { 0 };
	char *end = NULL;
	double limit_s = argc == 2 ? strtod(argv[1], &end) : 0;
	if (!end || *end || !(limit_s > 0) || fcntl(3, F_GETFD) < 0 || fcntl(4, F_GETFD) < 0) {
		fputs("inlay " INTAKE_COMMAND ": for inlay serve's own use\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGXFSZ, SIG_IGN);
	close_range(5, ~0u, 0);
	enum inlay_err rc = decode(limit_s, &err);
	if (rc && write(2, err.text, strlen(err.text)) < 0)
		rc = INLAY_ERR_IO;
	/* Past what libraries do at exit, which the filter would refuse. */
	syscall(SYS_exit_group, (int)rc);
	return (int)rc;
}
