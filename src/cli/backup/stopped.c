/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stopped system's stores are read by the services' own programs, each run only for this, by
 * system/supervise/tasks.h: with the service's user, its confinement and its configured access to
 * the store. The state folder stays locked from before the first until all files are taken, so no
 * `up` can begin meanwhile. The file, its profile and the configurations are those of the last
 * `up`. Nothing is changed.
 */

#include "cli/backup/backup.h"

#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/load.h"
#include "service/backup.h"
#include "system/check/programs.h"
#include "system/supervise/tasks.h"

struct stopped {
    const struct backup_stopped *options;
    struct system_file *file;
    struct provision *provision;
    bool chosen[PROVISION_PARTS_MAX];
    struct progress progress;
    json_t *results;
};

static void say_of_backup(void *context, enum supervise_level level, const char *text)
{
    static const enum cli_colour colours[] = {CLI_DIM, CLI_GREEN, CLI_YELLOW};
    struct stopped *stopped = context;
    progress_hide(&stopped->progress);
    cli_note(colours[level], "  %s", text);
}

/* They work side by side; shows the first that is still copying. */
static void look_at_copies(void *context)
{
    struct stopped *stopped = context;
    const struct provision *provision = stopped->provision;
    for (size_t i = 0; i < provision->part_count; i++) {
        json_t *status = NULL;
        if (!stopped->chosen[i] ||
            state_read_json(provision->parts[i].folder_fd, SERVICE_BACKUP_STATUS, &status,
                            ERROR_UNHEEDED) != FH_OK)
            continue;
        const char *state = json_string_at(status, "state");
        bool copying = state && strcmp(state, "copying") == 0;
        if (copying) {
            stopped->progress.what = provision->parts[i].name;
            taking_tell(&stopped->progress, status);
        }
        json_decref(status);
        if (copying)
            return;
    }
}

/* ---- Whose stores ---- */

static int choose_one(struct stopped *stopped, const char *name)
{
    const struct system_service *service = system_file_service(stopped->file, name);
    if (!service)
        return cli_fail(CLI_FAILED,
                        "%s names no service '%s' any more, so there is no program that could "
                        "read its store; name the services to back up",
                        stopped->file->path, name);
    size_t n = (size_t)(service - stopped->file->services);
    if (stopped->provision->parts[n].folder_fd < 0)
        return cli_fail(CLI_FAILED, "%s has no store yet: it was never started", name);
    stopped->chosen[n] = true;
    unlinkat(stopped->provision->parts[n].folder_fd, SERVICE_BACKUP_STATUS,
             0); /* from an earlier backup */
    return CLI_DONE;
}

static int choose_stopped(struct stopped *stopped)
{
    size_t i;
    json_t *service;
    char **words = stopped->options->words;
    int code = CLI_DONE;
    for (char **word = words; *word && code == CLI_DONE; word++)
        code = choose_one(stopped, *word);
    json_array_foreach (json_object_get(stopped->options->system, "services"), i, service) {
        if (!*words && code == CLI_DONE)
            code = choose_one(stopped, json_string_at(service, "name"));
    }
    return code;
}

/* ---- Making and taking ---- */

static int make_files(struct stopped *stopped)
{
    struct fh_error error;
    const char *name;
    json_t *result;
    struct tasks_options options = {.provision = stopped->provision,
                                    .environment = load_environment(stopped->file),
                                    .task = json_pack("{s:s}", "do", "backup"),
                                    .chosen = stopped->chosen,
                                    .say = say_of_backup,
                                    .look = look_at_copies,
                                    .context = stopped};
    progress_begin(&stopped->progress, stopped->file->name, "rows", 0, stopped->options->quiet);
    enum fh_code made = tasks_run(&options, &stopped->results, &error);
    progress_end(&stopped->progress);
    json_decref(options.task);
    int code = made == FH_OK ? CLI_DONE : cli_fail(CLI_FAILED, "%s", error.message);
    if (code != CLI_DONE)
        return code;
    json_object_foreach (stopped->results, name, result) {
        const char *why = json_string_at(result, "error");
        if (why || !json_object_get(result, "backup"))
            code = cli_fail(CLI_FAILED, "%s: %s", name, why ? why : "its program reported nothing");
    }
    return code;
}

static int take_files(struct stopped *stopped, json_t *entries)
{
    const char *name;
    json_t *result;
    int code = CLI_DONE;
    json_object_foreach (stopped->results, name, result) {
        struct taking taking = {.system = stopped->options->system,
                                .service = name,
                                .folder_fd = stopped->options->folder_fd,
                                .seal = stopped->options->seal,
                                .quiet = stopped->options->quiet};
        if (code == CLI_DONE)
            code = taking_begin(&taking, stopped->options->state);
        if (code != CLI_DONE)
            continue;
        code = taking_file(&taking, json_object_get(result, "backup"), entries);
        close(taking.service_fd);
    }
    return code;
}

/* ---- The whole backup ---- */

static int open_system(struct stopped *stopped)
{
    struct arena *arena = &stopped->file->arena;
    struct fh_error error;
    pid_t holder;
    struct provision_options options = {
        .file = stopped->file,
        .state_folder = stopped->options->state->folder,
        .listen = "127.0.0.1:0", /* never used: nobody listens */
        .command = arena_printf(arena, "%s/freehold", programs_own_folder(arena))};
    const char *name = json_string_at(stopped->options->system, "system");
    if (!name || strcmp(name, stopped->file->name) != 0)
        return cli_fail(CLI_FAILED, "%s is of the system '%s', and %s holds '%s'",
                        stopped->file->path, stopped->file->name, options.state_folder,
                        name ? name : "unknown");
    enum fh_code code = tasks_open(&options, &stopped->provision, &holder, &error);
    if (code == FH_CONFLICT)
        return cli_fail(CLI_FAILED, "%s was started meanwhile, or is busy: run this again",
                        stopped->file->name);
    return code == FH_OK ? CLI_DONE : cli_fail(CLI_FAILED, "%s", error.message);
}

static struct system_file *load_backed_up(const struct backup_stopped *options)
{
    struct findings findings = {0};
    const char *path = options->file ? options->file : json_string_at(options->system, "file");
    struct system_file *file =
        load_system(&(struct load_options){.path = path ? path : CLI_SYSTEM_FILE,
                                           .profile = json_string_at(options->system, "profile"),
                                           .programs = options->programs,
                                           .state = options->state->folder},
                    &findings);
    if (!file || findings.errors)
        cli_print_findings(&findings);
    if (!file)
        cli_fail(CLI_FAILED,
                 "the system is stopped, and its stores are read by its services' programs; --file "
                 "and --programs say where those are");
    findings_release(&findings);
    return file;
}

int backup_stopped(const struct backup_stopped *options, json_t *entries)
{
    struct stopped stopped = {.options = options, .file = load_backed_up(options)};
    if (!stopped.file)
        return CLI_FAILED;
    int code = open_system(&stopped);
    if (code == CLI_DONE)
        code = choose_stopped(&stopped);
    if (code == CLI_DONE)
        code = make_files(&stopped);
    if (code == CLI_DONE)
        code = take_files(&stopped, entries);
    json_decref(stopped.results);
    if (stopped.provision)
        provision_free(stopped.provision);
    system_file_free(stopped.file);
    return code;
}
