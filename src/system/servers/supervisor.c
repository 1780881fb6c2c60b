/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEPT_MAKING ──made──▸ KEPT_STARTING ──answers, stores are provisioned──▸ KEPT_READY
 *  any ──SIGTERM, or `up` is gone──▸ KEPT_STOPPING ──the server has ended──▸ exit
 *  any ──the server has ended──▸ exit 1, and `up` starts a new supervisor
 *
 * A new server is made in data.new, which is renamed once it is complete, with a file "unfinished"
 * next to it until it has first been KEPT_READY (some servers finish their setup at their first
 * start). A supervisor that finds no data, or "unfinished", starts over: nobody has been told of
 * the server yet. If the supervisor itself is killed, the kernel ends the server at once
 * (PR_SET_PDEATHSIG), and the server recovers what it had committed at its next start: otherwise a
 * server without a supervisor would be left that nobody stops. A supervisor that starts too early,
 * while the former server is still ending, fails on the lock that the server inherited, and is
 * started again: not every kind of server would notice that another one still writes its data.
 *
 * KEPT_READY ──it hangs in part (`probe`), each time it is asked──▸ the server is killed
 * KEPT_READY ──its disk was full, has room again, and `stays_broken`──▸ the server is killed
 *
 * While KEPT_MAKING and KEPT_STARTING it reports that it is working, and `up` waits: recovering a
 * large store may take as long as it needs. All calls to the server block, each for a few seconds
 * at most.
 */

#define _GNU_SOURCE
#include "system/servers/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "service/process.h"
#include "store/server.h"
#include "system/file/bus.h"
#include "system/servers/sockets.h"

#define DATA "data"
#define DATA_NEW "data.new"
#define UNFINISHED "unfinished"
#define LOCK "server.lock"
#define NET_CONNECT_TCP (UINT64_C(1) << 1) /* LANDLOCK_ACCESS_NET_CONNECT_TCP */
#define TRY_MS 100                         /* between attempts to reach a starting server */
#define FOLDERS_OPEN_MAX 16
#define DISK_FULL (UINT64_C(1) << 20)
#define DISK_HAS_ROOM (UINT64_C(16) << 20)
#define PROBE_BEATS 10       /* of a ready server, from one probe to the next */
#define PROBE_FAILURES_MAX 4 /* one after the other, at each beat: then it hangs */

enum kept_phase { KEPT_MAKING, KEPT_STARTING, KEPT_READY, KEPT_STOPPING };

struct server_supervisor {
    json_t *config;
    const struct server_kind *kind;
    struct arena arena;
    struct server_own own;
    json_t *admin; /* address and credentials for administering the server */
    enum kept_phase phase;
    int exit_code; /* after KEPT_STOPPING */
    unsigned beats, probe_turn, probe_failures;
    bool disk_was_full;
    pid_t pid; /* of the current child: the program that makes the server, then the server */
    int signal_fd, control_fd, lock_fd;
    const char *socket; /* its path; NULL: it listens on a port */
    sigset_t signals, before;
};

