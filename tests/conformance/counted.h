/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_COUNTED_H
#define TESTS_COUNTED_H

/* The progress that a copy reports. Header only. */

#include "conformance.h"

#include "store/copy/copy.h"

struct counted {
    struct copy_count count;
    struct course last;
    int64_t written, again; /* rows */
    bool unsteady;          /* it went back, or the total changed */
};

static inline void count_step(void *context, const struct copy_step *step)
{
    struct counted *counted = context;
    const struct course *last = &counted->last;
    bool first = counted->written == 0;
    counted->unsteady |= step->course.done < last->done || !step->course.of ||
                         (!first && step->course.total != last->total);
    counted->written += step->again ? 0 : step->count;
    counted->again += step->again ? step->count : 0;
    counted->last = step->course;
}

/* Each row was reported twice, and at the end all are done. */
static inline bool counts_whole(const struct counted *counted)
{
    return !counted->unsteady && counted->written > 0 && counted->again == counted->written &&
           counted->last.done == counted->written;
}

#endif
