/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's side. Its signals are blocked while the child comes into being, so that no handler
 * of ours runs in there. The child waits at a pipe (the gate) until it was admitted; if this
 * process dies before, the gate's end tells it to end. Another pipe, closed by the exec, reports
 * what failed.
 *
 * A pid is ours until we reap it, so a pidfd that is opened after a fork is that of the child.
 */

#define _GNU_SOURCE
#include "system/supervise/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/supervise/spawn_child.h"

#define PIDFD_WAIT ((idtype_t)3) /* P_PIDFD */
#define LOOK_MS 20               /* for a child without a pidfd */

/* What programs, their libraries and their loader ask for, and nothing that names a secret. */
static const char *const passed[] = {
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TZDIR",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    /* OpenSSL's, for certificates that are elsewhere */
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    /* builds with sanitizers, or that measure which lines are run */
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "UBSAN_OPTIONS",
    "TSAN_OPTIONS",
    "GCOV_PREFIX",
    "GCOV_PREFIX_STRIP",
    "LLVM_PROFILE_FILE",
    /* where to die (base/crash.h), which only builds for tests read */
    "FREEHOLD_CRASH",
};

static struct spawned *children; /* not reaped yet */

/* ---- Environment ---- */

bool spawn_passes_variable(const char *variable)
{
    size_t length = strcspn(variable, "=");
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        size_t star = strcspn(passed[i], "*");
        if (strncmp(variable, passed[i], star) == 0 && (passed[i][star] || length == star))
            return true;
    }
    return false;
}

/* malloc'ed, and so is its HOME, the first. */
static char **make_environment(const struct spawn_options *options)
{
    char *const *from = options->environment ? options->environment : environ;
    size_t count = 0, kept = 0;
    while (from[count])
        count++;
    char **made = calloc(count + 3, sizeof *made);
    FH_ASSERT(made != NULL);
    if (options->folder) {
        FH_ASSERT(asprintf(&made[0], "HOME=%s", options->folder) > 0);
        kept = 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (spawn_passes_variable(from[i]))
            made[kept++] = from[i];
    }
    if (options->also)
        made[kept] = (char *)(uintptr_t)options->also;
    return made;
}

static void free_environment(const struct spawn_options *options, char **made)
{
    if (options->folder)
        free(made[0]);
    free(made);
}

/* ---- Creation ---- */

struct creation {
    int report[2], gate[2], null_fd; /* -1: not open */
};

static void close_creation(struct creation *creation)
{
    const int all[] = {creation->report[0], creation->report[1], creation->gate[0],
                       creation->gate[1], creation->null_fd};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] >= 0)
            close(all[i]);
    }
}

/* Out of the way of the numbers that the child's descriptors get. */
static bool move_up(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, SPAWN_DESCRIPTORS_MAX + 2), number = errno;
    close(*fd);
    *fd = moved;
    errno = number;
    return moved >= 0;
}

static bool open_creation(struct creation *creation)
{
    *creation = (struct creation){{-1, -1}, {-1, -1}, -1};
    creation->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return creation->null_fd >= 0 && pipe2(creation->report, O_CLOEXEC) == 0 &&
           pipe2(creation->gate, O_CLOEXEC) == 0 && move_up(&creation->report[1]) &&
           move_up(&creation->gate[0]);
}

/* As fork(2), and sets *pidfd, -1 if the kernel has none. */
static pid_t create_process(enum spawn_avoided avoided, int *pidfd)
{
    *pidfd = -1;
    if (avoided == SPAWN_AVOIDS_NOTHING) {
        struct clone_args arguments = {
            .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = SIGCHLD};
        long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
        if (pid >= 0)
            return (pid_t)pid;
        *pidfd = -1; /* not there, or filtered by what this process is confined with */
    }
    pid_t pid = fork();
    if (pid > 0 && avoided != SPAWN_AVOIDS_PIDFD)
        *pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec */
    return pid;
}

static enum fh_code create_child(struct spawned *spawned, const struct spawn_options *options,
                                 const struct creation *creation, struct fh_error *error)
{
    char **environment = make_environment(options);
    struct spawn_plan plan = {.options = options,
                              .environment = environment,
                              .null_fd = creation->null_fd,
                              .report_fd = creation->report[1],
                              .gate_fd = creation->gate[0],
                              .privileged = geteuid() == 0};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = create_process(options->avoided, &spawned->pidfd);
    if (pid == 0)
        spawn_child_run(&plan);
    int number = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free_environment(options, environment);
    if (pid < 0)
        return error_set_errno(error, FH_UNAVAILABLE, number, "No process can be made");
    spawned->pid = pid;
    return FH_OK;
}

/* ---- Ends ---- */

static void forget_child(struct spawned *spawned)
{
    struct spawned **at = &children;
    while (*at != spawned)
        at = &(*at)->sibling;
    *at = spawned->sibling;
    spawned->pid = 0;
    if (spawned->pidfd >= 0 && !spawned->watched)
        close(spawned->pidfd);
}

/* False: it lives. `flags` as for waitid(2). */
static bool reap_child(struct spawned *spawned, int flags, siginfo_t *ret)
{
    int got;
    do {
        *ret = (siginfo_t){0};
        got = spawned->pidfd >= 0 ? waitid(PIDFD_WAIT, (id_t)spawned->pidfd, ret, WEXITED | flags)
                                  : waitid(P_PID, (id_t)spawned->pid, ret, WEXITED | flags);
        if (got != 0 && errno == EINVAL && spawned->pidfd >= 0) /* a kernel before 5.4 */
            got = waitid(P_PID, (id_t)spawned->pid, ret, WEXITED | flags);
    } while (got != 0 && errno == EINTR);
    return got == 0 && ret->si_pid != 0;
}

