/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold up. With --detach, the process forks at once and waits for one byte: the child does
 * everything, still printing to the terminal, so that errors are seen; when the system is ready the
 * child switches to STATE/up.log and sends the byte.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/operate/up.h"
#include "system/check/programs.h"
#include "system/supervise/supervise.h"

#define UP_LOG_SIZE_MAX (8 << 20)

struct up {
    struct system_file *file;
    struct provision *provision;
    int ready_fd; /* --detach: where the byte goes; -1 otherwise */
    bool logging; /* detached and ready */
    bool json;    /* prints one object when it is ready, and nothing before */
    bool up;
    const char *const *moving; /* services whose stores may be moved; NULL: none */
    struct progress progress;  /* of the current move or restore */
    char what[PROGRESS_LINE_SIZE / 2];
};

/* ---- Printing ---- */

static void say_of_up(void *context, enum supervise_level level, const char *id, const char *text)
{
    static const enum cli_colour colours[] = {CLI_DIM, CLI_GREEN, CLI_YELLOW};
    struct up *up = context;
    progress_hide(&up->progress);
    if (up->json && !up->logging)
        return;
    if (up->logging)
        log_line(level == SUPERVISE_TROUBLE ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, id, "%s", text);
    else
        printf("  %s%s%s\n", cli_colour(stdout, colours[level]), text,
               cli_colour(stdout, CLI_PLAIN));
    fflush(stdout);
}

static void say_step_of_up(void *context, const char *id, const char *text)
{
    say_of_up(context, SUPERVISE_STEP, id, text);
}

static void tell_work(void *context, const char *service, const struct course *course)
{
    struct up *up = context;
    char named[sizeof up->what];
    if (up->logging)
        return;
    snprintf(named, sizeof named, "  %s", service);
    if (strcmp(named, up->what) != 0) {
        progress_end(&up->progress);
        memcpy(up->what, named, sizeof named);
        progress_begin(&up->progress, up->what, course_unit(course), 0, up->json);
    }
    progress_follow(&up->progress, course);
}

/* ---- Detaching ---- */

static volatile sig_atomic_t detached_pid;

static void pass_signal_on(int number)
{
    if (detached_pid > 0)
        kill((pid_t)detached_pid, number);
}

/* In the original process: returns its exit code. */
static int await_detached(pid_t pid, int ready_fd)
{
    char byte;
    ssize_t length;
    int status;
    struct sigaction action = {.sa_handler = pass_signal_on};
    detached_pid = pid;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    do
        length = read(ready_fd, &byte, 1);
    while (length < 0 && errno == EINTR);
    if (length == 1)
        return CLI_DONE;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return CLI_FAILED;
    }
    /* Being stopped before it was ready is a failure, whatever the child's exit code. */
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : CLI_FAILED;
}

