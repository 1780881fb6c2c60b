/* SPDX-License-Identifier: Apache-2.0 */
/* freehold check: checks the file, the programs, and with --live the running system. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/develop/changes.h"
#include "cli/load.h"
#include "cli/table.h"
#include "system/check/buses.h"
#include "system/check/sources.h"
#include "system/check/callers.h"
#include "system/check/check.h"
#include "system/provision/keys.h"
#include "system/verify/live.h"
#include "system/check/migrations.h"
#include "system/check/statements.h"
#include "system/verify/brokers.h"
#include "system/verify/derives.h"
#include "system/verify/verify.h"
#include "system/verify/servers.h"

#define VERIFY_MS_MAX 30000
#define VERIFYING_MAX 512 /* processes */
#define COUNTED_SIZE 256

/* The processes asked to try, and their answers. */
struct verifying {
    struct cli_ask asks[VERIFYING_MAX];
    const struct system_service *asked[VERIFYING_MAX];
    size_t count;
};

static void ask_to_verify(struct verifying *verifying, const struct system_service *service,
                          const char *address, const json_t *paths)
{
    if (verifying->count == VERIFYING_MAX)
        return;
    verifying->asked[verifying->count] = service;
    verifying->asks[verifying->count++] = (struct cli_ask){.service = service->name,
                                                           .address = address,
                                                           .method = "POST",
                                                           .path = "/_freehold/prove",
                                                           .body = json_text(paths)};
}

/* Asks each instance that has an address of its own; otherwise any process of the service. */
static void ask_service(struct verifying *verifying, const struct system_service *service,
                        const json_t *process, const json_t *paths)
{
    size_t i, before = verifying->count;
    json_t *instance;
    json_array_foreach (json_at(process, "instances"), i, instance) {
        const char *address = json_string_at(instance, "address");
        if (address && json_is_true(json_at(instance, "ready")))
            ask_to_verify(verifying, service, address, paths);
    }
    if (verifying->count == before)
        ask_to_verify(verifying, service, json_string_at(process, "address"), paths);
}

/* Every live process of a service tries to open what is not its own. */
static void verify_all(struct system_file *file, const struct state *state, const json_t *status,
                       struct findings *findings, json_t *not_verified)
{
    struct verifying *verifying = calloc(1, sizeof *verifying);
    size_t i;
    json_t *process, *answer;
    FH_ASSERT(verifying != NULL);
    json_array_foreach (json_at(status, "services"), i, process) {
        const struct system_service *service =
            system_file_service(file, json_string_at(process, "name"));
        if (!service || !json_is_true(json_at(process, "ready")))
            continue; /* live_check has reported it */
        json_t *paths = verify_paths(file, state, service);
        ask_service(verifying, service, process, paths);
        json_decref(paths);
    }
    cli_ask_all(state, verifying->asks, verifying->count, VERIFY_MS_MAX);
    for (i = 0; i < verifying->count; i++) {
        struct cli_ask *ask = &verifying->asks[i];
        answer = NULL;
        if (ask->status == 200)
            json_parse(ask->answer, strlen(ask->answer), &answer, ERROR_UNHEEDED);
        if (answer)
            verify_judge(verifying->asked[i], answer, findings, not_verified);
        else
            findings_error(findings, verifying->asked[i]->place, "%s at %s verified nothing: %s",
                           verifying->asked[i]->name, ask->address, ask->answer);
        json_decref(answer);
        json_text_free((char *)(uintptr_t)ask->body);
        free(ask->answer);
    }
    free(verifying);
}

/* The newest migration in each store tells which migrations are new. */
static void check_migrations(struct system_file *file, const struct state *state,
                             const json_t *status, struct findings *findings)
{
    struct cli_ask asks[SYSTEM_SERVICES_MAX] = {0};
    const struct system_service *asked[SYSTEM_SERVICES_MAX];
    size_t count = 0, i;
    json_t *process, *answer;
    json_array_foreach (json_at(status, "services"), i, process) {
        const struct system_service *service =
            system_file_service(file, json_string_at(process, "name"));
        if (!service || !service->migrations || !json_is_true(json_at(process, "ready")))
            continue;
        asked[count] = service;
        asks[count++] = (struct cli_ask){.service = service->name,
                                         .address = json_string_at(process, "address"),
                                         .method = "GET",
                                         .path = "/_freehold/state",
                                         .headers = {{"Freehold-From", KEYS_OPERATOR}}};
    }
    cli_ask_all(state, asks, count, VERIFY_MS_MAX);
    for (i = 0; i < count; i++) {
        json_int_t applied = -1;
        answer = NULL;
        if (asks[i].status == 200)
            json_parse(asks[i].answer, strlen(asks[i].answer), &answer, ERROR_UNHEEDED);
        if (json_integer_at(answer, "migration", &applied) && applied >= 0)
            migrations_check_new(file, asked[i], applied, findings);
        else
            findings_error(findings, asked[i]->place,
                           "%s does not report which migrations its store has", asked[i]->name);
        json_decref(answer);
        free(asks[i].answer);
    }
}

