/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold complete: the possible words at a shell's cursor, one per line; "@files" stands for the
 * shell's own completion of paths, "@folders" for that of folders. It reads the same tables as
 * everything else, so whatever is declared is completed. Services are those of the running system,
 * or of the system file on the command line or in this folder; profiles are the file's; sagas,
 * timers and parked keys are asked of the running service. It never reports errors: they would only
 * disturb the command line.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/words.h"
#include "engine/engines.h"
#include "system/file/file.h"

#define COMPLETE_S_MAX 2 /* no shell waits longer for a service that hangs */

static const char *typed; /* the beginning of the word at the cursor */

static bool offer_word(void *unused, const char *word)
{
    (void)unused;
    if (strncmp(word, typed, strlen(typed)) == 0)
        puts(word);
    return true;
}

/* The line so far: the words before the cursor, without options. */
struct line {
    const char *words[CLI_WORDS_MAX], *state;
    int count;
    const struct cli_option *open; /* the option whose value is at the cursor */
};

static void offer_commands(void)
{
    for (int i = 0; commands[i]; i++) {
        if (!commands[i]->hidden)
            offer_word(NULL, commands[i]->name);
    }
}

static void offer_running(const char *folder)
{
    struct cli_operator asking;
    json_t *service;
    size_t i;
    if (cli_operator_begin(&asking, folder) != CLI_DONE)
        return;
    json_array_foreach (json_at(asking.system, "services"), i, service)
        offer_word(NULL, json_string_at(service, "name"));
    cli_operator_end(&asking);
}

static void offer_services(const char *path, const char *folder)
{
    struct findings findings = {0};
    struct system_file *file = system_file_read(path ? path : CLI_SYSTEM_FILE, NULL, &findings);
    if (!path && !file)
        offer_running(folder);
    for (size_t i = 0; file && i < file->service_count; i++)
        offer_word(NULL, file->services[i].name);
    system_file_free(file);
    findings_release(&findings);
}

/* ---- Values ---- */

static void offer_profiles(const char *path)
{
    struct findings findings = {0};
    struct system_file *file =
        system_file_read_faulty(path ? path : CLI_SYSTEM_FILE, NULL, &findings);
    for (size_t i = 0; file && i < file->profile_count; i++)
        offer_word(NULL, file->profiles[i]);
    system_file_free(file);
    findings_release(&findings);
}

static void offer_engines(void)
{
    for (const struct engine *one = NULL; (one = engine_next(one));)
        offer_word(NULL, one->name);
}

/* The texts `name` of the list that the running service answers with that is the word `at`; those
 * alone whose `other` is `wanted`, unless that is NULL. Each once. */
static void offer_listed(const struct line *line, int at, const char *path, const char *list,
                         const char *name, const char *other, const char *wanted)
{
    struct cli_operator asking;
    json_t *body, *one, *offered = json_object();
    size_t i;
    if (cli_operator_begin(&asking, line->state) == CLI_DONE) {
        if (cli_operator_ask(&asking, line->words[at], "GET", path, json_object(), &body) ==
            CLI_DONE) {
            json_array_foreach (json_object_get(body, list), i, one) {
                const char *text = json_string_at(one, name);
                if (text && !json_object_get(offered, text) &&
                    (!wanted || strcmp(cli_text(one, other), wanted) == 0)) {
                    offer_word(NULL, text);
                    json_object_set_new(offered, text, json_true());
                }
            }
            json_decref(body);
        }
        cli_operator_end(&asking);
    }
    json_decref(offered);
}

/* What only a running service knows: its open sagas, what it has parked, timers too, its reports.
 */
