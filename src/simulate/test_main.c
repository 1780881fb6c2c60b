/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system's tests: `main` for a program that links the services of a system and its FH_TESTs. Each
 * test is run for several seeds, each in a process of its own. It speaks on standard output;
 * `freehold test` starts it.
 */

#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "simulate/program.h"

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];
extern const struct fh_test_case *const __start_fh_tests[];
extern const struct fh_test_case *const __stop_fh_tests[];

#define SEEDS_DEFAULT 10
#define TESTS_MAX 4096
#define NAME_SIZE 256

struct options {
    const char *file, *only;
    uint64_t seed, seeds;
    uint64_t jobs;
    bool trace, json, list;
};

struct program {
    struct options options;
    struct run_system system;
    const struct fh_test_case *tests[TESTS_MAX];
    int test_count;
    int run, failed;
    json_t *outcomes; /* with --json */
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

static bool on_test_seen(void *context, const struct many_seed *seed)
{
    struct outcome *outcome = context;
    outcome->seeds++;
    if (seed->failed && (!outcome->failed || seed->seed < outcome->first.seed)) {
        outcome->failed = true;
        outcome->first = *seed;
    }
    return !outcome->failed;
}

static void print_outcome(struct program *program, const struct fh_test_case *test,
                          const struct outcome *outcome)
{
    char name[NAME_SIZE];
    full_name(test, name);
    if (!program->options.json) {
        printf("%s %s", outcome->failed ? "FAILED" : "ok    ", name);
        if (outcome->failed)
            printf(" (%s:%d, seed %" PRIu64 ")", test->file, test->line, outcome->first.seed);
        printf("\n");
        program_print_failures(&outcome->first, "    ");
        if (outcome->failed)
            many_trace_end(&program->system, outcome->first.seed);
        fflush(stdout);
        return;
    }
    json_t *failures = json_array();
    const struct run_result *result = &outcome->first.result;
    for (int i = 0; i < RUN_FAILURES_MAX && result->failure[i][0]; i++)
        json_array_append_new(failures, json_string(result->failure[i]));
    if (result->crash[0])
        json_array_append_new(failures, json_string(result->crash));
    if (outcome->first.death[0])
        json_array_append_new(failures, json_string(outcome->first.death));
    json_array_append_new(
        program->outcomes,
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
                        .side_by_side = program_jobs(program->options.jobs),
                        .seen = on_test_seen,
                        .context = &outcome};
    many_run(&many);
    program->run++;
    program->failed += outcome.failed;
    print_outcome(program, test, &outcome);
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
static void gather_tests(struct program *program)
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

static int run_tests(struct program *program)
{
    char name[NAME_SIZE];
    if (!program->test_count) {
        printf("There is no test%s%s.\n", program->options.only ? " whose name has " : "",
               program->options.only ? program->options.only : "");
        return 2;
    }
    if (program->options.trace)
        return trace_one(program);
    program->outcomes = json_array();
    for (int i = 0; i < program->test_count; i++) {
        if (program->options.list)
            printf("%s\n", full_name(program->tests[i], name));
        else
            run_one(program, program->tests[i]);
    }
    if (program->options.json) {
        json_t *all = json_pack("{s:i, s:i, s:O}", "passed", program->run - program->failed,
                                "failed", program->failed, "tests", program->outcomes);
        program_print_json(all);
    } else if (!program->options.list) {
        printf("%d passed, %d failed; %" PRIu64 " seeds each\n", program->run - program->failed,
               program->failed, program->options.seeds);
    }
    json_decref(program->outcomes);
    return program->failed > 0;
}

/* ---- The command line ---- */

static int print_test_usage(const char *name, FILE *to)
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

static enum program_words read_test_words(int count, char **words, struct options *options)
{
    *options = (struct options){.seed = PROGRAM_NOT_GIVEN, .seeds = PROGRAM_NOT_GIVEN};
    const struct program_option known[] = {
        {"--seed", .number = &options->seed}, {"--seeds", .number = &options->seeds},
        {"--jobs", .number = &options->jobs}, {"--only", .word = &options->only},
        {"--trace", .flag = &options->trace}, {"--list", .flag = &options->list},
        {"--json", .flag = &options->json},   {0}};
    enum program_words read = program_read(count, words, known, &options->file);
    program_seeds(&options->seed, &options->seeds, SEEDS_DEFAULT);
    return options->seeds ? read : PROGRAM_WRONG;
}

/* The tests of `file`, which says what the system is. */
static int test_system(struct program *program, struct system_file *file)
{
    static const fh_simulation none = {.name = "tests"};
    struct declared declared;
    if (!program_services(__start_fh_services, __stop_fh_services, &declared))
        return 2;
    program->system = (struct run_system){.file = file,
                                          .services = declared.services,
                                          .service_count = declared.count,
                                          .simulation = &none};
    gather_tests(program);
    int code = run_tests(program);
    free(declared.services);
    return code;
}

int main(int count, char **words)
{
    struct options options;
    if (!program_begin())
        return 1;
    enum program_words read = read_test_words(count, words, &options);
    if (read != PROGRAM_FITS)
        return print_test_usage(words[0], read == PROGRAM_HELP ? stdout : stderr);
    struct system_file *file = program_read_file(options.file);
    if (!file)
        return 2;
    struct program *program = calloc(1, sizeof *program);
    FH_ASSERT(program != NULL);
    program->options = options;
    int code = test_system(program, file);
    free(program);
    system_file_free(file);
    return code;
}
