/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold migrate. A store's migrations are asked of the process that has it open: of the running
 * service, through an operators' route; or, in a stopped system, of the service's own program, run
 * only for this (system/supervise/tasks.h). system/check/migrations_state.c compares the result
 * with the files.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/operate/migrate.h"
#include "system/check/programs.h"
#include "store/server.h"
#include "system/supervise/tasks.h"

#define ASK_MS_MAX 30000

struct migrate {
    const struct cli_command *command;
    const char **values;
    const char *action;
    struct system_file *file;
    const char *folder; /* the state folder */
    bool chosen[PROVISION_PARTS_MAX];
    bool running;
    json_t *has;      /* {"users": its result} */
    json_t *services; /* see migrate.h */
    int code;
};

static bool is_action(const struct migrate *migrate, const char *action)
{
    return strcmp(migrate->action, action) == 0;
}

static bool is_relational(const struct system_service *service)
{
    return strcmp(json_string_at(service->description, "model"), "relational") == 0;
}

static void say_of_migration(void *context, enum supervise_level level, const char *text)
{
    static const enum cli_colour colours[] = {CLI_DIM, CLI_GREEN, CLI_YELLOW};
    (void)context;
    cli_note(colours[level], "  %s", text);
}

static void say_step_of_migration(void *context, const char *id, const char *text)
{
    (void)id;
    say_of_migration(context, SUPERVISE_STEP, text);
}

/* ---- Asking the running system ---- */

static bool find_running(const struct migrate *migrate, struct state *ret)
{
    int fd;
    if (state_open(ret, migrate->folder, ERROR_UNHEEDED) != FH_OK)
        return false;
    if (state_control_connect(ret, &fd, ERROR_UNHEEDED) == FH_OK) {
        close(fd);
        return true;
    }
    state_close(ret);
    return false;
}

static void keep_migrations(struct migrate *migrate, const struct cli_ask *ask)
{
    json_t *told = NULL;
    bool is_json =
        ask->status && json_parse(ask->answer, strlen(ask->answer), &told, ERROR_UNHEEDED) == FH_OK;
    if (ask->status != 200 || !is_json) {
        const char *detail = json_string_at(told, "detail");
        json_t *why = ask->status == 0 ? json_sprintf("it gave no answer: %s", ask->answer)
                      : detail         ? json_string(detail)
                                       : json_sprintf("it answered with status %d", ask->status);
        json_decref(told);
        told = json_pack("{s:o}", "error", why);
    }
    json_object_set_new(migrate->has, ask->service, told);
}

static int ask_services(struct migrate *migrate, const struct state *state)
{
    struct cli_ask asks[SYSTEM_SERVICES_MAX] = {0};
    struct fh_error error;
    json_t *system;
    size_t count = 0;
    if (state_read_json(state->folder_fd, "system.json", &system, &error) != FH_OK)
        return cli_fail(CLI_FAILED, "%s", error.message);
    for (size_t i = 0; i < migrate->file->service_count; i++) {
        const struct system_service *service = &migrate->file->services[i];
        const char *address = NULL;
        if (!migrate->chosen[i] || !is_relational(service))
            continue;
        if (!(address = cli_service_address(system, service->name))) {
            json_decref(system);
            return CLI_FAILED;
        }
        asks[count++] = (struct cli_ask){.service = service->name,
                                         .address = address,
                                         .method = "GET",
                                         .path = "/_freehold/migrations",
                                         .headers = {{"Freehold-From", "operator"}}};
    }
    cli_ask_all(state, asks, count, ASK_MS_MAX);
    for (size_t i = 0; i < count; i++) {
        keep_migrations(migrate, &asks[i]);
        free(asks[i].answer);
    }
    json_decref(system);
    return CLI_DONE;
}

/* ---- Asking the stopped one ---- */

static json_t *task_of(const struct migrate *migrate)
{
    const char *version = cli_value(migrate->command, migrate->values, "--version");
    if (is_action(migrate, "adopt"))
        return json_pack("{s:s, s:s, s:I}", "do", "adopt", "from",
                         cli_value(migrate->command, migrate->values, "--from"), "version",
                         (json_int_t)strtoll(version, NULL, 10));
    return json_pack("{s:s}", "do", is_action(migrate, "apply") ? "apply" : "look");
}

