/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system's simulation: `main` for a program that links all services of a system and one
 * FH_SIMULATION. It speaks on standard output; `freehold simulate` starts it.
 */

#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/progress.h"
#include "simulate/program.h"

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];
extern const fh_simulation *const __start_fh_simulations[];

#define RUNS_DEFAULT 100
#define FAILED_SHOWN_MAX 3

struct options {
    const char *file, *fates;
    uint64_t seed, runs;
    uint64_t jobs;
    bool replay, trace, json, stop, linked, bus;
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

static void print_seed(const struct many_seed *seed)
{
    printf("seed %" PRIu64 " FAILED:\n", seed->seed);
    program_print_failures(seed, "  ");
}

static bool on_simulated(void *context, const struct many_seed *seed)
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
        print_seed(seed);
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

static void print_summary_json(const struct program *program)
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
    program_print_json(all);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int simulate_seeds(struct program *program)
{
    const struct options *options = &program->options;
    if (options->trace) {
        struct many_seed seed;
        many_trace(&program->many.system, options->seed, stdout, &seed);
        if (seed.failed)
            print_seed(&seed);
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
        print_summary_json(program);
    else
        print_summary(program);
    return program->failed > 0;
}

/* ---- the command line ---- */

static int print_simulate_usage(const char *name, FILE *to)
{
    fprintf(to,
            "Usage: %s FILE [--seed N] [--runs K] [--jobs N] [--stop] [--replay] [--trace]"
            " [--json] [--linked] [--bus]\n\n"
            "Simulates the system of the system file FILE, one run for each seed from N on.\n\n"
            "  --seed N   the first seed; default 1\n"
            "  --runs K   how many; default 1 with --seed, else %d\n"
            "  --jobs N   so many side by side; default: one a processor\n"
            "  --stop     begin no more once one has failed\n"
            "  --replay   each seed twice, and both must be the same run\n"
            "  --trace    one run, and all that happens in it\n"
            "  --linked   only those services of FILE that are linked into this program\n"
            "  --bus      events travel by a broker in memory, which fails, too\n"
            "  --fates L  instead of what is drawn: \"7:2,9:1\", what the 7th message to or from\n"
            "             the database server meets (docs/internals/simulation.md), and the 9th\n"
            "  --json     the summary in JSON\n\n"
            "Exit codes: 0 all held, 1 some did not, 2 wrong usage.\n",
            name, RUNS_DEFAULT);
    return to == stdout ? 0 : 2;
}

static enum program_words read_simulate_words(int count, char **words, struct options *options)
{
    *options = (struct options){.seed = PROGRAM_NOT_GIVEN, .runs = PROGRAM_NOT_GIVEN};
    const struct program_option known[] = {{"--seed", .number = &options->seed},
                                           {"--runs", .number = &options->runs},
                                           {"--jobs", .number = &options->jobs},
                                           {"--stop", .flag = &options->stop},
                                           {"--replay", .flag = &options->replay},
                                           {"--trace", .flag = &options->trace},
                                           {"--linked", .flag = &options->linked},
                                           {"--fates", .word = &options->fates},
                                           {"--json", .flag = &options->json},
                                           {"--bus", .flag = &options->bus},
                                           {0}};
    enum program_words read = program_read(count, words, known, &options->file);
    program_seeds(&options->seed, &options->runs, RUNS_DEFAULT);
    return options->runs ? read : PROGRAM_WRONG;
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

static int simulate_program(struct program *program, const struct declared *declared)
{
    struct system_file *file = program_read_file(program->options.file);
    bool fits = file && (program->options.linked || services_fit(file, declared));
    program->many = (struct many){.system = {.file = file,
                                             .services = declared->services,
                                             .service_count = declared->count,
                                             .simulation = __start_fh_simulations[0],
                                             .fates = program->options.fates,
                                             .bus = program->options.bus},
                                  .first_seed = program->options.seed,
                                  .runs = program->options.runs,
                                  .side_by_side = program_jobs(program->options.jobs),
                                  .replay = program->options.replay,
                                  .seen = on_simulated,
                                  .context = program};
    int code = fits ? simulate_seeds(program) : 2;
    if (file)
        system_file_free(file);
    return code;
}

int main(int count, char **words)
{
    struct program program = {0};
    struct declared declared;
    if (!program_begin())
        return 1;
    enum program_words read = read_simulate_words(count, words, &program.options);
    if (read != PROGRAM_FITS)
        return print_simulate_usage(words[0], read == PROGRAM_HELP ? stdout : stderr);
    if (!program_services(__start_fh_services, __stop_fh_services, &declared))
        return 2;
    int code = simulate_program(&program, &declared);
    free(declared.services);
    return code;
}
