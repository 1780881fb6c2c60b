/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_RUN_H
#define TEST_RUN_H

/* One handler's unit of work, on the fixture's service. */

#include "fixture.h"

#include <stdio.h>

#include "base/json.h"

struct run {
    fh_handler *handler;
    bool read_only;
    struct fixture *fixture;
    const char *key;     /* of a keyed command, or NULL */
    int64_t deadline_ns; /* 0: none */
    /* What came of it. */
    int status, retry_after_s;
    char reply[1024], failure[256];
};

static inline void run_work(void *argument)
{
    struct run *run = argument;
    fh_work w;
    work_init(&w, &run->fixture->context, run->handler);
    w.read_only = run->read_only;
    w.command_key = run->key;
    w.deadline_ns = run->deadline_ns ? run->deadline_ns : -1;
    work_run(&w);
    run->status = w.reply_status;
    run->retry_after_s = w.retry_after_s;
    snprintf(run->failure, sizeof run->failure, "%s", w.failure.message);
    if (w.reply_body) {
        char *text = json_text(w.reply_body);
        snprintf(run->reply, sizeof run->reply, "%s", text);
        json_text_free(text);
    }
    work_release(&w);
}

static inline struct run run_one(void **state, fh_handler *handler, bool read_only)
{
    struct run run = {handler, read_only, *state};
    harness_run(&run.fixture->harness, run_work, &run);
    return run;
}

#endif
