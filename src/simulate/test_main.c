/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system's tests: `main` for a program that links the services of a system and its FH_TESTs. Each
 * test is run for several seeds, each in a process of its own. It speaks on standard output;
 * `freehold test` starts it.
 */

#define _GNU_SOURCE
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "service/declared.h"
#include "simulate/many.h"

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];
extern const struct fh_test_case *const __start_fh_tests[];
extern const struct fh_test_case *const __stop_fh_tests[];

#define JSON_SEED 1 /* how objects hash: any, but always the same */
#define SEEDS_DEFAULT 10
#define TESTS_MAX 4096
#define NAME_SIZE 256

struct options {
    const char *file, *only;
    uint64_t seed, seeds;
    int jobs;
    bool trace, json, list;
};

struct program {
    struct options options;
    struct run_system system;
    const struct fh_test_case *tests[TESTS_MAX];
    int test_count;
    int run, failed;
    json_t *told; /* with --json */
};

/* What one test came to. */
struct outcome {
    bool failed;
    struct many_seed first; /* the lowest seed that failed: they run side by side */
    uint64_t seeds;
};

/* "orders.keeps_names", or "keeps_names" of the whole system's. */
static const char *full_name(const struct fh_test_case *test, char name[static NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s%s%s", test->service ? test->service : "",
             test->service ? "." : "", test->name);
    return name;
}

/* ---- One test ---- */

static bool on_seen(void *context, const struct many_seed *seed)
{
    struct outcome *outcome = context;
    outcome->seeds++;
    if (seed->failed && (!outcome->failed || seed->seed < outcome->first.seed)) {
        outcome->failed = true;
        outcome->first = *seed;
    }
    return !outcome->failed;
}

static void print_failure(const struct outcome *outcome)
{
    const struct run_result *result = &outcome->first.result;
    int shown = result->failures < RUN_FAILURES_MAX ? result->failures : RUN_FAILURES_MAX;
    for (int i = 0; i < shown; i++)
        printf("    %s\n", result->failure[i]);
    if (outcome->first.death[0])
        printf("    %s\n", outcome->first.death);
}

static void tell(struct program *program, const struct fh_test_case *test,
                 const struct outcome *outcome)
{
    char name[NAME_SIZE];
    full_name(test, name);
    if (!program->options.json) {
        printf("%s %s", outcome->failed ? "FAILED" : "ok    ", name);
        if (outcome->failed)
            printf(" (%s:%d, seed %" PRIu64 ")", test->file, test->line, outcome->first.seed);
        printf("\n");
        print_failure(outcome);
        if (outcome->failed)
            many_trace_end(&program->system, outcome->first.seed);
        fflush(stdout);
        return;
    }
    json_t *failures = json_array();
    for (int i = 0; i < outcome->first.result.failures && i < RUN_FAILURES_MAX; i++)
        json_array_append_new(failures, json_string(outcome->first.result.failure[i]));
    if (outcome->first.death[0])
        json_array_append_new(failures, json_string(outcome->first.death));
    json_array_append_new(
        program->told,
        json_pack("{s:s, s:s, s:i, s:b, s:I, s:o*, s:o}", "name", name, "file", test->file, "line",
                  test->line, "passed", !outcome->failed, "seeds", (json_int_t)outcome->seeds,
                  "seed", outcome->failed ? json_integer((json_int_t)outcome->first.seed) : NULL,
                  "failures", failures));
}

static void run_one(struct program *program, const struct fh_test_case *test)
{
    struct outcome outcome = {0};
    program->system.test = test;
    struct many many = {.system = program->system,
                        .first_seed = program->options.seed,
                        .runs = program->options.seeds,
                        .side_by_side = program->options.jobs,
                        .seen = on_seen,
                        .context = &outcome};
    many_run(&many);
    program->run++;
    program->failed += outcome.failed;
    tell(program, test, &outcome);
}

/* ---- All of them ---- */

static int compare_tests(const void *left, const void *right)
{
    const struct fh_test_case *a = *(const struct fh_test_case *const *)left;
    const struct fh_test_case *b = *(const struct fh_test_case *const *)right;
    int files = strcmp(a->file, b->file);
    return files ? files : a->line - b->line;
}

/* In the order in which they are written. */
static void gather(struct program *program)
{
    char name[NAME_SIZE];
    const char *only = program->options.only;
    for (const struct fh_test_case *const *at = __start_fh_tests; at < __stop_fh_tests; at++) {
        if ((!only || strstr(full_name(*at, name), only)) && program->test_count < TESTS_MAX)
            program->tests[program->test_count++] = *at;
    }
    qsort(program->tests, (size_t)program->test_count, sizeof *program->tests, compare_tests);
}

static int trace_one(struct program *program)
{
    struct many_seed seed;
    if (program->test_count != 1) {
        printf("--trace is for one test, and there are %d: name it with --only.\n",
               program->test_count);
        return 2;
    }
    program->system.test = program->tests[0];
    many_trace(&program->system, program->options.seed, stdout, &seed);
    return seed.failed;
}

