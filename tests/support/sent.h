/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SENT_H
#define TESTS_SENT_H

/* A command sent to a unit of work, and what came back. Header only. */

#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

struct sent {
    struct fixture *fixture;
    const struct fh_route *route; /* or NULL */
    struct command_request request;
    fh_handler *handler;
    const char *closed; /* a closing's body instead */
    struct work_user *user;
    const char *caller;
    int status;
    bool repeated; /* its answer is a recorded one */
    /* Of headers that did not come: "". */
    char outcome[16], at[80], location[64], left_out[16];
    char reply[512], failure[256];
};

static inline void sent_keep_headers(struct sent *sent, const fh_work *w)
{
    const struct {
        const char *name;
        char *text;
        size_t size;
    } kept[] = {{"Freehold-Outcome", sent->outcome, sizeof sent->outcome},
                {"Freehold-At", sent->at, sizeof sent->at},
                {"Location", sent->location, sizeof sent->location},
                {COMMAND_LEFT_OUT_HEADER, sent->left_out, sizeof sent->left_out}};
    for (size_t at = 0; at < sizeof kept / sizeof *kept; at++) {
        *kept[at].text = '\0';
        for (int i = 0; i < w->reply_header_count; i++)
            if (strcmp(w->reply_headers[i].name, kept[at].name) == 0)
                snprintf(kept[at].text, kept[at].size, "%s", w->reply_headers[i].value);
    }
}

static inline void sent_run(void *argument)
{
    struct sent *sent = argument;
    const char *body = sent->closed ? sent->closed : sent->request.body;
    fh_work w;
    work_init(&w, &sent->fixture->context, sent->handler);
    w.deadline_ns = world_in_ms(sent->fixture->harness.world, 60000);
    w.route = sent->route;
    json_arena_set(&w.kept);
    if (body)
        json_parse(body, strlen(body), &w.body, ERROR_UNHEEDED);
    json_arena_set(NULL);
    w.user = sent->user;
    w.caller = sent->caller;
    if (sent->closed)
        command_closed_run(&w, sent->request.from);
    else
        command_run(&w, &sent->request);
    sent->status = w.reply_status;
    sent->repeated = w.repeated;
    sent_keep_headers(sent, &w);
    char *text = w.reply_body ? json_text(w.reply_body) : NULL;
    if (text && w.reply_text.of == w.reply_body) /* as it is sent */
        snprintf(sent->reply, sizeof sent->reply, "%.*s", (int)w.reply_text.length,
                 w.reply_text.text);
    else
        snprintf(sent->reply, sizeof sent->reply, "%s", text ? text : "");
    json_text_free(text);
    snprintf(sent->failure, sizeof sent->failure, "%s", w.failure.message);
    work_release(&w);
}

static inline void sent_go(struct sent *sent)
{
    harness_run(&sent->fixture->harness, sent_run, sent);
}

#endif
