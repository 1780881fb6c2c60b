/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allow-list: whoever takes a service over finds most of the kernel shut, and with it most of
 * the kernel's own faults. The tables below are the list; tools/reference makes the page of the
 * reference from them.
 *
 * A refused call raises SIGSYS in its own thread (SECCOMP_RET_TRAP). The handler names it in the
 * log and lets it fail with EPERM. A service that was taken over can put another handler there; its
 * calls fail all the same. (A listener of the kernel's, SECCOMP_RET_USER_NOTIF, has no place in
 * this process: whoever has it may let a call pass.) The handler may use log_line, since it
 * interrupts nothing but a call that is refused, and what log_line stands on makes none. A call
 * that is refused while its thread blocks SIGSYS ends the process, so those that glibc makes in
 * that state are among the quiet ones.
 *
 * What is quiet fails without a word, because libraries try it and go on, or with signals blocked.
 *
 * Nothing here may make another process: a service runs no programs.
 */

#define _GNU_SOURCE
#include "service/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/log.h"
#include "service/sanitized.h"

/* The kernel looks at no more of an int. */
#define SOCKET_KIND (UINT64_C(0xffffffff) & ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC))
#define CLONE_NAMESPACES                                                                           \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET | CLONE_NEWTIME)
#define CALLS_MAX 1024
#define CODE_SECCOMP 1 /* SYS_SECCOMP, which glibc leaves to the kernel's headers */

/* ---- the machine's registers ---- */

#if defined(__x86_64__) || defined(__aarch64__)
#define NAMES_REFUSED 1
#else /* refused calls fail, and are not named */
#define NAMES_REFUSED 0
#endif

