/* SPDX-License-Identifier: Apache-2.0 */
/* freehold backup: the stores of a system's services, each as of one moment. Running services are
 * asked for theirs, one after another; for a stopped system see stopped.c. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/progress.h"
#include "cli/audit.h"
#include "cli/backup/backup.h"
#include "cli/backup/kept.h"
#include "cli/backup/newest.h"
#include "service/backup.h"
#include "system/backup/backup.h"

#define LOOK_MS 100
#define NOT_KNOWN (-1)

/* ---- One service ---- */

struct asked {
    struct taking taking;
    char id[64];
};

static bool is_process_over(pid_t pid)
{
    return pid <= 0 || (kill(pid, 0) != 0 && errno == ESRCH);
}

/* What the service's process last wrote about this backup; NULL: nothing yet. */
static json_t *look_at_copy(const struct asked *asked)
{
    json_t *status;
    if (state_read_json(asked->taking.service_fd, SERVICE_BACKUP_STATUS, &status, ERROR_UNHEEDED) !=
        FH_OK)
        return NULL;
    const char *id = json_string_at(status, "id");
    if (id && strcmp(id, asked->id) == 0)
        return status;
    json_decref(status);
    return NULL;
}

static bool is_copying(const json_t *status)
{
    const char *state = json_string_at(status, "state");
    return !state || strcmp(state, "copying") == 0;
}

/* Waits until it is done; the process that does it may die in the meantime. */
static int await_service_copy(const struct asked *asked, json_t **ret)
{
    struct progress progress = {0};
    pid_t pid = NOT_KNOWN;
    const char *service = asked->taking.service;
    json_t *status = look_at_copy(asked);
    progress_begin(&progress, service, "rows", 0, asked->taking.quiet);
    while (is_copying(status)) {
        if (status) /* on a full disk there is none for a moment */
            pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
        bool over = pid != NOT_KNOWN && is_process_over(pid);
        taking_tell(&progress, status);
        json_decref(status);
        poll(NULL, 0, LOOK_MS);
        status = look_at_copy(asked);
        if (over && is_copying(status))
            break; /* it wrote nothing more before it ended */
    }
    progress_end(&progress);
    const char *state = json_string_at(status, "state"), *why = json_string_at(status, "error");
    int code = CLI_DONE;
    if (!state || strcmp(state, "copying") == 0)
        code = cli_fail(CLI_FAILED, "%s ended while it was backed up; its store is as it was",
                        service);
    else if (strcmp(state, "done") != 0)
        code = cli_fail(CLI_FAILED, "%s: %s", service, why ? why : "the backup failed");
    if (code == CLI_DONE)
        *ret = status;
    else
        json_decref(status);
    return code;
}

static void warn_of_holding(const struct taking *taking)
{
    const char *engine;
    if (taking_shows_no_moment(taking, &engine))
        cli_note(CLI_PLAIN,
                 "%s: %s can't show all of a store as it is at one moment, so the service takes no "
                 "changes while it is copied",
                 taking->service, engine);
}

static int take_one(struct cli_operator *asking, const char *service, const struct taking *how,
                    json_t *entries)
{
    struct asked asked = {.taking = *how};
    asked.taking.service = service;
    json_t *begun = NULL, *status = NULL;
    int code = taking_begin(&asked.taking, &asking->state);
    if (code != CLI_DONE)
        return code;
    warn_of_holding(&asked.taking);
    code = cli_operator_ask(asking, service, "POST", SERVICE_BACKUP_PATH, json_object(), &begun);
    const char *id = json_string_at(begun, "id");
    snprintf(asked.id, sizeof asked.id, "%s", id ? id : "");
    json_decref(begun);
    if (code == CLI_DONE)
        code = await_service_copy(&asked, &status);
    if (code == CLI_DONE)
        code = taking_file(&asked.taking, status, entries);
    json_decref(status);
    close(asked.taking.service_fd);
    return code;
}

/* ---- All services ---- */