static int check_live(struct system_file *file, const char *folder, struct findings *findings,
                      json_t *not_verified)
{
    struct state state;
    json_t *status = NULL;
    const char *state_folder =
        folder ? folder : cli_default_state(&file->arena, file->folder, file->name);
    int code = cli_find_state(state_folder, &state);
    if (code != CLI_DONE)
        return code;
    code = cli_control_status(&state, &status);
    if (code == CLI_DONE) {
        live_check(file, &state, status, findings, not_verified);
        verify_all(file, &state, status, findings, not_verified);
        verify_servers(file, &state, status, findings);
        verify_brokers(file, &state, findings);
        verify_derives(file, &state, findings);
        check_migrations(file, &state, status, findings);
    }
    json_decref(status);
    state_close(&state);
    return code;
}

/* "a, b"; malloc'ed. */
static char *join_words(const json_t *words)
{
    struct text text;
    size_t i;
    json_t *word;
    text_init(&text, TEXT_LENGTH_MAX);
    json_array_foreach (words, i, word)
        text_printf(&text, "%s%s", i ? ", " : "", json_string_value(word));
    return text_take(&text);
}

/* Each receiver, each of its callers, and what that caller may use. */
static void print_callers(struct system_file *file)
{
    const char *receiver, *caller;
    json_t *matrix = callers_matrix(file), *callers, *grants;
    struct cli_table table;
    printf("\nWho may call whom (an operator may call everything):\n");
    table_begin(&table, (const char *const[]){"RECEIVER", "CALLER", "MAY USE", NULL});
    json_object_foreach (matrix, receiver, callers) {
        const char *left = receiver;
        json_object_foreach (callers, caller, grants) {
            if (strcmp(caller, KEYS_OPERATOR) == 0)
                continue;
            char *words = json_array_size(grants) ? join_words(grants) : NULL;
            table_cell(&table, "%s", left);
            table_cell(&table, "%s", caller);
            table_cell(&table, "%s", words ? words : "nothing");
            free(words);
            left = "";
        }
        if (*left) {
            table_cell(&table, "%s", left);
            table_cell(&table, "nobody");
            table_cell(&table, "%s", "");
        }
    }
    table_end(&table);
    json_decref(matrix);
}

/* By a bus, or from their publishers' feeds; nothing where no bus is named, and nothing is held for
 * readers outside. */
static void print_topics(struct system_file *file)
{
    json_t *topics = buses_map(file), *topic;
    struct cli_table table;
    size_t i;
    bool any = false;
    json_array_foreach (topics, i, topic)
        any |= json_object_get(topic, "topic") != NULL ||
               json_integer_value(json_at(topic, "outside.outbox_s"));
    if (any) {
        printf("\nHow events travel (what a bus lacks is taken from the feed), and for how long "
               "they are held for readers outside:\n");
        table_begin(&table, (const char *const[]){"PUBLISHER", "BY", "TOPIC", "SUBSCRIBERS",
                                                  "FOR READERS OUTSIDE", NULL});
    }
    json_array_foreach (topics, i, topic) {
        char *words = any ? join_words(json_object_get(topic, "subscribers")) : NULL;
        char held[CLI_OUTSIDE_SIZE];
        const char *server = json_string_at(topic, "server");
        const char *name = json_string_at(topic, "topic");
        if (!any)
            continue;
        table_cell(&table, "%s", json_string_at(topic, "service"));
        table_cell(&table, "%s%s%s", json_string_at(topic, "by"), server ? " " : "",
                   server ? server : "");
        table_cell(&table, "%s", name ? name : "-");
        table_cell(&table, "%s", words && *words ? words : "nobody");
        cli_format_outside(held, sizeof held, cli_number(json_at(topic, "outside"), "topic_s"),
                           cli_number(json_at(topic, "outside"), "outbox_s"), "not held");
        table_cell(&table, "%s", held);
        free(words);
    }
    if (any)
        table_end(&table);
    json_decref(topics);
}