/* Lets the interrupted call return -EPERM; its first arguments. */
static void registers_refuse(void *context, int ret_arguments[3])
{
#if defined(__x86_64__)
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    ret_arguments[0] = (int)registers[REG_RDI];
    ret_arguments[1] = (int)registers[REG_RSI];
    ret_arguments[2] = (int)registers[REG_RDX];
    registers[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    unsigned long long *registers = ((ucontext_t *)context)->uc_mcontext.regs;
    for (int i = 0; i < 3; i++)
        ret_arguments[i] = (int)registers[i];
    registers[0] = (unsigned long long)-EPERM;
#else
    (void)context;
    (void)ret_arguments;
#endif
}

/* ---- the list ---- */

static const char *const allowed[] = {
    /* Files, of those that Landlock lets it open */
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
    "pwritev2", "open", "openat", "close", "close_range", "lseek", "stat", "lstat", "fstat",
    "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink",
    "readlinkat", "getdents", "getdents64", "getcwd", "truncate", "ftruncate", "fallocate",
    "fadvise64", "fsync", "fdatasync", "sync_file_range", "flock", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "sendfile", "copy_file_range",
    "dup", "dup2", "dup3", "pipe", "pipe2", "eventfd", "eventfd2",
    /* Memory */
    "brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "msync", "mlock", "mlock2", "munlock",
    "mincore", "membarrier",
    /* Connections that it has, or may make (see `socket` below) */
    "connect", "accept", "accept4", "shutdown", "getsockname", "getpeername", "getsockopt",
    "recvfrom", "recvmsg", "recvmmsg",
    /* Waiting */
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "futex", "nanosleep", "clock_nanosleep",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "pause", "restart_syscall",
    /* Threads */
    "set_robust_list", "set_tid_address", "rseq", "arch_prctl", "sched_yield", "sched_getaffinity",
    "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "getcpu", "exit", "exit_group",
    /* Its own signals */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend",
    "rt_sigtimedwait", "sigaltstack",
    /* Time, chance, and what it is */
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrandom", "getpid",
    "getppid", "gettid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid", "getegid",
    "getresuid", "getresgid", "getgroups", "getrlimit", "getrusage", "getpriority", "sysinfo",
    "uname"};

enum when { ALWAYS, IF_NAMES, IF_NAMES_ALONE, IF_UNIX, IF_WATCHES };

/* Allowed with these arguments alone. */
#define IS(number, value)                                                                          \
    {                                                                                              \
        number, SCMP_CMP_EQ, (uint64_t)(value), 0                                                  \
    }
#define BELOW(number, value)                                                                       \
    {                                                                                              \
        number, SCMP_CMP_LT, (uint64_t)(value), 0                                                  \
    }
#define IS_NOT(number, value)                                                                      \
    {                                                                                              \
        number, SCMP_CMP_NE, (uint64_t)(value), 0                                                  \
    }
#define MASKED(number, mask, value)                                                                \
    {                                                                                              \
        number, SCMP_CMP_MASKED_EQ, (mask), (uint64_t)(value)                                      \
    }
#define OWN_PID(number)                                                                            \
    {                                                                                              \
        number, SCMP_CMP_EQ, 0, OWN                                                                \
    }
#define OWN UINT64_MAX
#define CONDITIONS_MAX 3
#define SOCKET(family, type, protocol)                                                             \
    {                                                                                              \
        IS(0, family), MASKED(1, SOCKET_KIND, type), IS(2, protocol)                               \
    }
static const struct conditional {
    const char *name, *which;
    enum when when;
    struct scmp_arg_cmp arguments[CONDITIONS_MAX]; /* all of these; ends with op 0 */
} conditional[] = {
    {"socket", "TCP", ALWAYS, SOCKET(AF_INET, SOCK_STREAM, 0)},
    {"socket", "TCP", ALWAYS, SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP)},
    {"socket", "TCP", ALWAYS, SOCKET(AF_INET6, SOCK_STREAM, 0)},
    {"socket", "TCP", ALWAYS, SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP)},
    {"socket", "UDP, where names are resolved", IF_NAMES, SOCKET(AF_INET, SOCK_DGRAM, 0)},
    {"socket", "UDP, where names are resolved", IF_NAMES, SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP)},
    {"socket", "UDP, where names are resolved", IF_NAMES, SOCKET(AF_INET6, SOCK_DGRAM, 0)},
    {"socket", "UDP, where names are resolved", IF_NAMES,
     SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP)},
    {"socket", "Unix streams, where the store's server is reached by one", IF_UNIX,
     SOCKET(AF_UNIX, SOCK_STREAM, 0)},
    {"inotify_init1", "where the store is on a server: between instances", IF_WATCHES, {{0}}},
    {"inotify_add_watch", "where the store is on a server: between instances", IF_WATCHES, {{0}}},
    {"inotify_rm_watch", "where the store is on a server: between instances", IF_WATCHES, {{0}}},
    {"socketpair", "within the process", ALWAYS, {IS(0, AF_UNIX)}},
    /* With MSG_FASTOPEN a connection is opened unseen by Landlock. */
    {"sendto", "on a connection", ALWAYS, {MASKED(3, MSG_FASTOPEN, 0)}},
    {"sendmsg", "on a connection", ALWAYS, {MASKED(2, MSG_FASTOPEN, 0)}},
    {"sendmmsg", "on a connection", ALWAYS, {MASKED(3, MSG_FASTOPEN, 0)}},
    /* Beyond these are filters (SO_ATTACH_FILTER) and the kernel's own TLS (TCP_ULP). */
    {"setsockopt",
     "SOL_SOCKET: below SO_BINDTODEVICE",
     ALWAYS,
     {IS(1, SOL_SOCKET), BELOW(2, SO_BINDTODEVICE)}},
    {"setsockopt",
     "IPPROTO_TCP: below TCP_MD5SIG",
     ALWAYS,
     {IS(1, IPPROTO_TCP), BELOW(2, TCP_MD5SIG)}},
    {"setsockopt", "TCP_USER_TIMEOUT", ALWAYS, {IS(1, IPPROTO_TCP), IS(2, TCP_USER_TIMEOUT)}},
    {"setsockopt", "TCP_NOTSENT_LOWAT", ALWAYS, {IS(1, IPPROTO_TCP), IS(2, TCP_NOTSENT_LOWAT)}},
    {"setsockopt", "IP_TOS", ALWAYS, {IS(1, IPPROTO_IP), IS(2, IP_TOS)}},
    {"setsockopt", "IP_MTU_DISCOVER", ALWAYS, {IS(1, IPPROTO_IP), IS(2, IP_MTU_DISCOVER)}},
    {"setsockopt", "IP_RECVERR", ALWAYS, {IS(1, IPPROTO_IP), IS(2, IP_RECVERR)}},
    {"setsockopt", "IPV6_V6ONLY", ALWAYS, {IS(1, IPPROTO_IPV6), IS(2, IPV6_V6ONLY)}},
    {"setsockopt", "IPV6_MTU_DISCOVER", ALWAYS, {IS(1, IPPROTO_IPV6), IS(2, IPV6_MTU_DISCOVER)}},
    {"setsockopt", "IPV6_RECVERR", ALWAYS, {IS(1, IPPROTO_IPV6), IS(2, IPV6_RECVERR)}},
    {"setsockopt", "IPV6_TCLASS", ALWAYS, {IS(1, IPPROTO_IPV6), IS(2, IPV6_TCLASS)}},
    /* Not F_SETOWN and F_SETSIG, which signal others. */
    {"fcntl", "descriptors, flags and locks (below F_SETOWN)", ALWAYS, {BELOW(1, F_SETOWN)}},
    {"fcntl", "F_DUPFD_CLOEXEC", ALWAYS, {IS(1, F_DUPFD_CLOEXEC)}},
    {"fcntl",
     "F_SETPIPE_SZ, of Kafka's library, whose threads block all signals",
     ALWAYS,
     {IS(1, F_SETPIPE_SZ)}},
    {"fcntl", "F_OFD_GETLK", ALWAYS, {IS(1, F_OFD_GETLK)}},
    {"fcntl", "F_OFD_SETLK", ALWAYS, {IS(1, F_OFD_SETLK)}},
    {"fcntl", "F_OFD_SETLKW", ALWAYS, {IS(1, F_OFD_SETLKW)}},
    {"ioctl", "FIONBIO", ALWAYS, {IS(1, FIONBIO)}},
    {"ioctl", "FIONREAD", ALWAYS, {IS(1, FIONREAD)}},
    {"ioctl", "FIOCLEX", ALWAYS, {IS(1, FIOCLEX)}},
    {"ioctl", "FIONCLEX", ALWAYS, {IS(1, FIONCLEX)}},
    {"ioctl", "TIOCOUTQ", ALWAYS, {IS(1, TIOCOUTQ)}},
    {"ioctl", "TCGETS, for isatty", ALWAYS, {IS(1, TCGETS)}},
    {"clone",
     "a thread, in no new namespace",
     ALWAYS,
     {MASKED(0, CLONE_THREAD | CLONE_NAMESPACES, CLONE_THREAD)}},
    {"prctl", "PR_SET_NAME", ALWAYS, {IS(0, PR_SET_NAME)}},
    {"prctl", "PR_GET_NAME", ALWAYS, {IS(0, PR_GET_NAME)}},
    {"prctl", "PR_GET_DUMPABLE", ALWAYS, {IS(0, PR_GET_DUMPABLE)}},
    {"kill", "itself", ALWAYS, {OWN_PID(0)}},
    {"tgkill", "its own threads", ALWAYS, {OWN_PID(0)}},
    {"sched_setscheduler",
     "SCHED_IDLE, for the calling thread",
     ALWAYS,
     {IS(0, 0), IS(1, SCHED_IDLE)}},
    {"prlimit64", "reading its own limits", ALWAYS, {IS(0, 0), IS(2, 0)}},
    {"prlimit64", "reading its own limits", ALWAYS, {OWN_PID(0), IS(2, 0)}},
};