static int run_all(struct program *program)
{
    char name[NAME_SIZE];
    if (!program->test_count) {
        printf("There is no test%s%s.\n", program->options.only ? " whose name has " : "",
               program->options.only ? program->options.only : "");
        return 2;
    }
    if (program->options.trace)
        return trace_one(program);
    program->told = json_array();
    for (int i = 0; i < program->test_count; i++) {
        if (program->options.list)
            printf("%s\n", full_name(program->tests[i], name));
        else
            run_one(program, program->tests[i]);
    }
    if (program->options.json) {
        json_t *all = json_pack("{s:i, s:i, s:O}", "passed", program->run - program->failed,
                                "failed", program->failed, "tests", program->told);
        char *text = json_text(all);
        puts(text);
        json_text_free(text);
        json_decref(all);
    } else if (!program->options.list) {
        printf("%d passed, %d failed; %" PRIu64 " seeds each\n", program->run - program->failed,
               program->failed, program->options.seeds);
    }
    json_decref(program->told);
    return program->failed > 0;
}

/* ---- The command line ---- */

static int usage(const char *name, FILE *to)
{
    fprintf(to,
            "Usage: %s FILE [--only NAME] [--seed N] [--seeds K] [--jobs N] [--trace] [--list]"
            " [--json]\n\n"
            "Runs the tests of the system of the system file FILE, each for several seeds.\n\n"
            "  --only NAME  those alone whose name has NAME in it\n"
            "  --seed N     the first seed; default 1\n"
            "  --seeds K    how many for each test; default %d, 1 with --seed\n"
            "  --jobs N     so many side by side; default: one a processor\n"
            "  --trace      one run of one test, and all that happens in it\n"
            "  --list       their names\n"
            "  --json       the outcome in JSON\n\n"
            "Exit codes: 0 all passed, 1 some did not, 2 wrong usage.\n",
            name, SEEDS_DEFAULT);
    return to == stdout ? 0 : 2;
}

static bool take_number(const char *text, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* 0: taken, with *ret_words words; -1: wrong. */
static int take_option(struct options *options, const char *word, const char *next, int *ret_words)
{
    uint64_t number = 0;
    bool counts =
        strcmp(word, "--seed") == 0 || strcmp(word, "--seeds") == 0 || strcmp(word, "--jobs") == 0;
    bool takes = counts || strcmp(word, "--only") == 0;
    *ret_words = 1 + takes;
    if (takes && (!next || (counts && !take_number(next, &number))))
        return -1;
    if (strcmp(word, "--seed") == 0)
        options->seed = number;
    else if (strcmp(word, "--seeds") == 0)
        options->seeds = number;
    else if (strcmp(word, "--jobs") == 0)
        options->jobs = (int)(number < MANY_SIDE_BY_SIDE_MAX ? number : MANY_SIDE_BY_SIDE_MAX);
    else if (strcmp(word, "--only") == 0)
        options->only = next;
    else if (strcmp(word, "--trace") == 0)
        options->trace = true;
    else if (strcmp(word, "--list") == 0)
        options->list = true;
    else if (strcmp(word, "--json") == 0)
        options->json = true;
    else if (word[0] != '-' && !options->file)
        options->file = word;
    else
        return -1;
    return 0;
}

static bool read_options(int count, char **words, struct options *options)
{
    for (int i = 1, taken; i < count; i += taken) {
        if (take_option(options, words[i], i + 1 < count ? words[i + 1] : NULL, &taken))
            return false;
    }
    if (!options->seeds)
        options->seeds = options->seed ? 1 : SEEDS_DEFAULT;
    if (!options->seed)
        options->seed = 1;
    return options->file != NULL;
}

static struct system_file *read_file(const char *path)
{
    struct findings findings = {0};
    struct system_file *file = system_file_read(path, NULL, &findings);
    for (size_t i = 0; i < findings.count; i++)
        printf("%s:%d:%d: %s\n", path, findings.items[i].place.line, findings.items[i].place.column,
               findings.items[i].message);
    findings_release(&findings);
    return file;
}

/* The tests of `file`, which says what the system is. */
static int test(struct program *program, struct system_file *file)
{
    static const fh_simulation none = {.name = "tests"};
    struct declared declared;
    struct fh_error error;
    if (declared_read(__start_fh_services, __stop_fh_services, &declared, &error) != FH_OK) {
        printf("%s\n", error.message);
        return 2;
    }
    program->system = (struct run_system){.file = file,
                                          .services = declared.services,
                                          .service_count = declared.count,
                                          .simulation = &none};
    gather(program);
    int code = run_all(program);
    free(declared.services);
    return code;
}

int main(int count, char **words)
{
    struct options options = {0};
    json_object_seed(JSON_SEED);
    json_memory_init();
    if (sodium_init() < 0)
        return 1;
    if (count == 2 && strcmp(words[1], "--help") == 0)
        return usage(words[0], stdout);
    if (!read_options(count, words, &options))
        return usage(words[0], stderr);
    struct system_file *file = read_file(options.file);
    if (!file)
        return 2;
    struct program *program = calloc(1, sizeof *program);
    FH_ASSERT(program != NULL);
    program->options = options;
    int code = test(program, file);
    free(program);
    system_file_free(file);
    return code;
}