static void handle_gone(uv_handle_t *handle)
{
    struct spawned *spawned = handle->data;
    if (spawned->pidfd >= 0)
        close(spawned->pidfd);
    spawned->pidfd = -1;
    spawned->watched = false;
    spawned->closed(spawned);
}

static void look_for_end(struct spawned *spawned)
{
    siginfo_t end;
    if (spawned->pid == 0 || !reap_child(spawned, WNOHANG, &end))
        return;
    bool exited = end.si_code == CLD_EXITED;
    forget_child(spawned);
    spawn_reap_orphans(); /* one that waited behind it */
    uv_close(&spawned->handle.any, handle_gone);
    spawned->ended(spawned, exited ? end.si_status : 0, exited ? 0 : end.si_status);
}

static void pidfd_readable(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    look_for_end(handle->data);
}

static void time_to_look(uv_timer_t *handle)
{
    look_for_end(handle->data);
}

static void watch_child(struct spawned *spawned, uv_loop_t *loop)
{
    int failed;
    if (spawned->pidfd >= 0) {
        failed = uv_poll_init(loop, &spawned->handle.poll, spawned->pidfd);
        FH_ASSERT(failed == 0);
        uv_poll_start(&spawned->handle.poll, UV_READABLE, pidfd_readable);
    } else {
        failed = uv_timer_init(loop, &spawned->handle.timer);
        FH_ASSERT(failed == 0);
        uv_timer_start(&spawned->handle.timer, time_to_look, LOOK_MS, LOOK_MS);
    }
    spawned->handle.any.data = spawned;
    spawned->watched = true;
}

bool spawn_is_ours(pid_t pid)
{
    const struct spawned *spawned = children;
    while (spawned && spawned->pid != pid)
        spawned = spawned->sibling;
    return spawned != NULL;
}

/* The first that has ended may be a child, whose own watcher takes it and calls this again. */
void spawn_reap_orphans(void)
{
    siginfo_t end = {0};
    while (waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid != 0 &&
           !spawn_is_ours(end.si_pid)) {
        pid_t pid = end.si_pid;
        end = (siginfo_t){0};
        waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG);
        end = (siginfo_t){0};
    }
}

void spawn_signal(struct spawned *spawned, int number)
{
    if (spawned->pid == 0)
        return;
    if (spawned->pidfd < 0 ||
        (syscall(SYS_pidfd_send_signal, spawned->pidfd, number, NULL, 0) != 0 && errno == ENOSYS))
        kill(spawned->pid, number);
}

/* ---- Start ---- */

static enum fh_code describe_failure(const struct spawn_failure *failure,
                                     const struct spawn_options *options, struct fh_error *error)
{
    bool folder = strcmp(failure->step, "chdir") == 0;
    if (strcmp(failure->step, "exec") == 0)
        return error_set(error, FH_INVALID, "%s", strerror(failure->number));
    return error_set(error, FH_INVALID, "%s%s%s: %s", failure->step, folder ? " to " : "",
                     folder ? options->folder : "", strerror(failure->number));
}

/* Lets the child go on, and waits until the program runs. */
static enum fh_code let_child_run(struct creation *creation, const struct spawn_options *options,
                                  struct fh_error *error)
{
    struct spawn_failure failure;
    ssize_t got;
    if (write(creation->gate[1], "", 1) != 1)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The process can't be let go on");
    close(creation->report[1]);
    creation->report[1] = -1;
    do
        got = read(creation->report[0], &failure, sizeof failure);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return FH_OK;
    if (got != (ssize_t)sizeof failure)
        return error_set(error, FH_UNAVAILABLE, "The process did not say why it failed.");
    return describe_failure(&failure, options, error);
}

/* One that was not admitted, since it had ended by then: that is why, if it has said so. */
static enum fh_code find_failure(const struct creation *creation,
                                 const struct spawn_options *options, enum fh_code code,
                                 struct fh_error *error)
{
    struct spawn_failure failure;
    fcntl(creation->report[0], F_SETFL, O_NONBLOCK);
    if (read(creation->report[0], &failure, sizeof failure) == (ssize_t)sizeof failure)
        return describe_failure(&failure, options, error);
    return code;
}

enum fh_code spawn_start(struct spawned *spawned, uv_loop_t *loop,
                         const struct spawn_options *options, struct fh_error *error)
{
    struct creation creation;
    siginfo_t end;
    spawned->pid = 0;
    spawned->pidfd = -1;
    spawned->watched = false;
    enum fh_code code = FH_OK;
    if (!open_creation(&creation))
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "No pipe can be made");
    if (code == FH_OK)
        code = create_child(spawned, options, &creation, error);
    if (code != FH_OK) {
        close_creation(&creation);
        return code;
    }
    spawned->sibling = children;
    children = spawned;
    if (options->admit)
        code = options->admit(options->context, spawned->pid, error);
    if (code != FH_OK)
        code = find_failure(&creation, options, code, error);
    if (code == FH_OK)
        code = let_child_run(&creation, options, error);
    close_creation(&creation); /* the gate too: one that was not admitted ends */
    if (code == FH_OK) {
        watch_child(spawned, loop);
        return FH_OK;
    }
    spawn_signal(spawned, SIGKILL);
    reap_child(spawned, 0, &end);
    forget_child(spawned);
    spawned->pidfd = -1;
    return code;
}