static int do_tasks(struct migrate *migrate, struct provision *provision)
{
    struct fh_error error;
    bool chosen[PROVISION_PARTS_MAX] = {0};
    for (size_t i = 0; i < migrate->file->service_count; i++)
        chosen[i] = migrate->chosen[i] && is_relational(&migrate->file->services[i]);
    struct tasks_options options = {.provision = provision,
                                    .environment = load_environment(migrate->file),
                                    .task = task_of(migrate),
                                    .chosen = chosen,
                                    .say = say_of_migration};
    json_decref(migrate->has);
    enum fh_code code = tasks_run(&options, &migrate->has, &error);
    json_decref(options.task);
    return code == FH_OK ? CLI_DONE : cli_fail(CLI_FAILED, "%s", error.message);
}

static int run_tasks(struct migrate *migrate, struct provision *provision)
{
    struct cli_act act;
    json_t *services = json_array();
    if (is_action(migrate, "apply") || is_action(migrate, "adopt")) {
        for (size_t i = 0; i < migrate->file->service_count; i++) {
            if (migrate->chosen[i] && is_relational(&migrate->file->services[i]))
                json_array_append_new(services, json_string(migrate->file->services[i].name));
        }
        int code = cli_audit_begin(
            &act, &provision->state, "migrate", NULL,
            json_pack("{s:s, s:o}", "action", migrate->action, "services", services));
        return code == CLI_DONE ? cli_audit_end(&act, do_tasks(migrate, provision), NULL) : code;
    }
    json_decref(services);
    return do_tasks(migrate, provision);
}

static int refuse_running(const struct migrate *migrate, pid_t holder)
{
    if (is_action(migrate, "apply"))
        return cli_fail(
            CLI_FAILED,
            "%s is up%s: `freehold upgrade SERVICE` applies a service's migrations and starts its "
            "new version; to apply only the migrations, stop the system first",
            migrate->file->name, holder ? "" : " or busy");
    return cli_fail(CLI_FAILED, "%s is up%s; stop it first: freehold stop --state %s",
                    migrate->file->name, holder ? "" : " or busy", migrate->folder);
}

static int ask_stopped(struct migrate *migrate)
{
    struct arena *arena = &migrate->file->arena;
    struct provision_options options = {
        .file = migrate->file,
        .state_folder = migrate->folder,
        .listen = "127.0.0.1:0", /* never used: nobody listens */
        .command = arena_printf(arena, "%s/freehold", programs_own_folder(arena)),
        .say = say_step_of_migration};
    struct provision *provision = NULL;
    struct fh_error error;
    pid_t holder;
    bool looks = is_action(migrate, "plan") || is_action(migrate, "state");
    enum fh_code code = looks ? tasks_open(&options, &provision, &holder, &error)
                              : provision_system(&options, &provision, &holder, &error);
    if (looks && code == FH_NOT_FOUND)
        return CLI_DONE; /* nothing was ever started, so there is no store */
    if (code == FH_CONFLICT)
        return refuse_running(migrate, holder);
    if (code != FH_OK)
        return cli_fail(CLI_FAILED, "%s", error.message);
    if (!looks && !cli_value(migrate->command, migrate->values, "--state"))
        load_hide(provision);
    int result = run_tasks(migrate, provision);
    provision_free(provision);
    return result;
}

static int ask_for_migrations(struct migrate *migrate)
{
    struct state state;
    migrate->running = find_running(migrate, &state);
    if (!migrate->running)
        return ask_stopped(migrate);
    int code = is_action(migrate, "apply") || is_action(migrate, "adopt")
                   ? refuse_running(migrate, 1)
                   : ask_services(migrate, &state);
    state_close(&state);
    return code;
}

/* ---- Putting it together ---- */