static int take_running(struct cli_operator *asking, char **words, const struct taking *how,
                        json_t *entries)
{
    size_t i;
    json_t *service;
    int code = CLI_DONE;
    for (; *words && code == CLI_DONE; words++)
        code = take_one(asking, *words, how, entries);
    if (json_object_size(entries) > 0 || code != CLI_DONE)
        return code;
    json_array_foreach (json_object_get(asking->system, "services"), i, service) {
        if (code == CLI_DONE)
            code = take_one(asking, json_string_at(service, "name"), how, entries);
    }
    return code;
}

struct backup {
    const struct cli_command *command;
    const char **values;
    char **words;
    bool as_json;
    struct cli_operator asking;
    bool running;
    struct backup_key key;
};

static const struct seal *seal_of(const struct backup *backup)
{
    return backup->key.given ? &backup->key.seal : NULL;
}

static int take_stores(struct backup *backup, int folder_fd, json_t *entries)
{
    const struct taking how = {.system = backup->asking.system,
                               .folder_fd = folder_fd,
                               .seal = seal_of(backup),
                               .quiet = backup->as_json};
    if (backup->running)
        return take_running(&backup->asking, backup->words, &how, entries);
    struct backup_stopped options = {.state = &backup->asking.state,
                                     .system = backup->asking.system,
                                     .file = cli_value(backup->command, backup->values, "--file"),
                                     .programs =
                                         cli_value(backup->command, backup->values, "--programs"),
                                     .words = backup->words,
                                     .folder_fd = folder_fd,
                                     .seal = seal_of(backup),
                                     .quiet = backup->as_json};
    return backup_stopped(&options, entries);
}

static json_t *words_json(char **words)
{
    json_t *list = json_array();
    for (; *words; words++)
        json_array_append_new(list, json_string(*words));
    return list;
}

/* New reference. */
static json_t *manifest_of(struct backup *backup, json_t *entries)
{
    bool sealed = backup->key.given;
    json_t *manifest = json_pack("{s:i, s:O, s:I, s:O}", "freehold_backup",
                                 sealed ? BACKUP_FORMAT_SEALED : BACKUP_FORMAT, "system",
                                 json_object_get(backup->asking.system, "system"), "taken_ms",
                                 (json_int_t)cli_now_ms(), "services", entries);
    if (sealed) {
        seal_begin(&backup->key.seal);
        json_object_set_new(manifest, "backup", json_string(backup->key.seal.backup));
    }
    return manifest;
}

