/* SPDX-License-Identifier: Apache-2.0 */
/* Events that a service has applied are applied again. Its publisher says where they begin; then
 * each process of the service is asked, since each has some of the partitions. */

#include "cli/operate/replay.h"

#include <poll.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/operate/replay_place.h"
#include "event/envelope.h"
#include "event/feed/query.h"

#define ORDER_TRIES 20
#define ORDER_PAUSE_MS 500

struct replaying {
    struct cli_operator *asking;
    const struct replay_asked *asked;
    const char *of;
    json_t *status; /* up's */
    struct replay_place place;
};

/* ---- which publisher ---- */

static const json_t *replayed_service(const struct replaying *replaying)
{
    size_t i;
    json_t *service;
    json_array_foreach (json_at(replaying->status, "services"), i, service) {
        if (strcmp(cli_text(service, "name"), replaying->asked->service) == 0)
            return service;
    }
    return NULL;
}

static bool is_service(const struct replaying *replaying, const char *name)
{
    size_t i;
    json_t *service;
    json_array_foreach (json_at(replaying->asking->system, "services"), i, service) {
        if (strcmp(cli_text(service, "name"), name) == 0)
            return true;
    }
    return false;
}

static int check_replayed(const struct replaying *replaying, const char *name)
{
    if (is_service(replaying, name))
        return CLI_DONE;
    if (cli_service_address(replaying->asking->system, name)) /* else it says what is wrong */
        cli_fail(CLI_USAGE, "the %s has nothing to do with events", name);
    return CLI_USAGE;
}

/* Publishers within the system, as {NAME: true}. */
static json_t *publishers_of(const struct replaying *replaying, const json_t *state)
{
    size_t i;
    json_t *subscription, *found = json_object();
    json_array_foreach (json_object_get(state, "subscriptions"), i, subscription) {
        const char *source = cli_text(subscription, "source");
        if (is_service(replaying, source))
            json_object_set_new(found, source, json_true());
    }
    return found;
}

static int choose_publisher(struct replaying *replaying)
{
    const struct replay_asked *asked = replaying->asked;
    if (check_replayed(replaying, asked->service) != CLI_DONE)
        return CLI_USAGE;
    replaying->of = asked->of;
    if (asked->of)
        return check_replayed(replaying, asked->of);
    json_t *state, *unused;
    const char *name;
    struct text all;
    int code = cli_operator_ask(replaying->asking, asked->service, "GET", "/_freehold/state",
                                json_object(), &state);
    if (code != CLI_DONE)
        return code;
    json_t *publishers = publishers_of(replaying, state);
    json_decref(state);
    text_init(&all, TEXT_LENGTH_MAX);
    json_object_foreach (publishers, name, unused) {
        text_printf(&all, "%s%s", all.length ? ", " : "", name);
        replaying->of = arena_printf(&replaying->asking->arena, "%s", name);
    }
    if (json_object_size(publishers) == 0)
        code = cli_fail(CLI_FAILED, "%s subscribes to no service's events", asked->service);
    else if (json_object_size(publishers) > 1)
        code = cli_fail(CLI_USAGE, "%s subscribes to several services: say --of one of %s",
                        asked->service, all.data);
    text_release(&all);
    json_decref(publishers);
    return code;
}

/* ---- the order ---- */

/* What was answered of each partition, once it was; `partitions`: of how many. */
struct told {
    json_t *shares; /* {NAME: what was said of it} */
    long long partitions;
    bool silent; /* a process gave no answer, and may have done it */
};

static bool is_to_be_asked_again(const json_t *share)
{
    return json_is_true(json_object_get(share, "again"));
}

/* Instances give partitions to one another, so two may answer for one. */
static bool says_more(const json_t *before, const json_t *share)
{
    return !before || json_object_get(before, "error") ||
           (!json_object_get(before, "until") && json_object_get(share, "until"));
}

/* What names no partition, or one of another number of them, is left out. */
static void take_answers(struct told *told, const json_t *answers)
{
    json_t *answer, *share;
    size_t i, j;
    unsigned index, count;
    json_array_foreach (answers, i, answer) {
        long long partitions = cli_number(answer, "partitions");
        if (partitions < 1 || partitions > ENVELOPE_SHARES_MAX)
            continue;
        told->partitions = partitions;
        json_array_foreach (json_object_get(answer, "shares"), j, share) {
            const char *name = cli_text(share, "share");
            const json_t *before = json_object_get(told->shares, name);
            if (query_share(name, &index, &count) && count == partitions &&
                says_more(before, share))
                json_object_set(told->shares, name, share);
        }
    }
}

/* Those that nobody has answered for; `named`: only where somebody said to ask again. */
static json_t *shares_left(const struct told *told, bool named)
{
    json_t *left = json_array();
    char name[48];
    for (long long i = 0; i < told->partitions; i++) {
        snprintf(name, sizeof name, "%lld/%lld", i, told->partitions);
        const json_t *share = json_object_get(told->shares, name);
        if (share ? is_to_be_asked_again(share) : !named)
            json_array_append_new(left, json_string(name));
    }
    return left;
}

static json_t *order_body(const struct replaying *replaying, json_t *shares)
{
    return replaying->asked->abandon
               ? json_pack("{s:s}", "source", replaying->of)
               : json_pack("{s:s, s:s, s:I, s:s, s:b, s:O*}", "source", replaying->of,
                           "incarnation", replaying->place.incarnation, "position",
                           (json_int_t)replaying->place.after, "id", replaying->place.id, "effects",
                           replaying->asked->with_effects, "shares", shares);
}