static json_t *where_of(const struct migrate *migrate, const struct system_service *service)
{
    struct state state;
    json_t *config = NULL, *where = NULL;
    char name[SYSTEM_NAME_LENGTH_MAX + 16];
    snprintf(name, sizeof name, "%.*s/service.json", SYSTEM_NAME_LENGTH_MAX, service->name);
    if (state_open(&state, migrate->folder, ERROR_UNHEEDED) != FH_OK)
        return json_string("no store yet");
    if (state_read_json(state.folder_fd, name, &config, ERROR_UNHEEDED) == FH_OK) {
        const json_t *store = json_object_get(config, "store");
        const char *schema = server_text(store, "schema");
        char place[SERVER_PLACE_SIZE];
        where =
            store ? json_sprintf("database %s%s%s at %s", server_text(store, "database"),
                                 *schema ? ", schema " : "", schema, server_place(store, 0, place))
                  : json_sprintf("%s/%s/store.db", state.folder, service->name);
    }
    json_decref(config);
    state_close(&state);
    return where ? where : json_string("no store yet");
}

static void fail_one(struct migrate *migrate, json_t *item, const char *why)
{
    json_object_set_new(item, "error", json_string(why));
    migrate->code = cli_fail(CLI_FAILED, "%s: %s", json_string_at(item, "service"), why);
}

/* Otherwise the files for the engine in the system file would be compared with another engine's
 * store. */
static bool is_elsewhere(struct migrate *migrate, const struct system_service *service,
                         const json_t *has, json_t *item)
{
    char why[160];
    const char *engine = json_string_at(has, "engine");
    if (!engine || strcmp(engine, service->engine) == 0)
        return false;
    snprintf(why, sizeof why,
             "its store is in %s, and the system file says %s; `freehold move` moves it there",
             engine, service->engine);
    fail_one(migrate, item, why);
    return true;
}

static void put_together(struct migrate *migrate, const struct system_service *service,
                         struct findings *findings)
{
    struct fh_error error;
    size_t i;
    json_t *has = json_object_get(migrate->has, service->name), *migrations = NULL, *migration;
    bool with_sql = cli_value(migrate->command, migrate->values, "--sql") != NULL;
    const char *why = json_string_at(has, "error");
    json_int_t applied = 0;
    json_t *item = json_pack(
        "{s:s, s:s, s:O, s:o}", "service", service->name, "engine", service->engine, "model",
        json_object_get(service->description, "model"), "where", where_of(migrate, service));
    json_array_append_new(migrate->services, item);
    if (why)
        fail_one(migrate, item, why);
    if (is_elsewhere(migrate, service, has, item) || !is_relational(service) ||
        (why && !json_object_get(has, "applied")))
        return;
    if (migrations_state(service, has, with_sql, &migrations, &error) != FH_OK) {
        fail_one(migrate, item, error.message);
        return;
    }
    json_object_set_new(item, "migrations", migrations);
    json_object_set(item, "applied_now", json_object_get(has, "applied_now"));
    json_object_set(item, "adopted_now", json_object_get(has, "adopted_now"));
    json_array_foreach (migrations, i, migration) {
        if (json_object_get(migration, "applied_ms"))
            json_integer_at(migration, "version", &applied);
        if (migrations_hinders(migration))
            migrate->code = CLI_FAILED;
    }
    /* If there was never a store, there is no older version that could break. */
    if (is_action(migrate, "plan") && applied > 0)
        migrations_check_new(migrate->file, service, applied, findings);
}

static void show_migrations(const struct migrate *migrate, const struct findings *findings)
{
    if (cli_value(migrate->command, migrate->values, "--json")) {
        json_t *told = json_pack("{s:O}", "services", migrate->services);
        if (is_action(migrate, "plan"))
            json_object_set_new(told, "breaks", findings_json(findings));
        cli_print_json(told);
        json_decref(told);
    } else if (is_action(migrate, "plan")) {
        migrate_show_plan(migrate->services, migrate->running);
        cli_print_findings(findings);
    } else if (is_action(migrate, "state")) {
        migrate_show_state(migrate->services);
    } else {
        migrate_show_done(migrate->services);
    }
}

/* ---- The command ---- */

static int choose_migrated(struct migrate *migrate, char **names)
{
    bool any = names[0] != NULL;
    for (size_t i = 0; i < migrate->file->service_count; i++)
        migrate->chosen[i] = !any;
    for (; *names; names++) {
        const struct system_service *service = system_file_service(migrate->file, *names);
        if (!service)
            return load_no_service(migrate->file, *names);
        if ((is_action(migrate, "adopt") || is_action(migrate, "apply")) && !is_relational(service))
            return cli_fail(CLI_USAGE, "%s has no tables, and so no migrations", *names);
        migrate->chosen[service - migrate->file->services] = true;
    }
    return CLI_DONE;
}

