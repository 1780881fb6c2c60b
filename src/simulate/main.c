/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system's simulation: `main` for a program that links all services of a system and one
 * FH_SIMULATION. It speaks on standard output; `freehold simulate` starts it.
 */

#define _GNU_SOURCE
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/progress.h"
#include "service/declared.h"
#include "simulate/many.h"

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];
extern const fh_simulation *const __start_fh_simulations[];

#define JSON_SEED 1 /* how objects hash: any, but always the same */
#define FAILED_SHOWN_MAX 3

struct options {
    const char *file, *fates;
    uint64_t seed, runs;
    int jobs;
    bool replay, trace, json, stop, linked;
};

struct program {
    struct options options;
    struct many many;
    uint64_t ended, failed, crashes, steps;
    int64_t virtual_ns;
    struct run_result counts; /* summed up */
    uint64_t failed_seeds[FAILED_SHOWN_MAX];
    double seconds;
    struct progress progress;
};

static void sum_up(struct program *program, const struct run_result *result)
{
    program->ended++;
    program->crashes += (uint64_t)result->crashes;
    program->steps += result->steps;
    program->virtual_ns += result->virtual_ns;
    for (int i = 0; i < RUN_COUNTS_MAX && result->counts[i].name[0]; i++) {
        for (int j = 0; j < RUN_COUNTS_MAX; j++) {
            char *name = program->counts.counts[j].name;
            if (*name && strcmp(name, result->counts[i].name) != 0)
                continue;
            memcpy(name, result->counts[i].name, sizeof result->counts[i].name);
            program->counts.counts[j].value += result->counts[i].value;
            break;
        }
    }
}

static void print_failures(const struct many_seed *seed)
{
    printf("seed %" PRIu64 " FAILED:\n", seed->seed);
    int shown = seed->result.failures < RUN_FAILURES_MAX ? seed->result.failures : RUN_FAILURES_MAX;
    for (int i = 0; i < shown; i++)
        printf("  %s\n", seed->result.failure[i]);
    if (seed->result.failures > shown)
        printf("  and %d more\n", seed->result.failures - shown);
    if (seed->death[0])
        printf("  %s\n", seed->death);
    if (seed->replayed_otherwise)
        printf("  a second run of the seed went otherwise\n");
}

static bool on_seen(void *context, const struct many_seed *seed)
{
    struct program *program = context;
    sum_up(program, &seed->result);
    progress_reach(&program->progress, (int64_t)program->ended);
    if (!seed->failed)
        return true;
    progress_hide(&program->progress);
    if (program->failed < FAILED_SHOWN_MAX)
        program->failed_seeds[program->failed] = seed->seed;
    if (program->failed++ < FAILED_SHOWN_MAX && !program->options.json)
        print_failures(seed);
    return !program->options.stop;
}

static void print_summary(const struct program *program)
{
    printf("%" PRIu64 " runs, %" PRIu64 " failed; %" PRIu64
           " crashes; %.0f s of virtual time and %" PRIu64 " steps in %.1f s",
           program->ended, program->failed, program->crashes, (double)program->virtual_ns / 1e9,
           program->steps, program->seconds);
    for (int i = 0; i < RUN_COUNTS_MAX && program->counts.counts[i].name[0]; i++)
        printf("; %" PRId64 " %s (%.0f/s)", program->counts.counts[i].value,
               program->counts.counts[i].name,
               (double)program->counts.counts[i].value / program->seconds);
    printf("\n");
}