/* What was published before reading begins, and what the broker removes, is not to be had. */
static void print_sources(struct system_file *file)
{
    json_t *sources = sources_map(file), *source;
    struct cli_table table;
    size_t i;
    if (json_array_size(sources) > 0) {
        printf("\nSources outside (no snapshot: what their brokers remove is lost to whoever has "
               "not read it):\n");
        table_begin(&table, (const char *const[]){"SOURCE", "BY", "TOPIC", "PARTITIONS", "FROM",
                                                  "SUBSCRIBERS", NULL});
    }
    json_array_foreach (sources, i, source) {
        char *words = join_words(json_object_get(source, "subscribers"));
        table_cell(&table, "%s", json_string_at(source, "source"));
        table_cell(&table, "%s %s", json_string_at(source, "by"), json_string_at(source, "server"));
        table_cell(&table, "%s", json_string_at(source, "topic"));
        table_cell(&table, "%lld", cli_number(source, "partitions"));
        table_cell(&table, "%s", json_string_at(source, "from"));
        table_cell(&table, "%s", words && *words ? words : "nobody");
        free(words);
    }
    if (json_array_size(sources) > 0)
        table_end(&table);
    json_decref(sources);
}

static void print_check_json(struct system_file *file, const struct findings *findings,
                             json_t *not_verified, json_t *not_judged, json_t *changes)
{
    json_t *all = findings_json(findings);
    if (file) {
        struct check_counts counts = check_count(file);
        json_object_set_new(all, "system", json_string(file->name));
        json_object_set_new(all, "services", json_integer((json_int_t)counts.services));
        json_object_set_new(all, "routes", json_integer((json_int_t)counts.routes));
        json_object_set_new(all, "subscriptions", json_integer((json_int_t)counts.subscriptions));
        json_object_set_new(all, "sagas", json_integer((json_int_t)counts.sagas));
        json_object_set_new(all, "callers", callers_matrix(file));
        json_object_set_new(all, "topics", buses_map(file));
        if (file->source_count)
            json_object_set_new(all, "sources", sources_map(file));
    }
    if (file && not_verified)
        json_object_set(all, "not_verified", not_verified);
    if (file && not_judged)
        json_object_set(all, "not_judged", not_judged);
    if (changes)
        json_object_set(all, "changes", changes);
    cli_print_json(all);
    json_decref(all);
}