static int back_up_system(struct backup *backup, const char *folder)
{
    struct fh_error error;
    int folder_fd;
    struct cli_act act;
    const json_t *system = backup->asking.system;
    for (char **word = backup->words; *word; word++) {
        if (strcmp(*word, "gateway") == 0)
            return cli_fail(CLI_USAGE, "the gateway has no store");
        if (!cli_service_address(system, *word))
            return CLI_USAGE;
    }
    if (cli_audit_begin(&act, &backup->asking.state, "backup", NULL,
                        json_pack("{s:s, s:o, s:b}", "folder", folder, "services",
                                  words_json(backup->words), "encrypted", backup->key.given)) !=
        CLI_DONE)
        return CLI_FAILED;
    if (backup_folder_make(folder, &folder_fd, &error) != FH_OK)
        return cli_audit_end(&act, cli_fail(CLI_FAILED, "%s", error.message), error.message);
    json_t *entries = json_object(), *manifest = manifest_of(backup, entries);
    int code = take_stores(backup, folder_fd, entries);
    if (code == CLI_DONE &&
        backup_finish(folder, folder_fd, manifest, seal_of(backup), &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "%s", error.message);
    if (code == CLI_DONE && backup->key.given)
        newest_note(&backup->asking.state, manifest);
    else if (code == CLI_DONE)
        kept_warn_of_unsealed(folder);
    if (code == CLI_DONE)
        kept_print(manifest, folder, backup->as_json);
    else
        cli_note(CLI_PLAIN, "%s is NO backup: it is not complete, and can be removed.", folder);
    json_decref(entries);
    json_decref(manifest);
    close(folder_fd);
    return cli_audit_end(&act, code, NULL);
}

/* Finds out whether the system is running or stopped. */
static int order_backup(struct backup *backup)
{
    struct fh_error error;
    struct cli_operator *asking = &backup->asking;
    int code =
        cli_open_state(cli_value(backup->command, backup->values, "--state"), &asking->state);
    if (code != CLI_DONE)
        return code;
    backup->running = cli_is_running(&asking->state);
    arena_init(&asking->arena, ARENA_SIZE_MAX);
    if (state_read_json(asking->state.folder_fd, "system.json", &asking->system, &error) == FH_OK)
        return CLI_DONE;
    code = cli_fail(CLI_FAILED, "%s was never up: %s", asking->state.folder, error.message);
    cli_operator_end(asking);
    return code;
}

/* The key is the one that --key names, or that of the system that --state names. */
static int check_backup(struct backup *backup, const char *folder)
{
    struct state state;
    json_t *system = NULL;
    const char *state_folder = cli_value(backup->command, backup->values, "--state");
    int code = state_folder ? cli_open_state(state_folder, &state) : CLI_DONE;
    if (code != CLI_DONE)
        return code;
    if (state_folder) {
        state_read_json(state.folder_fd, "system.json", &system, ERROR_UNHEEDED);
        state_close(&state);
    }
    code =
        backup_key_get(cli_value(backup->command, backup->values, "--key"), system, &backup->key);
    if (code == CLI_DONE)
        code = kept_check(folder, &backup->key, backup->words, backup->as_json);
    backup_key_forget(&backup->key);
    json_decref(system);
    return code;
}

static int run_backup(const struct cli_command *command, char **words, const char **values)
{
    const char *to = cli_value(command, values, "--to");
    const char *check = cli_value(command, values, "--check");
    struct backup backup = {.command = command,
                            .values = values,
                            .words = words,
                            .as_json = cli_value(command, values, "--json") != NULL};
    if (!to == !check)
        return cli_fail(
            CLI_USAGE,
            "say where to write it with --to FOLDER, or which one to check with --check FOLDER");
    if (check)
        return check_backup(&backup, check);
    int code = order_backup(&backup);
    if (code != CLI_DONE)
        return code;
    code = backup_key_get(cli_value(command, values, "--key"), backup.asking.system, &backup.key);
    if (code == CLI_DONE)
        code = back_up_system(&backup, to);
    backup_key_forget(&backup.key);
    cli_operator_end(&backup.asking);
    return code;
}

const struct cli_command cli_backup = {
    .name = "backup",
    .words = "[SERVICE ...]",
    .words_min = 0,
    .words_max = CLI_WORDS_MAX,
    .summary = "Back up services' stores, or check a backup",
    .text =
        "Services keep serving meanwhile. Each file holds one store as of one moment, with its\n"
        "events, subscriptions' cursors, commands and sagas. It can be restored to any engine\n"
        "of the same model. Each service's store is as of a moment of its own. A folder is a\n"
        "backup once it has its " BACKUP_MANIFEST ", which\n"
        "is written last. With a key (64 hex digits: openssl rand -hex 32) it is encrypted and\n"
        "signed; without, it is neither. In a stopped system the services' programs and their "
        "stores' private\n"
        "servers run only for the backup; nothing is served.\n"
        "Exit codes: 0 done, 1 failed or damaged, 2 wrong usage, 3 no such system.\n",
    .options = {{"--to", "FOLDER", "a new or empty folder"},
                {"--check", "FOLDER", "read such a folder again and report what it holds"},
                {"--key", "FILE", "encrypt and sign with this key; default: the system file's"},
                CLI_OPTION_STATE,
                {"--file", "FILE", "stopped: the system file, where it is elsewhere by now", 'f'},
                {"--programs", "DIR", "stopped: look for programs here first"},
                CLI_OPTION_JSON},
    .run = run_backup,
};