/* Refused without a word. */
static const struct quiet {
    const char *name, *why;
    int error;
    enum when when;
    struct scmp_arg_cmp argument; /* op 0: whatever its arguments */
} quiet[] = {
    {"clone3", "glibc takes clone instead, whose flags can be looked at", ENOSYS, ALWAYS, {0}},
    {"clone", "vfork: glibc's posix_spawn blocks all signals", EPERM, ALWAYS,
     MASKED(0, CLONE_VFORK | CLONE_THREAD, CLONE_VFORK)},
    {"sched_setaffinity", "glibc blocks all signals while it makes a thread", EPERM, ALWAYS, {0}},
    {"sched_setscheduler", "any other: glibc blocks all signals while it makes a thread", EPERM,
     ALWAYS, IS_NOT(1, SCHED_IDLE)},
    {"socket", "AF_NETLINK: glibc goes on without the list of interfaces", EAFNOSUPPORT, ALWAYS,
     IS(0, AF_NETLINK)},
    {"socket", "AF_UNIX: glibc goes on without its cache of names", EACCES, IF_NAMES_ALONE,
     IS(0, AF_UNIX)},
    {"fchown", "SQLite gives a file that root makes to its database's owner", EPERM, ALWAYS, {0}},
};

/* For the leak check of AddressSanitizer, in builds with it alone. */
static const char *const allowed_sanitized[] = {"clone",  "ptrace", "wait4",    "prctl",
                                                "tgkill", "kill",   "prlimit64"};

/* ---- making the filter of it ---- */

static int add_plain(scmp_filter_ctx filter, const char *const *names, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number >= 0) /* else this architecture has none of that name */
            failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    return failed;
}