static void turn_to_log(struct up *up)
{
    int folder_fd = up->provision->state.folder_fd;
    struct stat status;
    if (fstatat(folder_fd, "up.log", &status, 0) == 0 && status.st_size > UP_LOG_SIZE_MAX)
        renameat(folder_fd, "up.log", folder_fd, "up.log.1");
    int log_fd = openat(folder_fd, "up.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    fflush(stdout);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    close(log_fd);
    up->logging = true;
    log_init("up", LOG_LEVEL_INFO);
}

static void tell_up_ready(const struct up *up)
{
    const struct provision *provision = up->provision;
    const char *scheme = up->file->door_certificate ? "https" : "http";
    const char *address = provision->parts[provision->part_count - 1].address;
    if (up->json) {
        json_t *told = json_pack("{s:s, s:o, s:s, s:i}", "system", up->file->name, "url",
                                 json_sprintf("%s://%s", scheme, address), "state",
                                 provision->state.folder, "pid", (int)getpid());
        cli_print_json(told);
        json_decref(told);
    } else {
        printf("%s%s is up%s at %s://%s\n", cli_colour(stdout, CLI_BOLD), up->file->name,
               cli_colour(stdout, CLI_PLAIN), scheme, address);
        if (up->file->gateway_exposure[EXPOSED_DOCS] == EXPOSURE_PUBLIC)
            printf("Its routes and events: %s://%s/docs\n", scheme, address);
        else if (*provision->inside && up->file->gateway_exposure[EXPOSED_DOCS] != EXPOSURE_OFF)
            printf("Its routes and events: http://%s/docs\n", provision->inside);
        if (up->ready_fd < 0)
            printf("Ctrl-C stops it.\n");
        else
            printf("Stop it with: freehold stop --state %s\n", provision->state.folder);
    }
    fflush(stdout);
}

static void up_ready(void *context)
{
    struct up *up = context;
    up->up = true;
    cli_end(CLI_DONE);
    tell_up_ready(up);
    if (up->ready_fd < 0)
        return;
    turn_to_log(up);
    log_info("system-started", "%s is up, pid %d", up->file->name, (int)getpid());
    if (write(up->ready_fd, "R", 1) < 0)
        log_warning("starter-lost",
                    "the command that started this system has ended"); /* it stays up */
    close(up->ready_fd);
}

/* ---- Starting ---- */

static int refuse_start(const struct up *up, const char *folder, const char *listen,
                        enum fh_code code, pid_t holder, const struct fh_error *error)
{
    if (code == FH_CONFLICT && holder && up->moving)
        return cli_fail(CLI_FAILED, "%s is up, pid %d; move it so: freehold move %s --state %s",
                        up->file->name, (int)holder, up->moving[0], folder);
    if (code == FH_CONFLICT && holder)
        return cli_fail(CLI_FAILED,
                        "%s is up already, pid %d; stop it with: freehold stop --state %s",
                        up->file->name, (int)holder, folder);
    if (code == FH_CONFLICT)
        return cli_fail(
            CLI_FAILED,
            "%s Choose another address with --listen ADDRESS:PORT; 127.0.0.1:0 takes any "
            "free port.",
            error->message);
    if (strcmp(error->native, "EACCES") == 0 || strcmp(error->native, "EPERM") == 0)
        return cli_fail(CLI_FAILED,
                        "%s. This is user %d; the state folder %s and all below it must be this "
                        "user's: start it as the user who did before, or name another state "
                        "folder with --state",
                        error->message, (int)geteuid(), folder);
    return cli_fail(listen && code == FH_INVALID ? CLI_USAGE : CLI_FAILED, "%s", error->message);
}

static int supervise_system(struct up *up)
{
    struct supervise_options options = {.file = up->file,
                                        .provision = up->provision,
                                        .environment = load_environment(up->file),
                                        .give_up = up->ready_fd >= 0,
                                        .say = say_of_up,
                                        .works = tell_work,
                                        .ready = up_ready,
                                        .context = up};
    int code = supervise_run(&options);
    if (code)
        return cli_fail(CLI_FAILED, "%s could not be started", up->file->name);
    say_of_up(up, SUPERVISE_DONE, "system-stopped", "stopped");
    return CLI_DONE;
}

static int start_up(struct up *up, const struct cli_command *command, const char **values)
{
    struct fh_error error;
    struct arena *arena = &up->file->arena;
    const char *folder = cli_value(command, values, "--state");
    const char *listen = cli_value(command, values, "--listen");
    if (!folder)
        folder = cli_default_state(arena, up->file->folder, up->file->name);
    struct provision_options options = {
        .file = up->file,
        .state_folder = folder,
        .listen = listen ? listen : up->file->listen,
        .command = arena_printf(arena, "%s/freehold", programs_own_folder(arena)),
        .moving = up->moving,
        .abandon = up->moving && cli_value(command, values, "--abandon"),
        .say = say_step_of_up,
        .context = up};
    pid_t holder;
    enum fh_code code = provision_system(&options, &up->provision, &holder, &error);
    if (code != FH_OK)
        return refuse_start(up, folder, listen, code, holder, &error);
    if (!cli_value(command, values, "--state"))
        load_hide(up->provision);
    if (!up->json)
        printf("%s%s%s: %zu service%s and the gateway, state in %s\n", cli_colour(stdout, CLI_BOLD),
               up->file->name, cli_colour(stdout, CLI_PLAIN), up->file->service_count,
               up->file->service_count == 1 ? "" : "s", up->provision->state.folder);
    struct cli_act act;
    json_t *with = json_pack("{s:s, s:s*, s:s*}", "file", up->file->path, "profile",
                             up->file->profile, "listen", listen);
    json_t *services = up->moving ? json_array() : NULL;
    for (const char *const *name = up->moving; name && *name; name++)
        json_array_append_new(services, json_string(*name));
    if (services) {
        json_object_set_new(with, "services", services);
        json_object_set_new(with, "abandon", json_boolean(options.abandon));
    }
    /* No log may keep a system down: unrecorded it comes up all the same, and says so. */
    if (cli_audit_begin(&act, &up->provision->state, up->moving ? "move" : "up", NULL, with) !=
        CLI_DONE)
        cli_note(CLI_PLAIN, "It starts all the same; nothing else is done until that is mended.");
    int result = cli_audit_end(&act, supervise_system(up), NULL);
    provision_free(up->provision);
    return result;
}

static int detach_up(struct up *up, int *ret_code)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        *ret_code = cli_fail(CLI_FAILED, "cannot make a pipe: %s", strerror(errno));
        return 0;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        *ret_code = cli_fail(CLI_FAILED, "cannot fork: %s", strerror(errno));
        return 0;
    }
    if (pid > 0) {
        close(ends[1]);
        *ret_code = await_detached(pid, ends[0]);
        return 0;
    }
    close(ends[0]);
    setsid();
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
    up->ready_fd = ends[1];
    return 1;
}

