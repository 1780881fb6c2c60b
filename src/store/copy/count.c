/* SPDX-License-Identifier: Apache-2.0 */
/* The progress of a copy, and whether it was stopped: for the copies of all models. */

#include "store/copy/copy.h"

enum fh_code copy_stopped(const struct copy_options *options, struct fh_error *error)
{
    if (options->from->hold.lost)
        return error_set(
            error, FH_UNAVAILABLE,
            "The copy of the store was ended early: other processes have written to it.");
    if (!options->stopped || !options->stopped(options->context))
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE, "The copy of the store was ended early.");
}

void copy_found(const struct copy_options *options, int64_t rows, bool guessed)
{
    if (!options->count)
        return;
    options->count->total += rows;
    options->count->guessed |= guessed;
}

static void tell_step(const struct copy_options *options, const char *table, int count, bool again)
{
    options->count->passed += count;
    struct copy_step step = {.count = count,
                             .again = again,
                             .course = {.done = options->count->passed / 2,
                                        .total = options->count->total,
                                        .guessed = options->count->guessed,
                                        .of = table}};
    options->told(options->context, &step);
}

enum fh_code copy_passed(const struct copy_options *options, const char *table, int count,
                         bool again, struct fh_error *error)
{
    if (options->count && options->told)
        tell_step(options, table, count, again);
    return copy_stopped(options, error);
}
