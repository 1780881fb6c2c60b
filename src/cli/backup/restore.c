/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold restore: puts backups in place of services' stores. Whatever can be known to be wrong is
 * found before anything is touched; then the services are stopped, restored and started, one at a
 * time.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/backup/kept.h"
#include "cli/backup/newest.h"
#include "engine/engines.h"
#include "service/migration.h"
#include "store/relational/sql.h"
#include "system/supervise/child.h"
#include "system/backup/restore.h"

/* A restore may take as long as it needs; `up` answers when it is over, or has ended itself. */
#define RESTORE_ANSWER_MS_MAX (24 * 3600 * 1000)

struct restore {
    struct state state;
    json_t *system, *manifest;
    const char *folder;
    int folder_fd;
    bool running, quiet, unsealed, older;
    struct backup_key key;
    json_t *told, *done; /* all that --json prints; inside it, the outcome for each service */
};

static const json_t *entry_of(const struct restore *restore, const char *service)
{
    return json_object_get(json_object_get(restore->manifest, "services"), service);
}

static int open_service(const struct restore *restore, const char *service, int *ret_fd)
{
    *ret_fd =
        openat(restore->state.folder_fd, service, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd >= 0 ? CLI_DONE
                        : cli_fail(CLI_FAILED, "the folder of %s in %s can't be opened: %s",
                                   service, restore->state.folder, strerror(errno));
}

/* ---- Checks before the restore ---- */

static const json_t *running_service(const struct restore *restore, const char *service)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(restore->system, "services"), i, one) {
        if (strcmp(json_string_at(one, "name"), service) == 0)
            return json_object_get(one, "description");
    }
    return NULL;
}

/* A program can't read a store that a newer version has changed. */
static int check_migration(const struct restore *restore, const char *service, const json_t *entry)
{
    const struct engine *engine = engine_embedded(); /* the engine that backup files use */
    struct migrations all = {0};
    struct fh_error error;
    json_t *config = NULL;
    json_int_t has = 0;
    int fd, code = open_service(restore, service, &fd);
    if (code != CLI_DONE)
        return code;
    json_integer_at(entry, "migration", &has);
    bool known = state_read_json(fd, "service.json", &config, ERROR_UNHEEDED) == FH_OK;
    close(fd);
    const char *folder = json_string_at(config, "migrations");
    if (known && has > 0 &&
        migrations_read(folder, engine->name, engine->sql->dialect, &all, &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "%s: %s", service, error.message);
    else if (known && has > 0 && !migrations_find(&all, has))
        code = cli_fail(CLI_FAILED,
                        "the backup of %s has migration %lld, which is not among those of its "
                        "program%s%s: a program as new as the backup is needed",
                        service, (long long)has, folder ? " in " : "", folder ? folder : "");
    migrations_release(&all);
    json_decref(config);
    return code;
}

static int check_restorable(const struct restore *restore, const char *service)
{
    const json_t *entry = entry_of(restore, service), *now = running_service(restore, service);
    if (!entry)
        return cli_fail(CLI_USAGE, "the backup in %s holds no service '%s'", restore->folder,
                        service);
    if (!now)
        return cli_fail(CLI_USAGE, "the system has no service '%s'", service);
    const char *model = json_string_at(now, "model"), *had = json_string_at(entry, "model");
    if (!model || strcmp(model, had) != 0)
        return cli_fail(CLI_FAILED, "the backup of %s is a %s store, and the service's model is %s",
                        service, had, model ? model : "not known");
    if (backup_is_sealed(restore->manifest) && !restore->older &&
        newest_check(&restore->state, restore->manifest, service) != CLI_DONE)
        return CLI_FAILED;
    return strcmp(had, "relational") == 0 ? check_migration(restore, service, entry) : CLI_DONE;
}

static int check_all(const struct restore *restore, char **words)
{
    const char *system = json_string_at(restore->system, "system");
    const char *had = json_string_at(restore->manifest, "system"), *name;
    json_t *entry;
    int code = CLI_DONE;
    if (!system || strcmp(system, had) != 0)
        return cli_fail(CLI_FAILED, "%s holds a backup of the system '%s', and this is '%s'",
                        restore->folder, had, system ? system : "unknown");
    for (char **word = words; *word && code == CLI_DONE; word++)
        code = check_restorable(restore, *word);
    json_object_foreach (json_object_get(restore->manifest, "services"), name, entry) {
        if (!*words && code == CLI_DONE)
            code = check_restorable(restore, name);
    }
    return code == CLI_DONE ? kept_check_files(restore->manifest, &restore->key, restore->folder_fd,
                                               words, restore->quiet)
                            : code;
}

/* ---- Confirmation ---- */

#define CONFIRM_SIZE_MAX 65536

static int confirm_restore(const struct restore *restore, char **words, bool yes)
{
    const char *name;
    json_t *entry;
    char taken[KEPT_TIME_SIZE];
    struct text names;
    kept_format_time(restore->manifest, taken);
    if (yes)
        return CLI_DONE;
    if (!cli_can_ask())
        return cli_fail(CLI_USAGE,
                        "what the stores hold now would be replaced by the backup of %s: say --yes",
                        taken);
    text_init(&names, CONFIRM_SIZE_MAX);
    for (char **word = words; *word; word++)
        text_printf(&names, " %s", *word);
    json_object_foreach (json_object_get(restore->manifest, "services"), name, entry)
        text_printf(&names, "%s%s", *words ? "" : " ", *words ? "" : name);
    bool confirmed = cli_confirms("What these stores hold now will be replaced by the backup of %s "
                                  "(and kept beside them):%s\nGo on?",
                                  taken, names.data ? names.data : "");
    text_release(&names);
    if (confirmed)
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "nothing was restored");
}