/* Checks options that only some of the actions take. */
static int check_options(const struct migrate *migrate, char **names)
{
    const char *from = cli_value(migrate->command, migrate->values, "--from");
    const char *version = cli_value(migrate->command, migrate->values, "--version");
    bool adopts = is_action(migrate, "adopt");
    if (!adopts && (from || version))
        return cli_fail(CLI_USAGE, "--from and --version are for migrate adopt");
    if (!is_action(migrate, "plan") && cli_value(migrate->command, migrate->values, "--sql"))
        return cli_fail(CLI_USAGE, "--sql is for migrate plan");
    if (!adopts)
        return CLI_DONE;
    if (!from || !version || !names[0] || names[1])
        return cli_fail(CLI_USAGE,
                        "expected: freehold migrate adopt SERVICE --from flyway|liquibase "
                        "--version N");
    if (strspn(version, "0123456789") != strlen(version) || strlen(version) > 9 ||
        strtol(version, NULL, 10) == 0)
        return cli_fail(CLI_USAGE,
                        "--version is '%s'; expected the number of the newest migration that was "
                        "applied, as 12",
                        version);
    return CLI_DONE;
}

static int migrate_loaded(struct migrate *migrate, char **names)
{
    struct findings findings = {0};
    int code = choose_migrated(migrate, names);
    const char *folder = cli_value(migrate->command, migrate->values, "--state");
    migrate->folder = folder ? folder
                             : cli_default_state(&migrate->file->arena, migrate->file->folder,
                                                 migrate->file->name);
    if (code == CLI_DONE)
        code = ask_for_migrations(migrate);
    if (code != CLI_DONE)
        return code;
    for (size_t i = 0; i < migrate->file->service_count; i++) {
        if (migrate->chosen[i])
            put_together(migrate, &migrate->file->services[i], &findings);
    }
    show_migrations(migrate, &findings);
    if (findings.errors)
        migrate->code = CLI_FAILED;
    findings_release(&findings);
    return migrate->code;
}

static int run_migrate(const struct cli_command *command, char **words, const char **values)
{
    struct findings findings = {0};
    struct migrate migrate = {.command = command, .values = values, .action = words[0]};
    const struct load_options options =
        load_options_of(command, values, cli_value(command, values, "--file"));
    int code = check_options(&migrate, words + 1);
    if (code != CLI_DONE)
        return code;
    migrate.file = load_system(&options, &findings);
    if (!migrate.file || findings.errors)
        cli_print_findings(&findings);
    migrate.has = json_object();
    migrate.services = json_array();
    code = migrate.file ? migrate_loaded(&migrate, words + 1) : CLI_FAILED;
    json_decref(migrate.has);
    json_decref(migrate.services);
    system_file_free(migrate.file);
    findings_release(&findings);
    return code;
}

const struct cli_command cli_migrate = {
    .name = "migrate",
    .words = "plan|apply|state|adopt [SERVICE ...]",
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .summary = "Show, apply or adopt the migrations of services' stores",
    .text =
        "plan shows what would be applied to which store, and what would break a version that\n"
        "still runs; state shows what became of each migration. Both change nothing; they ask\n"
        "the running services, or else the stores. apply applies what is new while the system\n"
        "is stopped, and serves nothing. adopt takes over a store that Flyway or Liquibase has\n"
        "migrated up to --version: it records what they did as applied.\n"
        "Exit codes: 0 done, 1 failed, or something hinders the next start, 2 wrong usage.\n",
    .options = {{"--file", "FILE", "the system file; default: freehold.yaml", 'f'},
                {"--state", "DIR", "its state folder; default: .freehold/SYSTEM beside the file"},
                CLI_OPTION_PROFILE,
                CLI_OPTION_PROGRAMS,
                {"--sql", NULL, "plan: with the SQL"},
                {"--from", "flyway|liquibase", "adopt: what has migrated the store so far"},
                {"--version", "N", "adopt: the newest migration that was applied"},
                CLI_OPTION_JSON},
    .run = run_migrate,
};
