/* SPDX-License-Identifier: Apache-2.0 */
/* What both programs need: their words, what they run, and what they print of it. */

#include "simulate/program.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define JSON_SEED 1 /* how objects hash: any, but always the same */

bool program_begin(void)
{
    json_object_seed(JSON_SEED);
    json_memory_init();
    return sodium_init() >= 0;
}

/* ---- the command line ---- */

static bool read_option_number(const char *text, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* False: `next` does not fit, or is lacking. */
static bool take_program_option(const struct program_option *option, const char *next)
{
    if (option->flag)
        *option->flag = true;
    else if (option->word)
        *option->word = next;
    return option->flag || (next && (option->word || read_option_number(next, option->number)));
}

enum program_words program_read(int count, char **words, const struct program_option *options,
                                const char **ret_file)
{
    *ret_file = NULL;
    for (int i = 1; i < count; i++) {
        const struct program_option *option = options;
        while (option->name && strcmp(option->name, words[i]) != 0)
            option++;
        if (option->name) {
            if (!take_program_option(option, i + 1 < count ? words[i + 1] : NULL))
                return PROGRAM_WRONG;
            i += !option->flag;
        } else if (strcmp(words[i], "--help") == 0) {
            return PROGRAM_HELP;
        } else if (words[i][0] != '-' && !*ret_file) {
            *ret_file = words[i];
        } else {
            return PROGRAM_WRONG;
        }
    }
    return *ret_file ? PROGRAM_FITS : PROGRAM_WRONG;
}

void program_seeds(uint64_t *seed, uint64_t *runs, uint64_t runs_default)
{
    if (*runs == PROGRAM_NOT_GIVEN)
        *runs = *seed == PROGRAM_NOT_GIVEN ? runs_default : 1;
    if (*seed == PROGRAM_NOT_GIVEN)
        *seed = 1;
}

int program_jobs(uint64_t jobs)
{
    return (int)(jobs < MANY_SIDE_BY_SIDE_MAX ? jobs : MANY_SIDE_BY_SIDE_MAX);
}

/* ---- what is run ---- */

struct system_file *program_read_file(const char *path)
{
    struct findings findings = {0};
    struct system_file *file = system_file_read_keyless(path, &findings);
    for (size_t i = 0; i < findings.count; i++)
        printf("%s:%d:%d: %s\n", path, findings.items[i].place.line, findings.items[i].place.column,
               findings.items[i].message);
    findings_release(&findings);
    return file;
}

bool program_services(const fh_service *const *begin, const fh_service *const *end,
                      struct declared *ret)
{
    struct fh_error error;
    if (declared_read(begin, end, ret, &error) == FH_OK)
        return true;
    printf("%s\n", error.message);
    return false;
}

/* ---- what came of it ---- */

void program_print_failures(const struct many_seed *seed, const char *indent)
{
    const struct run_result *result = &seed->result;
    int shown = 0;
    for (int i = 0; i < RUN_FAILURES_MAX && result->failure[i][0]; i++) {
        printf("%s%s\n", indent, result->failure[i]);
        if (result->repeated[i])
            printf("%s… %d more like it\n", indent, result->repeated[i]);
        shown += 1 + result->repeated[i];
    }
    if (result->failures > shown)
        printf("%sand %d more\n", indent, result->failures - shown);
    if (result->crash[0])
        printf("%s%s\n", indent, result->crash);
    if (seed->death[0])
        printf("%s%s\n", indent, seed->death);
    if (seed->replayed_otherwise)
        printf("%sa second run of the seed went otherwise\n", indent);
}

void program_print_json(json_t *all)
{
    char *text = json_text(all);
    puts(text);
    json_text_free(text);
    json_decref(all);
}