static void tell_up(const struct server_supervisor *supervisor, const char *line)
{
    /* A full channel loses a heartbeat; poll notices a closed one. */
    if (send(supervisor->control_fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

/* ---- The server's process ---- */

/* Whatever its users have it do: it may listen, and connect to nobody. */
static void forbid_connecting(void)
{
    const struct {
        uint64_t files, net;
    } handled = {.net = NET_CONNECT_TCP};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0U);
    if (rules < 0)
        return; /* before 6.7 */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    syscall(SYS_landlock_restrict_self, rules, 0U);
    close(rules);
}

static enum fh_code spawn_server(struct server_supervisor *supervisor,
                                 const struct server_command *command, int signal,
                                 struct fh_error *error)
{
    pid_t parent = getpid();
    supervisor->pid = fork();
    if (supervisor->pid < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The server can't be started");
    if (supervisor->pid > 0)
        return FH_OK;
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
    prctl(PR_SET_PDEATHSIG, signal);
    if (command->secret)
        setenv(command->secret_name, command->secret, 1);
    fcntl(supervisor->lock_fd, F_SETFD, 0); /* held until the server has ended */
    if (supervisor->kind->connects_nowhere)
        forbid_connecting();
    if (getppid() == parent)
        execv(command->arguments[0], (char *const *)(uintptr_t)command->arguments);
    _exit(127);
}

static int remove_server_file(const char *path, const struct stat *status, int kind,
                              struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static enum fh_code begin_making(struct server_supervisor *supervisor, struct fh_error *error)
{
    struct server_command command = {.arena = &supervisor->arena};
    struct server_own own = supervisor->own;
    nftw(DATA_NEW, remove_server_file, FOLDERS_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
    nftw(DATA, remove_server_file, FOLDERS_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
    own.data = arena_printf(&supervisor->arena, "%s/" DATA_NEW, own.folder);
    log_info("server-creation-begun", "making a new %s server", supervisor->kind->engine);
    supervisor->phase = KEPT_MAKING;
    enum fh_code code = supervisor->kind->make(&own, &command, error);
    return code == FH_OK ? spawn_server(supervisor, &command, SIGKILL, error) : code;
}

static enum fh_code begin_running(struct server_supervisor *supervisor, struct fh_error *error)
{
    struct server_command command = {.arena = &supervisor->arena};
    supervisor->phase = KEPT_STARTING;
    if (supervisor->socket) /* a server that was killed leaves it, and nobody listens there */
        unlink(supervisor->socket);
    enum fh_code code = supervisor->kind->run(&supervisor->own, &command, error);
    return code == FH_OK ? spawn_server(supervisor, &command, supervisor->kind->death_signal, error)
                         : code;
}

static enum fh_code finish_making(struct server_supervisor *supervisor, struct fh_error *error)
{
    unlink(SERVER_SECRET);
    int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int marker = open(UNFINISHED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool moved = marker >= 0 && folder >= 0 && rename(DATA_NEW, DATA) == 0 && fsync(folder) == 0;
    int number = errno;
    if (marker >= 0)
        close(marker);
    if (folder >= 0)
        close(folder);
    if (!moved)
        return error_set_errno(error, FH_UNAVAILABLE, number, "The new server can't be moved to %s",
                               supervisor->own.data);
    return begin_running(supervisor, error);
}

static void stop_server_process(struct server_supervisor *supervisor)
{
    if (supervisor->phase == KEPT_STOPPING)
        return;
    /* The program that makes it is a script with children: signal the whole group. */
    if (supervisor->pid)
        kill(supervisor->phase == KEPT_MAKING ? -supervisor->pid : supervisor->pid,
             supervisor->phase == KEPT_MAKING ? SIGTERM : supervisor->kind->stop_signal);
    supervisor->phase = KEPT_STOPPING;
}

/* ---- Getting ready ---- */

static enum fh_code provide_all(struct server_supervisor *supervisor, struct fh_error *error)
{
    size_t i;
    json_t *store;
    enum fh_code code = FH_OK;
    json_array_foreach (json_object_get(supervisor->config, "stores"), i, store) {
        if (code == FH_OK)
            code = server_provide(supervisor->kind, supervisor->admin, store, true, error);
        tell_up(supervisor, supervisor->phase == KEPT_READY ? "beat\n" : "working\n");
    }
    return code;
}

/* Before anyone is told: data written from now on must never be taken for a half-made server's, not
 * even after a power failure. */
static enum fh_code mark_finished(struct fh_error *error)
{
    unlink(SERVER_SECRET);
    if (unlink(UNFINISHED) != 0)
        return FH_OK; /* it was finished before */
    int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool durable = folder >= 0 && fsync(folder) == 0;
    int number = errno;
    if (folder >= 0)
        close(folder);
    return durable ? FH_OK
                   : error_set_errno(error, FH_UNAVAILABLE, number, "The folder is not durable");
}

/* FH_OK: go on, whether it is ready or not. */
static enum fh_code try_ready(struct server_supervisor *supervisor, struct fh_error *error)
{
    enum fh_code code = supervisor->kind->enter(supervisor->admin, error);
    if (code == FH_OK && supervisor->kind->settle)
        code = supervisor->kind->settle(supervisor->admin, supervisor->own.stores, error);
    if (code == FH_UNAVAILABLE)
        return FH_OK; /* it does not answer yet; or it has ended, which reap_server() will notice */
    if (code == FH_OK && supervisor->socket &&
        chmod(supervisor->socket, 0777) != 0) /* its folder says who reaches it */
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "The server's socket can't be opened");
    if (code == FH_OK && supervisor->kind->provide)
        code = provide_all(supervisor, error);
    if (code == FH_OK)
        code = mark_finished(error);
    if (code == FH_OK) {
        supervisor->phase = KEPT_READY;
        tell_up(supervisor, "ready\n");
    }
    return code;
}

/* ---- The loop ---- */

/* Handles the end of a child. Returns -1 to go on, or the exit code. */
static int reap_server(struct server_supervisor *supervisor, struct fh_error *error)
{
    int status;
    if (supervisor->pid == 0 || waitpid(supervisor->pid, &status, WNOHANG) != supervisor->pid)
        return -1;
    supervisor->pid = 0;
    bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (supervisor->phase == KEPT_STOPPING)
        return supervisor->exit_code;
    if (supervisor->phase == KEPT_MAKING && well) {
        if (finish_making(supervisor, error) == FH_OK)
            return -1;
        log_error("server-creation-failed", "%s", error->message);
        return PROCESS_EXIT_FAILED;
    }
    if (WIFSIGNALED(status))
        log_error("server-killed", "the %s server was killed by signal %d",
                  supervisor->kind->engine, WTERMSIG(status));
    else if (supervisor->phase == KEPT_MAKING)
        log_error("server-creation-failed",
                  "the %s server could not be made: it ended with exit code %d",
                  supervisor->kind->engine, WEXITSTATUS(status));
    else
        log_error("server-ended", "the %s server has ended with exit code %d",
                  supervisor->kind->engine, WEXITSTATUS(status));
    return PROCESS_EXIT_FAILED;
}

static void take_events(struct server_supervisor *supervisor, const struct pollfd *watched)
{
    struct signalfd_siginfo info;
    char ignored[64];
    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD)
            stop_server_process(supervisor);
    }
    if (watched[1].revents &&
        recv(supervisor->control_fd, ignored, sizeof ignored, MSG_DONTWAIT) == 0) {
        supervisor->control_fd = -1; /* `up` is gone */
        stop_server_process(supervisor);
    }
}

/* One that hangs is killed, and started anew like any that has ended. */
static void probe_server(struct server_supervisor *supervisor)
{
    struct fh_error error = {0};
    if (supervisor->phase != KEPT_READY || !supervisor->kind->probe ||
        (!supervisor->probe_failures && ++supervisor->beats % PROBE_BEATS))
        return;
    enum fh_code code = supervisor->kind->probe(supervisor->admin, supervisor->own.stores,
                                                supervisor->probe_turn, &error);
    if (code != FH_CONFLICT) {
        supervisor->probe_turn++;
        supervisor->probe_failures = 0;
        return;
    }
    if (++supervisor->probe_failures < PROBE_FAILURES_MAX)
        return;
    log_error("server-hangs", "%s It is started anew.", error.message);
    kill(supervisor->pid, SIGKILL);
}

/* RabbitMQ's log of its queues ends for good when it can't be written, and says so nowhere. */
static void look_at_disk(struct server_supervisor *supervisor)
{
    struct statvfs disk;
    if (!supervisor->kind->stays_broken || supervisor->phase == KEPT_MAKING ||
        supervisor->phase == KEPT_STOPPING || statvfs(DATA, &disk) != 0)
        return;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (left < DISK_FULL && !supervisor->disk_was_full) {
        supervisor->disk_was_full = true;
        log_error("server-disk-full", "the disk of the %s server is full",
                  supervisor->kind->engine);
    } else if (left > DISK_HAS_ROOM && supervisor->disk_was_full &&
               supervisor->phase == KEPT_READY) {
        log_error("server-restarted",
                  "the disk of the %s server has room again: the server is started anew",
                  supervisor->kind->engine);
        kill(supervisor->pid, SIGKILL);
    }
}

static int supervise_turn(struct server_supervisor *supervisor)
{
    struct fh_error error = {0};
    for (;;) {
        struct pollfd watched[2] = {{.fd = supervisor->signal_fd, .events = POLLIN},
                                    {.fd = supervisor->control_fd, .events = POLLIN}};
        poll(watched, 2, supervisor->phase == KEPT_STARTING ? TRY_MS : PROCESS_BEAT_MS);
        take_events(supervisor, watched);
        int code = reap_server(supervisor, &error);
        if (code >= 0)
            return code;
        if (supervisor->phase == KEPT_STARTING && try_ready(supervisor, &error) != FH_OK) {
            log_error("server-start-failed", "%s", error.message);
            supervisor->exit_code =
                error.code == FH_UNAVAILABLE ? PROCESS_EXIT_FAILED : PROCESS_EXIT_CONFIGURATION;
            stop_server_process(supervisor);
        }
        tell_up(supervisor, supervisor->phase == KEPT_READY ? "beat\n" : "working\n");
        probe_server(supervisor);
        look_at_disk(supervisor);
    }
}

/* Whatever the configuration says: a former version's server had a port, and the state folder may
 * have been elsewhere. */
static void readdress_stores(const struct server_supervisor *supervisor)
{
    size_t i;
    json_t *store;
    json_array_foreach (json_object_get(supervisor->config, "stores"), i, store) {
        json_object_set(store, "host", json_object_get(supervisor->admin, "host"));
        json_object_set(store, "port", json_object_get(supervisor->admin, "port"));
    }
}

static void address_supervised(struct server_supervisor *supervisor)
{
    const struct server_own *own = &supervisor->own;
    const char *socket = supervisor->kind->socket;
    json_t *host =
        socket ? json_sprintf("%s/%s", own->data, own->sockets) : json_string("127.0.0.1");
    supervisor->admin = json_pack("{s:o, s:i, s:s, s:s}", "host", host, "port",
                                  socket ? supervisor->kind->port : own->port, "user",
                                  SERVER_SUPERUSER, "password", own->password);
    if (!socket) {
        json_object_set_new(supervisor->admin, "tls",
                            json_pack("{s:s, s:s}", "mode", "verify", "ca", own->ca));
        return;
    }
    readdress_stores(supervisor);
    supervisor->socket =
        arena_printf(&supervisor->arena, "%s/%s/%s", own->data, own->sockets, socket);
}

static enum fh_code lock_data(struct server_supervisor *supervisor, struct fh_error *error)
{
    supervisor->lock_fd = open(LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (supervisor->lock_fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The server's lock can't be opened");
    if (flock(supervisor->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(error, FH_UNAVAILABLE, "The former server has not ended yet.");
    return FH_OK;
}

static enum fh_code prepare_supervised(struct server_supervisor *supervisor, struct fh_error *error)
{
    const char *broker = server_text(supervisor->config, "broker");
    const char *derived = server_text(supervisor->config, "derived");
    const char *engine = *broker    ? broker
                         : *derived ? derived
                                    : server_text(supervisor->config, "engine");
    const char *folder = server_text(supervisor->config, "folder");
    supervisor->kind = system_kind_configured(supervisor->config);
    if (!supervisor->kind)
        return error_set(error, FH_INVALID, "%s is not built in.", engine);
    supervisor->own = (struct server_own){
        .arena = &supervisor->arena,
        .programs = supervisor->kind->programs(&supervisor->arena),
        .folder = folder,
        .data = arena_printf(&supervisor->arena, "%s/" DATA, folder),
        .sockets = arena_printf(&supervisor->arena, "../../../" SERVERS_SOCKETS "/%s",
                                server_text(supervisor->config, "server")),
        .password = server_text(supervisor->config, "password"),
        .settings = json_object_get(supervisor->config, "settings"),
        .stores = json_object_get(supervisor->config, "stores"),
        .port = server_port(supervisor->config, 0),
        .certificate = server_text(supervisor->config, "certificate"),
        .key = server_text(supervisor->config, "key"),
        .ca = server_text(supervisor->config, "ca")};
    address_supervised(supervisor);
    if (!supervisor->own.programs)
        return error_set(error, FH_INVALID, "%s is not installed: %s.", engine,
                         supervisor->kind->install);
    if (chdir(folder) != 0)
        return error_set_errno(error, FH_INVALID, errno, "The folder %s can't be entered", folder);
    json_int_t control_fd = -1;
    json_integer_at(supervisor->config, "control_fd", &control_fd);
    supervisor->control_fd = (int)control_fd;
    for (int fd = 3; fd < 6; fd++) /* `up` meant these for this process only */
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    supervisor->signal_fd = signalfd(-1, &supervisor->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return supervisor->signal_fd < 0
               ? error_set_errno(error, FH_UNAVAILABLE, errno, "Signals can't be awaited")
               : lock_data(supervisor, error);
}

int server_supervisor_main(const char *config_path)
{
    struct fh_error error = {0};
    struct server_supervisor supervisor = {.control_fd = -1, .signal_fd = -1, .lock_fd = -1};
    log_init("server", LOG_LEVEL_INFO);
    arena_init(&supervisor.arena, ARENA_SIZE_MAX);
    sigemptyset(&supervisor.signals);
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&supervisor.signals, numbers[i]);
    sigprocmask(SIG_BLOCK, &supervisor.signals, &supervisor.before);
    enum fh_code code = process_config_read(NULL, config_path, &supervisor.config, &error);
    if (code == FH_OK)
        code = prepare_supervised(&supervisor, &error);
    if (code == FH_OK)
        code = access(DATA, F_OK) == 0 && access(UNFINISHED, F_OK) != 0
                   ? begin_running(&supervisor, &error)
                   : begin_making(&supervisor, &error);
    int exit_code = PROCESS_EXIT_FAILED;
    if (code == FH_OK)
        exit_code = supervise_turn(&supervisor);
    else
        log_error("server-start-failed", "%s", error.message);
    if (code == FH_INVALID)
        exit_code = PROCESS_EXIT_CONFIGURATION;
    json_decref(supervisor.admin);
    json_decref(supervisor.config);
    arena_release(&supervisor.arena);
    return exit_code;
}