static bool know_all(struct system_file *file, const char *const *names)
{
    for (; names && *names; names++) {
        if (!system_file_service(file, *names)) {
            load_no_service(file, *names);
            return false;
        }
    }
    return true;
}

/* `moving`: the services whose stores may be moved, or NULL. */
static int bring_up(const struct cli_command *command, char **words, const char **values,
                    const char *const *moving)
{
    struct findings findings = {0};
    struct up up = {
        .ready_fd = -1, .json = cli_value(command, values, "--json") != NULL, .moving = moving};
    int code = CLI_FAILED;
    if (cli_value(command, values, "--detach") && !detach_up(&up, &code))
        return code;
    struct load_options options = load_options_of(command, values, words[0]);
    options.listen = cli_value(command, values, "--listen");
    options.leave = moving;
    options.abandon = moving && cli_value(command, values, "--abandon");
    up.file = load_system(&options, &findings);
    cli_print_findings(&findings);
    if (up.file && !know_all(up.file, moving))
        code = CLI_USAGE;
    else if (up.file)
        code = start_up(&up, command, values);
    else
        cli_fail(code, "not started: %zu error%s", findings.errors,
                 findings.errors == 1 ? "" : "s");
    system_file_free(up.file);
    findings_release(&findings);
    return code;
}

static int run_up(const struct cli_command *command, char **words, const char **values)
{
    return bring_up(command, words, values, NULL);
}

int up_move(const struct cli_command *command, char **words, const char **values)
{
    return bring_up(command, words, values, (const char *const *)(words + 1));
}

const struct cli_command cli_up = {
    .name = "up",
    .words = "[FILE]",
    .words_max = 1,
    .summary = "Start a system: services, each with its store, and the gateway",
    .text = "Checks the file and the programs, makes what is missing, starts one process for each\n"
            "service, and starts again what dies. Ctrl-C stops in order; twice, at once.\n"
            "Exit codes: 0 stopped as asked (with --detach: ready), 1 failed, 2 wrong usage.\n",
    .options = {CLI_OPTION_STATE_BESIDE,
                {"--listen", "ADDR:PORT", "where the gateway listens; port 0 is any free one"},
                CLI_OPTION_PROFILE,
                CLI_OPTION_PROGRAMS,
                {"--detach", NULL, "go to the background; returns when everything is ready"},
                {"--json", NULL, "say nothing but where it is, in JSON, when it is ready"}},
    .run = run_up,
};
