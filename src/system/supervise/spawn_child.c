/* SPDX-License-Identifier: Apache-2.0 */
/*
 * It runs in a copy of a process that may have had threads: only async-signal-safe calls, and raw
 * system calls where glibc would talk to the other threads.
 *
 * The order is that of what each step needs: the room needs all privileges; the folder may be below
 * one that only root may pass; the bounding set and the securebits need CAP_SETPCAP; the change of
 * user needs CAP_SETUID; then all capabilities go. Where CAP_SETPCAP is missing (not root, or
 * root in a container), the bounding set stays as it is, and no_new_privs alone keeps an exec from
 * giving anything: the kernel then cuts what root's exec would gain to what it had, nothing.
 */

#define _GNU_SOURCE
#include "system/supervise/spawn_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls with 32-bit ids: on 32-bit machines the plain names are the older ones. */
#ifdef SYS_setresuid32
#define CALL_SETRESUID SYS_setresuid32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETGROUPS SYS_setgroups32
#else
#define CALL_SETRESUID SYS_setresuid
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETGROUPS SYS_setgroups
#endif

#define REPORT_FD SPAWN_DESCRIPTORS_MAX
#define GATE_FD (SPAWN_DESCRIPTORS_MAX + 1)
#define KEPT_DESCRIPTORS (SPAWN_DESCRIPTORS_MAX + 2)
#define CAPABILITIES_MAX 64
#define EXIT_NOT_RUN 127

static const unsigned long securebits =
    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

/* The kernel's own call: glibc's refuses the two signals that it keeps to itself, and programs that
 * start us (make) may have them ignored. Of SIGKILL and SIGSTOP it is refused. */
static const char *reset_signals(void)
{
    sigset_t none;
    static const uint64_t plain[8]; /* the kernel's struct: SIG_DFL, no flags, nothing blocked */
    for (int number = 1; number < NSIG; number++)
        syscall(SYS_rt_sigaction, number, plain, NULL, sizeof(uint64_t));
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) == 0 ? NULL : "sigprocmask";
}

/* ---- Descriptors ---- */

/* Where close_range(2) is missing: names of /proc/self/fd, without malloc. */
static const char *close_named(unsigned from)
{
    char buffer[2048];
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return "open /proc/self/fd";
    long length;
    while ((length = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < length;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            unsigned number = 0;
            for (const char *digit = entry->d_name; *digit >= '0' && *digit <= '9'; digit++)
                number = number * 10 + (unsigned)(*digit - '0');
            if (number >= from && number != (unsigned)folder)
                close((int)number);
            at += entry->d_reclen;
        }
    }
    close(folder);
    return length == 0 ? NULL : "getdents64";
}

static const char *close_from(unsigned from)
{
    return syscall(SYS_close_range, from, ~0U, 0) == 0 ? NULL : close_named(from);
}

/* First all out of the way of the wanted numbers, then to these. */
static const char *place_descriptors(const struct spawn_plan *plan)
{
    int from[KEPT_DESCRIPTORS];
    for (int i = 0; i < SPAWN_DESCRIPTORS_MAX; i++)
        from[i] = i < 3 && plan->options->descriptors[i] < 0 ? plan->null_fd
                                                             : plan->options->descriptors[i];
    from[REPORT_FD] = plan->report_fd;
    from[GATE_FD] = plan->gate_fd;
    for (int i = 0; i < KEPT_DESCRIPTORS; i++) {
        if (from[i] >= 0 && (from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, KEPT_DESCRIPTORS)) < 0)
            return "fcntl(F_DUPFD_CLOEXEC)";
    }
    for (int i = 0; i < KEPT_DESCRIPTORS; i++) {
        int flags = i >= SPAWN_DESCRIPTORS_MAX ? O_CLOEXEC : 0;
        if (from[i] < 0)
            close(i);
        else if (dup3(from[i], i, flags) < 0)
            return "dup3";
    }
    return close_from(KEPT_DESCRIPTORS);
}

/* ---- Privileges ---- */

/* A kernel without the call, or a parent without CAP_SETPCAP, leaves it to no_new_privs. */
static const char *empty_bounds(void)
{
    if (prctl(PR_SET_SECUREBITS, securebits) != 0 && errno != EPERM && errno != EINVAL)
        return "prctl(PR_SET_SECUREBITS)";
    for (unsigned long i = 0; i < CAPABILITIES_MAX; i++) {
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            return errno == EINVAL || errno == EPERM ? NULL : "prctl(PR_CAPBSET_DROP)";
    }
    return NULL;
}

static const char *switch_user(const struct spawn_plan *plan)
{
    uid_t user = plan->options->user;
    gid_t group = plan->options->group ? plan->options->group : (gid_t)user;
    /* If not root, they stay those of `up`. */
    if (syscall(CALL_SETGROUPS, 0, NULL) != 0 && plan->privileged)
        return "setgroups";
    if (user == 0)
        return NULL;
    if (syscall(CALL_SETRESGID, group, group, group) != 0)
        return "setresgid";
    return syscall(CALL_SETRESUID, user, user, user) == 0 ? NULL : "setresuid";
}

static const char *give_privileges_up(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return "prctl(PR_CAP_AMBIENT)";
    if (syscall(SYS_capset, &header, none) != 0)
        return "capset";
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? NULL : "prctl(PR_SET_NO_NEW_PRIVS)";
}

static const char *forbid_core_dumps(void)
{
    return setrlimit(RLIMIT_CORE, &(struct rlimit){0}) == 0 ? NULL : "setrlimit(RLIMIT_CORE)";
}

/* ---- Steps ---- */

/* Returns the step that failed, with errno. */
static const char *become_unprivileged(const struct spawn_plan *plan)
{
    const struct spawn_options *options = plan->options;
    setsid();
    const char *failed = reset_signals();
    if (!failed && options->room)
        failed = options->room->enter(options->room->argument);
    if (!failed)
        failed = place_descriptors(plan);
    if (!failed && options->folder && chdir(options->folder) != 0)
        failed = "chdir";
    if (!failed)
        failed = forbid_core_dumps();
    /* Not all kernels have keyrings, and a quota may be used up: then it is only the parent's. */
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    if (!failed)
        failed = empty_bounds();
    if (!failed)
        failed = switch_user(plan);
    return failed ? failed : give_privileges_up();
}

/* The pipe is at its new number, or still at its old one, which is closed last. */
static _Noreturn void report_failure(int report_fd, const char *step)
{
    struct spawn_failure failure = {step, errno};
    ssize_t written = write(report_fd, &failure, sizeof failure);
    if (written < 0 && errno == EBADF)
        written = write(REPORT_FD, &failure, sizeof failure);
    _exit(written < 0 ? EXIT_NOT_RUN - 1 : EXIT_NOT_RUN);
}

_Noreturn void spawn_child_run(const struct spawn_plan *plan)
{
    char byte;
    ssize_t got;
    const char *failed = become_unprivileged(plan);
    if (failed)
        report_failure(plan->report_fd, failed);
    do
        got = read(GATE_FD, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(EXIT_NOT_RUN);
    execve(plan->options->program, plan->options->arguments, plan->environment);
    report_failure(REPORT_FD, "exec");
}
