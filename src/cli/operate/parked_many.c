/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold parked retry and drop for many keys: all that is parked in a service, or what has a
 * type, an error or an age.
 *
 * 1. The service says which keys are meant, in pages, each with the event that is its first.
 * 2. The audit log has the whole act, even if no key is meant; each request below is in it as well,
 *    with its keys.
 * 3. A few keys a request are acted on. The service leaves a key alone whose first event is another
 *    one by now, so what parks meanwhile is not touched, and a request that came twice does nothing
 *    twice.
 *
 * Killed here, at any place, what was done is done. The same command goes on with what is left.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/progress.h"
#include "cli/audit.h"
#include "cli/operate/parked.h"

#define BATCH_KEYS 32 /* at most the service's PARKED_MANY_MAX, and what the audit log lists */

/* What has become of the keys. */
struct many {
    const struct parked_choosing *choosing;
    struct cli_operator *asking;
    json_t *waiting; /* keys to act on */
    json_t *told;    /* what the service said of the others */
    struct progress progress;
    long long matched;          /* keys */
    long long applied, dropped; /* events */
    long long through, parked;  /* keys: retried, and whether they are parked no more */
    long long changed;          /* keys: left alone */
    long long left;             /* events: under keys from which some were dropped */
};

/* ---- Which keys ---- */

/* Fills many->waiting with all that are meant. */
static int choose_keys(struct many *many)
{
    const json_t *last = NULL;
    json_t *body = NULL;
    bool more = true;
    int code = CLI_DONE;
    while (more && code == CLI_DONE) {
        const char *path = parked_filter_path(many->asking, many->choosing, last);
        code = path ? cli_operator_ask(many->asking, many->choosing->service, "GET", path,
                                       json_object(), &body)
                    : CLI_USAGE;
        if (code != CLI_DONE)
            break;
        const json_t *keys = json_object_get(body, "keys");
        json_array_extend(many->waiting, (json_t *)(uintptr_t)keys);
        more = json_is_true(json_object_get(body, "more")) && json_array_size(keys) > 0;
        last = json_array_get(many->waiting, json_array_size(many->waiting) - 1);
        json_decref(body);
    }
    many->matched = (long long)json_array_size(many->waiting);
    return code;
}

static long long events_meant(const struct many *many)
{
    const struct parked_choosing *choosing = many->choosing;
    long long events = 0;
    size_t i;
    json_t *one;
    json_array_foreach (many->waiting, i, one)
        events += choosing->drops && !choosing->all ? 1 : cli_number(one, "events");
    return events;
}

/* ---- Acting on them ---- */

/* What the service has to know of each. */
static json_t *batch_of(const struct many *many)
{
    static const char *const names[] = {"source", "key", "id", "attempts", "until"};
    json_t *batch = json_array();
    for (size_t i = 0; i < json_array_size(many->waiting) && i < BATCH_KEYS; i++) {
        const json_t *one = json_array_get(many->waiting, i);
        json_t *named = json_object();
        size_t count = many->choosing->drops && many->choosing->all ? 5 : 4;
        for (size_t n = 0; n < count; n++)
            json_object_set(named, names[n], json_object_get(one, names[n]));
        json_array_append_new(batch, named);
    }
    return batch;
}

static bool is_of_key(const json_t *one, const json_t *other)
{
    return json_equal(json_object_get(one, "source"), json_object_get(other, "source")) &&
           json_equal(json_object_get(one, "key"), json_object_get(other, "key"));
}

static void print_key_outcome(struct many *many, const json_t *one)
{
    const char *error = json_string_at(one, "error");
    if (many->choosing->as_json)
        return;
    progress_hide(&many->progress);
    printf("%s %s: ", cli_text(one, "source"), cli_text(one, "key"));
    if (json_is_true(json_object_get(one, "changed")))
        printf("left alone, it has changed meanwhile\n");
    else
        printf("%lld %s, %lld left%s%s\n",
               cli_number(one, many->choosing->drops ? "dropped" : "applied"),
               many->choosing->drops ? "dropped" : "applied", cli_number(one, "left"),
               error ? ": " : "", error ? error : "");
}