static int send_once(struct replaying *replaying, json_t *shares, struct told *told)
{
    json_t *answers = NULL;
    bool silent = false;
    json_decref(replaying->status);
    replaying->status = NULL;
    int code = cli_control_status(&replaying->asking->state, &replaying->status);
    if (code != CLI_DONE)
        return code;
    code = cli_operator_ask_each(replaying->asking, replayed_service(replaying),
                                 replaying->asked->abandon ? "/_freehold/replay/abandon"
                                                           : "/_freehold/replay",
                                 order_body(replaying, shares), &answers, &silent);
    told->silent |= silent;
    take_answers(told, answers);
    json_decref(answers);
    return code;
}

/* While instances give partitions to one another, as after an upgrade, some belong to nobody for a
 * moment. One that has refused is asked for nothing more. */
static int send_order(struct replaying *replaying, struct told *told)
{
    int code = send_once(replaying, NULL, told);
    json_t *left = shares_left(told, code != CLI_DONE);
    for (int tries = 1; tries < ORDER_TRIES && json_array_size(left) > 0 && replaying->status &&
                        !told->silent; /* its silence takes long */
         tries++) {
        poll(NULL, 0, ORDER_PAUSE_MS);
        int again = send_once(replaying, left, told);
        code = code == CLI_DONE ? again : code;
        json_decref(left);
        left = shares_left(told, code != CLI_DONE);
    }
    json_decref(left);
    return code;
}

static void print_given_up(const struct replaying *replaying, const char *name, const json_t *share)
{
    long long at = cli_number(share, "at"), dropped = cli_number(share, "dropped");
    cli_line(0,
             "%s goes on with the events of %s after position %lld (partition %s). Rows changed by "
             "events up to %lld may show old values: replay again from there, or sync.",
             replaying->asked->service, replaying->of, cli_number(share, "until"), name, at);
    if (dropped > 0)
        cli_line(0, "%lld events that were parked meanwhile are dropped.", dropped);
}

static void print_shares(const struct replaying *replaying, const json_t *shares)
{
    const struct replay_asked *asked = replaying->asked;
    const char *name;
    json_t *share;
    json_object_foreach ((json_t *)(uintptr_t)shares, name, share) {
        if (json_object_get(share, "error"))
            cli_fail(CLI_FAILED, "partition %s: %s", name, cli_text(share, "error"));
        else if (asked->abandon && !json_object_get(share, "until"))
            continue; /* nothing is applied again there */
        else if (asked->abandon)
            print_given_up(replaying, name, share);
        else
            cli_line(0,
                     "%s applies the events of %s again, from position %lld up to %lld "
                     "(partition %s).",
                     asked->service, replaying->of, cli_number(share, "after") + 1,
                     cli_number(share, "until"), name);
    }
}

static json_t *values_of(const json_t *shares)
{
    json_t *list = json_array(), *share;
    const char *name;
    json_object_foreach ((json_t *)(uintptr_t)shares, name, share)
        json_array_append(list, share);
    return list;
}

static int tell_order(const struct replaying *replaying, const struct told *told)
{
    const struct replay_asked *asked = replaying->asked;
    const char *name;
    json_t *share;
    long long done = 0, answered = 0;
    json_object_foreach (told->shares, name, share) {
        done += json_object_get(share, "until") != NULL;
        answered += json_object_get(share, "error") == NULL;
    }
    if (told->partitions == 0)
        return cli_fail(CLI_FAILED, "%s does not say how many partitions it has", asked->service);
    if (asked->json) {
        json_t *all = json_pack("{s:s, s:s, s:I, s:o}", "service", asked->service, "source",
                                replaying->of, "partitions", (json_int_t)told->partitions, "shares",
                                values_of(told->shares));
        cli_print_json(all);
        json_decref(all);
    } else {
        print_shares(replaying, told->shares);
    }
    if (asked->abandon && answered < told->partitions)
        return cli_fail(CLI_FAILED, "%lld of %lld partitions refused or did not answer: try again",
                        told->partitions - answered, told->partitions);
    if (asked->abandon)
        return done ? CLI_DONE
                    : cli_fail(CLI_FAILED, "%s applies no events of %s again now", asked->service,
                               replaying->of);
    if (done > 0 && !asked->json)
        cli_line(0, "%s freehold status shows how far it is.",
                 asked->with_effects ? "What follows from them happens again."
                                     : "What follows from them is held back.");
    if (done < told->partitions)
        return cli_fail(CLI_FAILED, "the replay began in only %lld of %lld partitions", done,
                        told->partitions);
    return CLI_DONE;
}

int replay_run(struct cli_operator *asking, const struct replay_asked *asked)
{
    struct replaying replaying = {.asking = asking, .asked = asked};
    struct told told = {.shares = NULL};
    if (!asked->abandon == !asked->from)
        return cli_fail(CLI_USAGE, "events replay needs --from POSITION or TIME; or --abandon");
    if (asked->abandon && asked->with_effects)
        return cli_fail(CLI_USAGE, "--with-effects can't be combined with --abandon");
    told.shares = json_object();
    int code = choose_publisher(&replaying);
    replaying.place = (struct replay_place){.asking = asking, .of = replaying.of};
    if (code == CLI_DONE && !asked->abandon)
        code = replay_find_place(&replaying.place, asked->from);
    if (code == CLI_DONE) {
        code = send_order(&replaying, &told);
        if (code == CLI_DONE || json_object_size(told.shares) > 0) {
            int said = tell_order(&replaying, &told);
            code = code == CLI_DONE ? said : code;
        }
        if (told.silent)
            cli_note(CLI_PLAIN,
                     "An instance that did not answer may have %s it nevertheless: see freehold "
                     "status.",
                     asked->abandon ? "ended" : "begun");
    }
    json_decref(told.shares);
    json_decref(replaying.status);
    return code;
}