static void offer_of_service(const char *form, const struct line *line,
                             const struct cli_command *command)
{
    bool sagas = command == &cli_saga, parked = command == &cli_parked;
    bool timers = command == &cli_timers;
    if (command == &cli_report && strcmp(form, "REPORT") == 0 && line->count == 1)
        offer_listed(line, 0, "/_freehold/reports", "reports", "name", NULL, NULL);
    if (line->count < 2)
        return;
    if (sagas && strcmp(form, "ID") == 0)
        offer_listed(line, 1, "/_freehold/sagas", "sagas", "id", NULL, NULL);
    else if (timers && strcmp(form, "ID") == 0)
        offer_listed(line, 1, "/_freehold/timers?state=parked", "timers", "id", NULL, NULL);
    else if (parked && strcmp(form, "SOURCE") == 0)
        offer_listed(line, 1, "/_freehold/parked", "keys", "source", NULL, NULL);
    else if (parked && strcmp(form, "KEY") == 0 && line->count > 2)
        offer_listed(line, 1, "/_freehold/parked", "keys", "key", "source", line->words[2]);
}

static void offer_options(const struct cli_command *command)
{
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++)
        offer_word(NULL, command->options[i].name);
    offer_word(NULL, "--help");
}

static const struct cli_option *option_of(const struct cli_command *command, const char *name)
{
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++) {
        if (strcmp(command->options[i].name, name) == 0)
            return &command->options[i];
    }
    return NULL;
}

static void read_typed_line(const struct cli_command *command, char **given, int count,
                            struct line *line)
{
    for (int i = 0; i < count; i++) {
        const struct cli_option *option = option_of(command, given[i]);
        bool takes = option && option->placeholder;
        if (takes && i + 1 == count)
            line->open = option;
        else if (takes && strcmp(option->name, "--state") == 0)
            line->state = given[i + 1];
        else if (!option && given[i][0] != '-' && line->count < CLI_WORDS_MAX)
            line->words[line->count++] = given[i];
        i += takes;
    }
}

static void offer_form(const char *form, const struct line *line, const struct cli_command *command)
{
    char first[WORDS_FORM_SIZE];
    if (words_each_choice(form, offer_word, NULL))
        return;
    bool has_file = words_form(command, 0, first) && strcmp(first, "FILE") == 0;
    bool diffs = command == &cli_events && line->count && strcmp(line->words[0], "diff") == 0;
    if (diffs && !line->open)
        puts("@files");
    else if (strcmp(form, "SERVICE") == 0)
        offer_services(has_file && line->count ? line->words[0] : NULL, line->state);
    else if (strcmp(form, "COMMAND") == 0)
        offer_commands();
    else if (strcmp(form, "FILE") == 0)
        puts("@files");
    else if (strcmp(form, "DIR") == 0 || strcmp(form, "FOLDER") == 0)
        puts("@folders");
    else if (strcmp(form, "ENGINE") == 0)
        offer_engines();
    else if (line->open && strcmp(line->open->name, "--profile") == 0)
        offer_profiles(has_file && line->count ? line->words[0] : NULL);
    else
        offer_of_service(form, line, command);
}

static int run_complete(const struct cli_command *command, char **words, const char **values)
{
    (void)command;
    (void)values;
    char form[WORDS_FORM_SIZE];
    int count = 0, nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nothing >= 0)
        dup2(nothing, STDERR_FILENO);
    while (count < CLI_WORDS_MAX && words[count])
        count++;
    typed = count ? words[count - 1] : "";
    if (count < 2) {
        offer_commands();
        return CLI_DONE;
    }
    const struct cli_command *meant = commands_find(words[0]);
    struct line line = {0};
    if (!meant)
        return CLI_DONE;
    read_typed_line(meant, words + 1, count - 2, &line);
    alarm(COMPLETE_S_MAX);
    if (line.open)
        offer_form(line.open->placeholder, &line, meant);
    else if (typed[0] == '-')
        offer_options(meant);
    else if (words_form(meant, line.count, form))
        offer_form(form, &line, meant);
    return CLI_DONE;
}

const struct cli_command cli_complete = {
    .name = "complete",
    .words = "[WORD ...]",
    .words_max = CLI_WORDS_MAX,
    .summary = "The words that may stand where a shell's cursor is",
    .text =
        "The last WORD is the one at the cursor, and may be empty. For the shell's completion;\n"
        "write -- before the words.\n",
    .hidden = true,
    .run = run_complete,
};
