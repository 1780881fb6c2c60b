/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_PROGRAM_H
#define SIMULATE_PROGRAM_H

/* What a system's simulation (main.c) and its tests (test_main.c) have in common as programs. */

#include "service/declared.h"
#include "simulate/many.h"

#define PROGRAM_NOT_GIVEN UINT64_MAX

/* What an option says goes where its only pointer leads. A table of them ends with one
 * that has no name. */
struct program_option {
    const char *name;
    bool *flag;
    uint64_t *number; /* its next word */
    const char **word;
};

enum program_words { PROGRAM_FITS, PROGRAM_HELP, PROGRAM_WRONG };

/* The words of main(): options in any order, and one file. */
enum program_words program_read(int count, char **words, const struct program_option *options,
                                const char **ret_file);
/* For those that were not given: from seed 1 on, `runs_default` of them; one seed is one run. */
void program_seeds(uint64_t *seed, uint64_t *runs, uint64_t runs_default);
int program_jobs(uint64_t jobs); /* 0: not said */

/* Before all else. False: it can't go on. */
bool program_begin(void);
/* The system file; NULL: it was printed what is wrong with it. */
struct system_file *program_read_file(const char *path);
/* The services that are linked. False: it was printed why they can't be read. */
bool program_services(const fh_service *const *begin, const fh_service *const *end,
                      struct declared *ret);
/* Why a seed has failed, a line each. */
void program_print_failures(const struct many_seed *seed, const char *indent);
void program_print_json(json_t *all); /* which goes */

#endif