/* ---- One service ---- */

/* Has the running `up` do it, which stops the service's processes first. */
static int order_running(const struct restore *restore, const char *service)
{
    struct following asked = {.service = service, .quiet = restore->quiet};
    int code = follow(&asked, &restore->state,
                      json_pack("{s:s, s:s}", "command", "restore", "service", service),
                      RESTORE_ANSWER_MS_MAX);
    const char *error = json_string_at(asked.end, "error");
    if (code == CLI_NOT_RUNNING)
        code = cli_fail(code, "the system has just stopped: run this again");
    else if (error)
        code = cli_fail(CLI_FAILED, "%s: %s", service, error);
    else if (code == CLI_DONE && !json_is_true(json_object_get(asked.end, "done")))
        code = cli_fail(CLI_FAILED, "up ended meanwhile: its next start goes on");
    follow_release(&asked);
    return code;
}

/* Orders it for the next `up`; holds the lock, so that none can begin meanwhile. */
static int order_stopped(struct restore *restore, int service_fd)
{
    struct fh_error error;
    pid_t holder;
    if (state_lock(&restore->state, &holder, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "the system was started meanwhile: run this again");
    enum fh_code code = restore_order(service_fd, &error);
    state_unlock(&restore->state);
    return code == FH_OK ? CLI_DONE : cli_fail(CLI_FAILED, "%s", error.message);
}

static int take_result(const struct restore *restore, const char *service, int service_fd,
                       const char *id)
{
    json_t *result = restore_result(service_fd, id);
    const char *state = json_string_at(result, "state"), *why = json_string_at(result, "error");
    if (!state || strcmp(state, "done") != 0) {
        int code = cli_fail(CLI_FAILED, "%s was not restored: %s", service,
                            why ? why : "see its log in the state folder");
        json_decref(result);
        return code;
    }
    json_object_set_new(restore->done, service, result);
    if (restore->quiet)
        return CLI_DONE;
    const char *kept = json_string_at(result, "kept");
    char taken[KEPT_TIME_SIZE];
    kept_format_time(entry_of(restore, service), taken);
    printf("%s is restored, as it was at %s (up to position %lld); its incarnation is %s.\n",
           service, taken, (long long)json_integer_value(json_object_get(result, "position")),
           json_string_at(result, "incarnation"));
    if (kept)
        printf("  What it held before is in %s/%s/%s.\n", restore->state.folder, service, kept);
    return CLI_DONE;
}

static int restore_one(struct restore *restore, const char *service)
{
    struct fh_error error;
    struct kept_reading reading;
    char id[ID_SIZE];
    int fd, code = open_service(restore, service, &fd);
    if (code != CLI_DONE)
        return code;
    struct backup_copying copying = backup_key_reading(restore->manifest, &restore->key);
    copying.service = service;
    copying.told = kept_told;
    copying.context = &reading;
    kept_begin(&reading, service, restore->quiet);
    if (restore_make_ready(restore->folder_fd, entry_of(restore, service), fd, cli_now_ms(),
                           &copying, id, &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "%s: %s", service, error.message);
    kept_end(&reading);
    if (code == CLI_DONE && restore->running) {
        code = order_running(restore, service);
        int told = code == CLI_DONE ? take_result(restore, service, fd, id) : CLI_DONE;
        code = code == CLI_DONE ? told : code;
    } else if (code == CLI_DONE) {
        code = order_stopped(restore, fd);
        if (code == CLI_DONE && !restore->quiet)
            printf("%s will be restored when the system is started next: freehold up.\n", service);
        json_object_set_new(restore->done, service, json_pack("{s:s}", "state", "ordered"));
    }
    close(fd);
    return code;
}

static int restore_all(struct restore *restore, char **words)
{
    const char *name;
    json_t *entry;
    int code = CLI_DONE;
    for (char **word = words; *word && code == CLI_DONE; word++)
        code = restore_one(restore, *word);
    if (*words)
        return code;
    json_object_foreach (json_object_get(restore->manifest, "services"), name, entry) {
        if (code == CLI_DONE)
            code = restore_one(restore, name);
    }
    return code;
}

/* Shows the consequences for other services, as far as known now. */
static void tell_rest(struct restore *restore)
{
    struct cli_operator asking;
    json_t *reports = NULL;
    if (cli_operator_begin(&asking, restore->state.folder) != CLI_DONE)
        return;
    cli_restore_report_take(&asking, &reports);
    cli_operator_end(&asking);
    if (restore->quiet)
        json_object_set(restore->told, "left", reports);
    else
        cli_restore_report_print(reports);
    json_decref(reports);
    if (!restore->quiet)
        printf("`freehold restore-report` shows that again, and what is found out later.\n");
}

/* ---- The whole restore ---- */

static int begin_restoring(struct restore *restore, const char *state_folder)
{
    struct fh_error error;
    int code = cli_open_state(state_folder, &restore->state);
    if (code != CLI_DONE)
        return code;
    restore->running = cli_is_running(&restore->state);
    restore->told = json_object();
    restore->done = json_object();
    json_object_set_new(restore->told, "restored", restore->done);
    if (state_read_json(restore->state.folder_fd, "system.json", &restore->system, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "%s was never up: %s", restore->state.folder, error.message);
    return CLI_DONE;
}

static int restore_recorded(struct restore *restore, char **words)
{
    struct cli_act act;
    json_t *services = json_array();
    for (char **word = words; *word; word++)
        json_array_append_new(services, json_string(*word));
    int code = cli_audit_begin(&act, &restore->state, "restore", NULL,
                               json_pack("{s:s, s:o, s:b, s:b}", "folder", restore->folder,
                                         "services", services, "unsigned", restore->unsealed,
                                         "older", restore->older));
    return code == CLI_DONE ? cli_audit_end(&act, restore_all(restore, words), NULL) : code;
}

static int restore_from(struct restore *restore, char **words, bool yes)
{
    int code = backup_key_open(restore->folder, &restore->key, restore->unsealed,
                               &restore->folder_fd, &restore->manifest);
    if (code != CLI_DONE)
        return code;
    code = check_all(restore, words);
    if (code == CLI_DONE)
        code = confirm_restore(restore, words, yes);
    if (code == CLI_DONE)
        code = restore_recorded(restore, words);
    if (code == CLI_DONE && restore->running)
        tell_rest(restore);
    if (code == CLI_DONE && restore->quiet)
        cli_print_json(restore->told);
    json_decref(restore->manifest);
    close(restore->folder_fd);
    return code;
}

static int run_restore(const struct cli_command *command, char **words, const char **values)
{
    struct restore restore = {.folder = cli_value(command, values, "--from"),
                              .quiet = cli_value(command, values, "--json") != NULL,
                              .unsealed = cli_value(command, values, "--unsigned") != NULL,
                              .older = cli_value(command, values, "--older") != NULL};
    if (!restore.folder)
        return cli_fail(CLI_USAGE, "say with --from FOLDER where the backup is");
    int code = begin_restoring(&restore, cli_value(command, values, "--state"));
    if (restore.done && code == CLI_DONE)
        code = backup_key_get(cli_value(command, values, "--key"), restore.system, &restore.key);
    if (restore.done && code == CLI_DONE)
        code = restore_from(&restore, words, cli_value(command, values, "--yes") != NULL);
    if (restore.done)
        state_close(&restore.state);
    backup_key_forget(&restore.key);
    json_decref(restore.told);
    json_decref(restore.system);
    return code;
}

const struct cli_command cli_restore = {
    .name = "restore",
    .words = "[SERVICE ...]",
    .words_min = 0,
    .words_max = CLI_WORDS_MAX,
    .summary = "Restore services' stores from a backup, all or some",
    .text =
        "Only the service being restored stops: it gets the backup's store on its present\n"
        "engine and starts again, while its requests wait. Its former store is kept beside the\n"
        "new one. The store gets a new incarnation, by which other services find out what was\n"
        "lost and resync where they can. In a stopped system the next start restores. An\n"
        "interrupted restore continues by itself, or when you run the command again.\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such system.\n",
    .options = {{"--from", "FOLDER", "the backup"},
                {"--yes", NULL, "do not ask"},
                {"--key", "FILE", "that of an encrypted backup; default: the system file's"},
                {"--unsigned", NULL, "though there is a key, take a backup that is not signed"},
                {"--older", NULL, "take an encrypted backup that is not the newest"},
                CLI_OPTION_STATE,
                CLI_OPTION_JSON},
    .run = run_restore,
};