/* One that `next` names is not done with. */
static void count_outcome(struct many *many, const json_t *one)
{
    many->applied += cli_number(one, "applied");
    many->dropped += cli_number(one, "dropped");
    if (json_object_get(one, "next"))
        return;
    if (json_is_true(json_object_get(one, "changed"))) {
        many->changed++;
    } else {
        many->left += cli_number(one, "left");
        many->through += cli_number(one, "left") == 0;
        many->parked += cli_number(one, "left") > 0;
    }
    json_array_append(many->told, (json_t *)(uintptr_t)one);
    print_key_outcome(many, one);
}

/* Removes a key that is done with from those that wait, or notes where to go on with it. False:
 * nothing was done. */
static bool settle_key(struct many *many, const json_t *one)
{
    const json_t *next = json_object_get(one, "next");
    for (size_t i = 0; i < json_array_size(many->waiting) && i < BATCH_KEYS; i++) {
        json_t *waiting = json_array_get(many->waiting, i);
        if (!is_of_key(waiting, one))
            continue;
        count_outcome(many, one);
        if (next)
            json_object_update(waiting, (json_t *)(uintptr_t)next);
        else
            json_array_remove(many->waiting, i);
        return !next || cli_number(one, "applied") > 0 || cli_number(one, "dropped") > 0;
    }
    return false;
}

/* One request. An answer in which nothing was done comes from a service that is ending. */
static int act_on_batch(struct many *many)
{
    const struct parked_choosing *choosing = many->choosing;
    const char *path = choosing->drops ? "/_freehold/parked/drop" : "/_freehold/parked/retry";
    json_t *body, *one;
    size_t i;
    bool done = false;
    int code = cli_operator_ask(many->asking, choosing->service, "POST", path,
                                json_pack("{s:o}", "keys", batch_of(many)), &body);
    if (code != CLI_DONE)
        return code;
    json_array_foreach (json_object_get(body, "keys"), i, one)
        done |= settle_key(many, one);
    json_decref(body);
    if (done)
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "%s did nothing: it is being stopped, or has no time",
                    choosing->service);
}

static int act_on_all(struct many *many)
{
    const struct parked_choosing *choosing = many->choosing;
    int code = CLI_DONE;
    progress_begin(&many->progress, choosing->service, "keys", many->matched, choosing->as_json);
    while (code == CLI_DONE && json_array_size(many->waiting) > 0) {
        code = act_on_batch(many);
        progress_reach(&many->progress, many->matched - (int64_t)json_array_size(many->waiting));
    }
    progress_end(&many->progress);
    return code;
}

/* ---- What is said ---- */

static void print_many_json(const struct many *many)
{
    json_t *told = json_pack("{s:I, s:I, s:I, s:O}", "matched", (json_int_t)many->matched,
                             "changed", (json_int_t)many->changed, "untried",
                             (json_int_t)json_array_size(many->waiting), "keys", many->told);
    if (many->choosing->drops) {
        json_object_set_new(told, "dropped", json_integer(many->dropped));
        json_object_set_new(told, "left", json_integer(many->left));
    } else {
        json_object_set_new(told, "applied", json_integer(many->applied));
        json_object_set_new(told, "through", json_integer(many->through));
        json_object_set_new(told, "parked", json_integer(many->parked));
    }
    cli_print_json(told);
    json_decref(told);
}

static void print_many_summary(const struct many *many)
{
    const struct parked_choosing *choosing = many->choosing;
    size_t untried = json_array_size(many->waiting);
    if (choosing->as_json) {
        print_many_json(many);
        return;
    }
    if (choosing->drops)
        cli_line(0, "Of %lld keys: %lld events dropped.", many->matched, many->dropped);
    else
        cli_line(0, "Of %lld keys: %lld went through, %lld are parked again; %lld events applied.",
                 many->matched, many->through, many->parked, many->applied);
    if (many->changed)
        cli_line(0, "%lld keys have changed since this began, and were left alone.", many->changed);
    if (choosing->drops && many->left)
        cli_line(0, "%lld events wait for their retry: freehold parked retry %s", many->left,
                 choosing->service);
    if (untried)
        cli_line(0, "%zu keys were not come to: the same command goes on with them.", untried);
}