static bool is_needed(enum when when, const struct calls_needed *needed)
{
    return when == ALWAYS || (when == IF_NAMES && needed->names) ||
           (when == IF_NAMES_ALONE && needed->names && !needed->unix_sockets) ||
           (when == IF_UNIX && needed->unix_sockets) || (when == IF_WATCHES && needed->watches);
}

static int add_conditional(scmp_filter_ctx filter, const struct calls_needed *needed)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof conditional / sizeof *conditional && !failed; i++) {
        const struct conditional *one = &conditional[i];
        struct scmp_arg_cmp arguments[CONDITIONS_MAX];
        unsigned count = 0;
        for (; count < CONDITIONS_MAX && one->arguments[count].op; count++) {
            arguments[count] = one->arguments[count];
            if (arguments[count].datum_b == OWN)
                arguments[count].datum_a = (uint64_t)getpid(), arguments[count].datum_b = 0;
        }
        int number = seccomp_syscall_resolve_name(one->name);
        if (number >= 0 && is_needed(one->when, needed))
            failed = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, count, arguments);
    }
    return failed;
}

static int add_quiet(scmp_filter_ctx filter, const struct calls_needed *needed)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet && !failed; i++) {
        const struct quiet *one = &quiet[i];
        int number = seccomp_syscall_resolve_name(one->name);
        if (number >= 0 && is_needed(one->when, needed))
            failed = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)one->error), number,
                                            one->argument.op ? 1 : 0, &one->argument);
    }
    return failed;
}

static int set_attributes(scmp_filter_ctx filter)
{
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's errno */
    /* Calls of another architecture (x32, 32 bits) would pass by their numbers. */
    if (!failed)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!failed)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    return failed;
}

/* 0 or an errno. */
static int load_filter(const struct calls_needed *needed)
{
    scmp_filter_ctx filter =
        seccomp_init(NAMES_REFUSED ? SCMP_ACT_TRAP : SCMP_ACT_ERRNO((unsigned)EPERM));
    if (!filter)
        return ENOMEM;
    int failed = set_attributes(filter);
    if (!failed && SANITIZED)
        failed = add_plain(filter, allowed_sanitized,
                           sizeof allowed_sanitized / sizeof *allowed_sanitized);
    if (!failed)
        failed = add_plain(filter, allowed, sizeof allowed / sizeof *allowed);
    if (!failed)
        failed = add_conditional(filter, needed);
    if (!failed)
        failed = add_quiet(filter, needed);
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return -failed;
}

/* ---- naming what was refused ---- */

static const char *call_names[CALLS_MAX]; /* made before, since the handler can't */
static bool named[CALLS_MAX];             /* once is enough */

static void learn_names(void)
{
    for (int number = 0; number < CALLS_MAX; number++) {
        if (!call_names[number])
            call_names[number] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    }
}

static void name_call(int number, const int arguments[3])
{
    const char *name = number >= 0 && number < CALLS_MAX ? call_names[number] : NULL;
    if (name && named[number])
        return;
    if (name)
        named[number] = true;
    if (number == SYS_socket)
        log_warning("call-refused",
                    "the system call socket was refused (family %d, type %d, protocol %d): "
                    "services have no use for it",
                    arguments[0], arguments[1], arguments[2]);
    else
        log_warning("call-refused",
                    "the system call %s (number %d) was refused: services have no use for it, or "
                    "for it with these arguments",
                    name ? name : "of no known name", number);
}

static void on_refused(int number, siginfo_t *info, void *context)
{
    int kept = errno, arguments[3] = {0};
    if (info->si_code != CODE_SECCOMP) { /* somebody's kill, which would have ended the process */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    registers_refuse(context, arguments);
    name_call(info->si_syscall, arguments);
    errno = kept;
}

static int catch_refused(void)
{
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigset_t set;
    learn_names();
    sigemptyset(&action.sa_mask);
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return sigaction(SIGSYS, &action, NULL) == 0 ? 0 : errno;
}

enum fh_code calls_filter(const struct calls_needed *needed, enum calls_filtered *ret,
                          struct fh_error *error)
{
    *ret = CALLS_UNFILTERED;
    int failed = NAMES_REFUSED ? catch_refused() : 0;
    if (!failed)
        failed = load_filter(needed);
    if (!failed)
        *ret = NAMES_REFUSED ? CALLS_FILTERED : CALLS_UNNAMED;
    else if (failed != ENOSYS && failed != EINVAL)
        return error_set_errno(error, FH_UNAVAILABLE, failed, "System calls can't be filtered");
    return FH_OK;
}