static const char *plural_of(size_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

static void print_counts(const struct findings *findings)
{
    printf("%zu %s, %zu %s.\n", findings->errors, plural_of(findings->errors, "error", "errors"),
           findings->warnings, plural_of(findings->warnings, "warning", "warnings"));
}

static void print_open(const char *what, const json_t *sentences)
{
    size_t i;
    json_t *sentence;
    json_array_foreach (sentences, i, sentence) {
        int column = printf("%s: ", what);
        cli_wrap(stdout, cli_width(stdout), column, 2, json_string_value(sentence));
        printf(".\n");
    }
}

static void print_result(struct system_file *file, const struct findings *findings,
                         const json_t *not_verified, const json_t *not_judged)
{
    cli_print_findings(findings);
    if (!file || findings->errors) {
        print_counts(findings);
        print_open("Not verified", not_verified);
        print_open("Not judged", not_judged);
        return;
    }
    struct check_counts counts = check_count(file);
    char counted[COUNTED_SIZE];
    snprintf(counted, sizeof counted, ": %zu %s, %zu %s (%zu public), %zu %s, %zu %s, %zu %s.",
             counts.services, plural_of(counts.services, "service", "services"), counts.routes,
             plural_of(counts.routes, "route", "routes"), counts.public_routes,
             counts.subscriptions, plural_of(counts.subscriptions, "subscription", "subscriptions"),
             counts.sagas, plural_of(counts.sagas, "saga", "sagas"), counts.compositions,
             plural_of(counts.compositions, "composition", "compositions"));
    const char *live = not_verified ? " and runs as described" : "";
    printf("%s%s fits together%s%s", cli_colour(stdout, CLI_GREEN), file->name, live,
           cli_colour(stdout, CLI_PLAIN));
    cli_wrap(stdout, cli_width(stdout),
             (int)(strlen(file->name) + sizeof " fits together" - 1 + strlen(live)), 2, counted);
    printf("\n");
    if (findings->warnings)
        print_counts(findings);
    print_callers(file);
    print_topics(file);
    print_sources(file);
    print_open("Not verified", not_verified);
    print_open("Not judged", not_judged);
}

/* What files beside the system it is checked with; both empty where they are not given. */
struct beside {
    struct contract_files previous, others;
};

static void read_beside(const struct cli_command *command, const char **values,
                        struct beside *beside, struct findings *findings)
{
    const char *against = cli_value(command, values, "--against"),
               *others = cli_value(command, values, "--others");
    if (against)
        contract_files_read(against, &beside->previous, findings);
    if (others)
        contract_files_read(others, &beside->others, findings);
}

/* What is known of stores and their statements, once programs fit together. */
static int check_more(struct system_file *file, const char *folder, bool live,
                      struct findings *findings, json_t *not_verified, json_t *not_judged)
{
    int code = live ? check_live(file, folder, findings, not_verified) : CLI_DONE;
    statements_check(file, findings, not_judged);
    if (!live)
        migrations_check_recorded(
            file, folder ? folder : cli_default_state(&file->arena, file->folder, file->name),
            findings, not_judged);
    return code;
}

static int run_check(const struct cli_command *command, char **words, const char **values)
{
    struct findings findings = {0};
    struct beside beside = {0};
    bool live = cli_value(command, values, "--live") != NULL;
    bool against = cli_value(command, values, "--against") != NULL;
    bool all = cli_value(command, values, "--verbose") != NULL;
    struct load_options options = load_options_of(command, values, words[0]);
    if (all && !against)
        return cli_fail(CLI_USAGE, "--verbose lists changes: it needs --against PREVIOUS");
    read_beside(command, values, &beside, &findings);
    options.others = cli_value(command, values, "--others") ? &beside.others : NULL;
    options.unfit_too = against; /* what was changed may well be why */
    struct system_file *file = load_system(&options, &findings);
    json_t *not_verified = live ? json_array() : NULL, *not_judged = live ? NULL : json_array();
    json_t *changes = NULL;
    int code = CLI_DONE;
    if (file && !findings.errors)
        code = check_more(file, options.state, live, &findings, not_verified, not_judged);
    if (file && against)
        changes = contract_against(file, &beside.previous, options.others, &findings);
    if (code == CLI_DONE) {
        if (cli_value(command, values, "--json"))
            print_check_json(file, &findings, not_verified, not_judged, changes);
        else
            print_result(file, &findings, not_verified, not_judged);
        if (changes && !cli_value(command, values, "--json"))
            changes_print(changes, cli_value(command, values, "--against"), all);
        code = findings.errors || contract_count(changes, "error") ? CLI_FAILED : CLI_DONE;
    }
    json_decref(changes);
    json_decref(not_verified);
    json_decref(not_judged);
    system_file_free(file);
    findings_release(&findings);
    contract_files_release(&beside.previous);
    contract_files_release(&beside.others);
    return code;
}

const struct cli_command cli_check = {
    .name = "check",
    .words = "[FILE]",
    .words_max = 1,
    .summary = "Check a system file and whether its programs fit together",
    .text =
        "Finds unknown keys and services, calls and subscriptions that nobody serves, and saga\n"
        "steps without compensation. Files that `freehold describe` has written stand for\n"
        "services of other teams, and for what this system promised before. Exit codes: 0\n"
        "nothing but warnings, 1 errors, or a change that breaks somebody, 2 wrong usage, 3\n"
        "--live without a running system.\n",
    .options = {{"--live", NULL, "check the running system too"},
                {"--against", "FILE", "name what breaks what this file, or a folder, describes"},
                {"--others", "FILE", "what other teams' services are: a file, or a folder"},
                {"--verbose", NULL, "with --against, compatible changes, too"},
                CLI_OPTION_STATE_BESIDE,
                CLI_OPTION_PROFILE,
                CLI_OPTION_PROGRAMS,
                CLI_OPTION_JSON},
    .run = run_check,
};