static int print_dry_run(const struct many *many)
{
    const struct parked_choosing *choosing = many->choosing;
    size_t i;
    json_t *one;
    json_array_foreach (many->waiting, i, one)
        json_object_set_new(one, "service", json_string(choosing->service));
    if (choosing->as_json) {
        json_t *told = json_pack("{s:I, s:I, s:O}", "matched", (json_int_t)many->matched, "events",
                                 (json_int_t)events_meant(many), "keys", many->waiting);
        cli_print_json(told);
        json_decref(told);
    } else {
        parked_print(many->waiting);
        cli_line(0, "%lld events of these %lld keys would be %s. Nothing was done.",
                 events_meant(many), many->matched, choosing->drops ? "dropped" : "retried");
    }
    return CLI_DONE;
}

static int nothing_matches(struct many *many)
{
    json_t *body;
    const char *service = many->choosing->service;
    if (many->choosing->as_json) {
        print_many_json(many);
        return CLI_DONE;
    }
    int code =
        cli_operator_ask(many->asking, service, "GET", "/_freehold/parked", json_object(), &body);
    if (code != CLI_DONE)
        return code;
    size_t count = json_array_size(json_object_get(body, "keys"));
    if (count == 0)
        printf("Nothing is parked.\n");
    else
        printf("None of the %s%zu keys that are parked in %s match.\n",
               json_is_true(json_object_get(body, "more")) ? "more than " : "", count, service);
    json_decref(body);
    return CLI_DONE;
}

/* ---- The act ---- */

static int confirm_drops(const struct many *many)
{
    if (!many->choosing->drops || many->choosing->yes)
        return CLI_DONE;
    if (cli_confirms("Give up %lld events of %lld keys parked in %s, for good?", events_meant(many),
                     many->matched, many->choosing->service))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "nothing was dropped");
}

static json_t *arguments_of(const struct many *many)
{
    const struct parked_choosing *choosing = many->choosing;
    return json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:b, s:I}", "source", choosing->source, "type",
                     choosing->type, "error", choosing->error, "older", choosing->older, "newer",
                     choosing->newer, "all", choosing->all, "matched", (json_int_t)many->matched);
}

static int run_act(struct many *many)
{
    char why[128];
    struct cli_act act;
    int code = cli_audit_begin(&act, &many->asking->state,
                               many->choosing->drops ? "parked drop" : "parked retry",
                               many->choosing->service, arguments_of(many));
    if (code != CLI_DONE)
        return code;
    code = many->matched ? act_on_all(many) : nothing_matches(many);
    if (many->matched)
        print_many_summary(many);
    if (code == CLI_DONE && !many->choosing->drops && many->parked > 0)
        code = CLI_FAILED;
    snprintf(why, sizeof why, "%lld of %lld keys are parked again, %zu were not come to",
             many->choosing->drops ? 0 : many->parked, many->matched,
             json_array_size(many->waiting));
    return cli_audit_end(&act, code, why);
}

int parked_many_run(struct cli_operator *asking, const struct parked_choosing *choosing)
{
    struct many many = {.choosing = choosing, .asking = asking};
    if (choosing->drops && !choosing->yes && !choosing->dry_run && !cli_can_ask())
        return cli_fail(CLI_USAGE, "what is dropped is gone for good: confirm it with --yes");
    many.waiting = json_array();
    many.told = json_array();
    int code = choose_keys(&many);
    if (code == CLI_DONE && choosing->dry_run)
        code = many.matched ? print_dry_run(&many) : nothing_matches(&many);
    else if (code == CLI_DONE && (!many.matched || (code = confirm_drops(&many)) == CLI_DONE))
        code = run_act(&many);
    json_decref(many.waiting);
    json_decref(many.told);
    return code;
}