static void print_json(const struct program *program)
{
    json_t *seeds = json_array(), *counts = json_object();
    for (uint64_t i = 0; i < program->failed && i < FAILED_SHOWN_MAX; i++)
        json_array_append_new(seeds, json_integer((json_int_t)program->failed_seeds[i]));
    for (int i = 0; i < RUN_COUNTS_MAX && program->counts.counts[i].name[0]; i++)
        json_object_set_new(counts, program->counts.counts[i].name,
                            json_integer(program->counts.counts[i].value));
    json_t *all = json_pack(
        "{s:I, s:I, s:o, s:I, s:I, s:f, s:o}", "runs", (json_int_t)program->ended, "failed",
        (json_int_t)program->failed, "failed_seeds", seeds, "crashes", (json_int_t)program->crashes,
        "steps", (json_int_t)program->steps, "seconds", program->seconds, "counts", counts);
    char *text = json_text(all);
    puts(text);
    json_text_free(text);
    json_decref(all);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int simulate(struct program *program)
{
    const struct options *options = &program->options;
    if (options->trace) {
        struct many_seed seed;
        many_trace(&program->many.system, options->seed, stdout, &seed);
        if (seed.failed)
            print_failures(&seed);
        return seed.failed;
    }
    double began = now_s();
    progress_begin(&program->progress, "simulating", "runs", (int64_t)options->runs, options->json);
    many_run(&program->many);
    progress_end(&program->progress);
    program->seconds = now_s() - began;
    for (uint64_t i = 0; !options->json && i < program->failed && i < FAILED_SHOWN_MAX; i++)
        many_trace_end(&program->many.system, program->failed_seeds[i]);
    if (options->json)
        print_json(program);
    else
        print_summary(program);
    return program->failed > 0;
}

/* ---- the command line ---- */

static int usage(const char *name, FILE *to)
{
    fprintf(to,
            "Usage: %s FILE [--seed N] [--runs K] [--jobs N] [--stop] [--replay] [--trace]"
            " [--json] [--linked]\n\n"
            "Simulates the system of the system file FILE, one run for each seed from N on.\n\n"
            "  --seed N   the first seed; default 1\n"
            "  --runs K   how many; default 1 with --seed, else 100\n"
            "  --jobs N   so many side by side; default: one a processor\n"
            "  --stop     begin no more once one has failed\n"
            "  --replay   each seed twice, and both must be the same run\n"
            "  --trace    one run, and all that happens in it\n"
            "  --linked   only those services of FILE that are linked into this program\n"
            "  --fates L  instead of what is drawn: \"7:2,9:1\", what the 7th message to or from\n"
            "             the database server meets (docs/internals/simulation.md), and the 9th\n"
            "  --json     the summary in JSON\n\n"
            "Exit codes: 0 all held, 1 some did not, 2 wrong usage.\n",
            name);
    return to == stdout ? 0 : 2;
}

static bool take_number(const char *text, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* 0: fine; else what main returns, plus 1. */
static int read_options(int count, char **words, struct options *options)
{
    *options = (struct options){.seed = 1, .runs = 100};
    bool given_runs = false, given_seed = false;
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *next = i + 1 < count ? words[i + 1] : NULL;
        uint64_t number = 0;
        bool takes = strcmp(word, "--seed") == 0 || strcmp(word, "--runs") == 0 ||
                     strcmp(word, "--jobs") == 0;
        bool lists = strcmp(word, "--fates") == 0;
        if (strcmp(word, "--help") == 0)
            return 1 + usage(words[0], stdout);
        if ((takes && (!next || !take_number(next, &number))) || (lists && !next))
            return 1 + usage(words[0], stderr);
        i += takes || lists;
        if (strcmp(word, "--seed") == 0)
            options->seed = number, given_seed = true;
        else if (strcmp(word, "--runs") == 0)
            options->runs = number, given_runs = true;
        else if (strcmp(word, "--jobs") == 0)
            options->jobs = (int)(number < MANY_SIDE_BY_SIDE_MAX ? number : MANY_SIDE_BY_SIDE_MAX);
        else if (strcmp(word, "--stop") == 0)
            options->stop = true;
        else if (strcmp(word, "--replay") == 0)
            options->replay = true;
        else if (strcmp(word, "--trace") == 0)
            options->trace = true;
        else if (strcmp(word, "--json") == 0)
            options->json = true;
        else if (strcmp(word, "--linked") == 0)
            options->linked = true;
        else if (strcmp(word, "--fates") == 0)
            options->fates = next;
        else if (word[0] != '-' && !options->file)
            options->file = word;
        else
            return 1 + usage(words[0], stderr);
    }
    if (given_seed && !given_runs)
        options->runs = 1;
    return options->file ? 0 : 1 + usage(words[0], stderr);
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

/* Every service of the file must be linked into the program, if not said otherwise. */
static bool services_fit(const struct system_file *file, const struct declared *declared)
{
    for (size_t i = 0; i < file->service_count; i++) {
        if (!declared_find(declared, file->services[i].name)) {
            printf("The service %s is not linked into this program.\n", file->services[i].name);
            return false;
        }
    }
    return true;
}

static int run(struct program *program, const struct declared *declared)
{
    struct system_file *file = read_file(program->options.file);
    bool fits = file && (program->options.linked || services_fit(file, declared));
    program->many = (struct many){.system = {.file = file,
                                             .services = declared->services,
                                             .service_count = declared->count,
                                             .simulation = __start_fh_simulations[0],
                                             .fates = program->options.fates},
                                  .first_seed = program->options.seed,
                                  .runs = program->options.runs,
                                  .side_by_side = program->options.jobs,
                                  .replay = program->options.replay,
                                  .seen = on_seen,
                                  .context = program};
    int code = fits ? simulate(program) : 2;
    if (file)
        system_file_free(file);
    return code;
}

int main(int count, char **words)
{
    struct program program = {0};
    struct declared declared;
    struct fh_error error;
    json_object_seed(JSON_SEED);
    json_memory_init();
    if (sodium_init() < 0)
        return 1;
    int code = read_options(count, words, &program.options);
    if (code)
        return code - 1;
    if (declared_read(__start_fh_services, __stop_fh_services, &declared, &error) != FH_OK) {
        printf("%s\n", error.message);
        return 2;
    }
    code = run(&program, &declared);
    free(declared.services);
    return code;
}
