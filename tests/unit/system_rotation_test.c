/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that are replaced, in every order of happenings that a seed leads to: a model of `up` and of
 * the processes that it tells, with the real keys, the real decisions, and real tokens. Lines wait,
 * processes die and start again, `up` dies at any step and the next one goes on. No token that was
 * made by whoever may make one is ever refused, and afterwards no former key opens anything.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "../support/json.h"
#include "base/json.h"
#include "call/identity.h"
#include "call/user.h"
#include "system/provision/keys.h"
#include "system/supervise/rotation_decide.h"

#define PARTS 3 /* two services, and the gateway, which only asks */
#define SENT_MAX 16
#define STEPS 1500
#define SEEDS 400
#define FORMER_MAX 400

static const char *const names[PARTS] = {"orders", "users", "gateway"};
static const struct identity_time noon = {1700000000000, INT64_C(5000000000)};

struct process {
    bool runs;
    int64_t known, settled;       /* as it says itself */
    struct rotation_process said; /* as `up` has heard */
    json_t *line;                 /* from `up`, not read yet; NULL: none */
    struct identity_signer *signer;
    struct identity_verifier *verifier;
};

/* A request on its way, or waiting in a socket. */
struct sent {
    int from, to;   /* -1: none */
    int64_t number; /* of the keys it was signed with */
    char token[IDENTITY_TOKEN_SIZE];
};

struct model {
    uint64_t random;
    json_t *keys, *matrix;
    json_t *configurations[PARTS];
    bool active, unwritten;
    struct process processes[PARTS];
    struct sent sent[SENT_MAX];
    int delivered, rotated;
    char former[FORMER_MAX][IDENTITY_KEY_TEXT_SIZE]; /* of orders with users */
    size_t former_count;
};

static unsigned below(struct model *model, unsigned bound)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (unsigned)(model->random % bound);
}

static json_t *keys_for_part(const struct model *model, int part)
{
    return part == PARTS - 1 ? keys_of_gateway(model->keys, model->matrix)
                             : keys_of_service(model->keys, model->matrix, names[part]);
}

static void write_configurations(struct model *model)
{
    for (int i = 0; i < PARTS; i++) {
        json_decref(model->configurations[i]);
        model->configurations[i] = keys_for_part(model, i);
    }
    model->unwritten = false;
}

/* ---- A process ---- */

static void process_takes(struct process *process, const json_t *keys)
{
    const char *name;
    json_t *text;
    struct identity_key key, also;
    json_object_foreach (json_object_get(keys, "takes"), name, text) {
        const char *other = json_string_value(json_object_get(json_object_get(keys, "also"), name));
        assert_true(identity_key_parse(json_string_value(text), &key));
        identity_verifier_add(process->verifier, name, &key,
                              identity_key_parse(other, &also) ? &also : NULL);
    }
    json_object_foreach (json_object_get(keys, "calls"), name, text) {
        assert_true(identity_key_parse(json_string_value(text), &key));
        identity_signer_add(process->signer, name, &key);
    }
    process->known = keys_number(keys);
}

static void process_starts(struct model *model, int part)
{
    struct process *process = &model->processes[part];
    *process = (struct process){.runs = true,
                                .signer = identity_signer_new(names[part]),
                                .verifier = identity_verifier_new(names[part], noon)};
    process_takes(process, model->configurations[part]);
    process->settled = process->known;
    process->said.runs = true;
}

/* What it has sent ends with it, and so does what others have sent to it. */
static void process_dies(struct model *model, int part)
{
    struct process *process = &model->processes[part];
    identity_signer_free(process->signer);
    identity_verifier_free(process->verifier);
    json_decref(process->line);
    *process = (struct process){0};
    for (int i = 0; i < SENT_MAX; i++) {
        if (model->sent[i].from == part)
            model->sent[i].from = -1;
    }
}

static void process_sends(struct model *model, int part)
{
    struct sent *sent = &model->sent[below(model, SENT_MAX)];
    int to = part == 2 ? (int)below(model, 2) : 1 - part;
    if (sent->from >= 0 || !model->processes[part].runs)
        return;
    const char *token = identity_sign(model->processes[part].signer, names[to], noon);
    assert_non_null(token);
    *sent = (struct sent){.from = part, .to = to, .number = model->processes[part].known};
    snprintf(sent->token, sizeof sent->token, "%s", token);
}

static void request_arrives(struct model *model)
{
    struct sent *sent = &model->sent[below(model, SENT_MAX)];
    const char *caller;
    if (sent->from < 0 || !model->processes[sent->to].runs)
        return;
    assert_int_equal(
        identity_verify(model->processes[sent->to].verifier, sent->token, noon, &caller),
        IDENTITY_PROVED);
    assert_string_equal(caller, names[sent->from]);
    sent->from = -1;
    model->delivered++;
}

static void process_reads(struct model *model, int part)
{
    struct process *process = &model->processes[part];
    if (!process->line)
        return;
    process_takes(process, process->line);
    json_decref(process->line);
    process->line = NULL;
}

/* Its beat. */
static void process_says(struct model *model, int part)
{
    struct process *process = &model->processes[part];
    bool open = false;
    for (int i = 0; i < SENT_MAX; i++)
        open |= model->sent[i].from == part && model->sent[i].number < process->known;
    if (!open)
        process->settled = process->known;
    process->said = (struct rotation_process){process->runs, process->known, process->settled};
}

/* ---- `up` ---- */

static void up_tells(struct model *model, int part)
{
    struct process *process = &model->processes[part];
    if (!process->runs || process->said.known == 0 ||
        process->said.known == keys_number(model->keys) || process->line)
        return;
    process->line = keys_for_part(model, part);
}

static void note_former(struct model *model)
{
    const char *key = json_string_value(
        json_object_get(json_object_get(json_object_get(model->keys, "keys"), "orders"), "users"));
    assert_true(model->former_count < FORMER_MAX);
    snprintf(model->former[model->former_count++], IDENTITY_KEY_TEXT_SIZE, "%s", key);
}

static void up_decides(struct model *model)
{
    struct rotation_process heard[PARTS];
    for (int i = 0; i < PARTS; i++)
        heard[i] = model->processes[i].said;
    switch (rotation_decide(keys_phase(model->keys), keys_number(model->keys), heard, PARTS, 0)) {
    case ROTATION_WAIT:
        return;
    case ROTATION_PROMOTE:
        note_former(model);
        keys_promote(model->keys, noon.wall_ms);
        break;
    case ROTATION_TAKE_BACK:
        keys_take_back(model->keys);
        break;
    case ROTATION_FORGET:
        keys_forget(model->keys);
        break;
    case ROTATION_END:
        model->active = false;
        model->rotated++;
        return;
    }
    model->unwritten = true;
}

static void up_works(struct model *model)
{
    if (model->unwritten) {
        write_configurations(model);
    } else if (!model->active) {
        keys_begin(model->keys, below(model, 2) ? NULL : "orders", false);
        model->active = model->unwritten = true;
    } else {
        up_decides(model);
    }
}

/* Its processes end with it; the next one completes what is begun, and starts them. */
static void up_dies(struct model *model)
{
    for (int i = 0; i < PARTS; i++) {
        if (model->processes[i].runs)
            process_dies(model, i);
        model->sent[i].from = -1;
    }
    if (keys_phase(model->keys) == KEYS_LEARNING)
        note_former(model);
    keys_complete(model->keys, noon.wall_ms);
    assert_int_equal(keys_phase(model->keys), KEYS_AT_REST);
    write_configurations(model);
    model->active = false;
    for (int i = 0; i < PARTS; i++)
        process_starts(model, i);
}

/* ---- Schedules ---- */

static void model_init(struct model *model, uint64_t seed)
{
    *model = (struct model){.random = seed * 0x9e3779b97f4a7c15U + 1};
    model->matrix = json_pack("{s:{s:[s], s:[s]}, s:{s:[s], s:[s]}}", "orders", "users", "GET /",
                              "gateway", "public", "users", "orders", "GET /", "gateway", "public");
    model->keys = json_pack("{s:i, s:i, s:{}}", "freehold", 1, "number", 1, "keys");
    for (int i = 0; i < PARTS; i++) {
        for (int to = 0; to < 2; to++) {
            struct identity_key key;
            char text[IDENTITY_KEY_TEXT_SIZE];
            json_t *keys = json_object_get(model->keys, "keys");
            crypto_auth_keygen(key.bytes);
            identity_key_text(&key, text);
            if (!json_object_get(keys, names[i]))
                json_object_set_new(keys, names[i], json_object());
            json_object_set_new(json_object_get(keys, names[i]), names[to], json_string(text));
        }
    }
    for (int i = 0; i < SENT_MAX; i++)
        model->sent[i].from = -1;
    write_configurations(model);
    for (int i = 0; i < PARTS; i++)
        process_starts(model, i);
}

static void model_step(struct model *model)
{
    int part = (int)below(model, PARTS);
    switch (below(model, 9)) {
    case 0:
    case 1:
        process_sends(model, part);
        break;
    case 2:
    case 3:
        request_arrives(model);
        break;
    case 4:
        process_reads(model, part);
        break;
    case 5:
        process_says(model, part);
        break;
    case 6:
        up_tells(model, part);
        break;
    case 7:
        up_works(model);
        break;
    default:
        if (below(model, 16) == 0)
            up_dies(model);
        else if (below(model, 4) == 0 && model->processes[part].runs)
            process_dies(model, part);
        if (!model->processes[part].runs)
            process_starts(model, part);
        break;
    }
}

/* Nothing happens any more but what is due. */
static void come_to_rest(struct model *model)
{
    for (int round = 0; round < 100 && (model->active || model->unwritten); round++) {
        for (int i = 0; i < SENT_MAX * SENT_MAX; i++)
            request_arrives(model);
        for (int i = 0; i < PARTS; i++) {
            if (!model->processes[i].runs)
                process_starts(model, i);
            process_says(model, i);
            up_tells(model, i);
            process_reads(model, i);
            process_says(model, i);
        }
        if (model->unwritten || model->active)
            up_works(model);
    }
    assert_false(model->active);
    assert_int_equal(keys_phase(model->keys), KEYS_AT_REST);
}

static void former_keys_open_nothing(struct model *model)
{
    char token[IDENTITY_TOKEN_SIZE];
    const char *caller;
    struct identity_key key;
    for (size_t i = 0; i < model->former_count; i++) {
        assert_true(identity_key_parse(model->former[i], &key));
        identity_token("orders", "users", noon.wall_ms + IDENTITY_LIFE_MS, &key, token);
        assert_int_equal(identity_verify(model->processes[1].verifier, token, noon, &caller),
                         IDENTITY_FORGED);
    }
}

static void model_release(struct model *model)
{
    for (int i = 0; i < PARTS; i++) {
        process_dies(model, i);
        json_decref(model->configurations[i]);
    }
    json_decref(model->keys);
    json_decref(model->matrix);
}

static void no_order_of_happenings_refuses_anybody(void **state)
{
    (void)state;
    static struct model model;
    int delivered = 0, rotated = 0;
    assert_true(sodium_init() >= 0);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        model_init(&model, seed);
        for (int step = 0; step < STEPS; step++)
            model_step(&model);
        come_to_rest(&model);
        former_keys_open_nothing(&model);
        delivered += model.delivered;
        rotated += model.rotated;
        model_release(&model);
    }
    assert_true(delivered > SEEDS * 10);
    assert_true(rotated > SEEDS);
}

/* Keys of a system that has replaced those that users are stated with once. */
static json_t *keys_with_former_user(void)
{
    char key[USER_KEY_TEXT_SIZE];
    assert_true(sodium_init() >= 0);
    user_key_make(key);
    json_t *all = json_pack("{s:i, s:i, s:{s:{s:s}}}", "freehold", 1, "number", 1, "keys",
                            KEYS_GATEWAY, KEYS_USER, key);
    keys_begin(all, NULL, false);
    keys_complete(all, noon.wall_ms);
    assert_int_equal(json_array_size(json_object_get(all, "users")), 1);
    return all;
}

/* By whichever `up`: the one that began it, or the next. */
static void users_are_forgotten_by_whoever_ends_it(void **state)
{
    (void)state;
    for (int died = 0; died < 3; died++) {
        json_t *all = keys_with_former_user();
        keys_begin(all, NULL, true);
        if (died > 0)
            keys_promote(all, noon.wall_ms);
        if (died > 1)
            keys_forget(all);
        keys_complete(all, noon.wall_ms);
        assert_int_equal(keys_phase(all), KEYS_AT_REST);
        assert_int_equal(json_array_size(json_object_get(all, "users")), 0);
        keys_begin(all, NULL, false);
        keys_complete(all, noon.wall_ms);
        assert_int_equal(json_array_size(json_object_get(all, "users")), 1);
        json_decref(all);
    }
}

static void what_was_taken_back_forgets_nobody(void **state)
{
    (void)state;
    json_t *all = keys_with_former_user();
    keys_begin(all, NULL, true);
    keys_take_back(all);
    keys_begin(all, NULL, false);
    keys_complete(all, noon.wall_ms);
    assert_int_equal(json_array_size(json_object_get(all, "users")), 2);
    json_decref(all);
}

static void one_that_never_says_so_holds_nothing_up_for_ever(void **state)
{
    (void)state;
    struct rotation_process processes[] = {{true, 7, 7}, {true, 6, 6}, {false, 0, 0}};
    assert_int_equal(rotation_decide(KEYS_LEARNING, 7, processes, 3, 0), ROTATION_WAIT);
    assert_int_equal(rotation_decide(KEYS_LEARNING, 7, processes, 3, ROTATION_LEARN_MS_MAX),
                     ROTATION_TAKE_BACK);
    assert_int_equal(rotation_decide(KEYS_SIGNING, 7, processes, 3, ROTATION_LEARN_MS_MAX),
                     ROTATION_WAIT);
    assert_int_equal(
        rotation_decide(KEYS_SIGNING, 7, processes, 3, IDENTITY_LIFE_MS + IDENTITY_SKEW_MS),
        ROTATION_FORGET);
    assert_int_equal(rotation_decide(KEYS_AT_REST, 7, processes, 3, 0), ROTATION_WAIT);
    assert_int_equal(rotation_decide(KEYS_AT_REST, 7, processes, 3, ROTATION_LEARN_MS_MAX),
                     ROTATION_END);
    processes[1] = (struct rotation_process){true, 0, 0}; /* it is starting */
    assert_int_equal(rotation_decide(KEYS_LEARNING, 7, processes, 3, 0), ROTATION_WAIT);
    processes[1] = (struct rotation_process){true, 7, 6};
    assert_int_equal(rotation_decide(KEYS_LEARNING, 7, processes, 3, 0), ROTATION_PROMOTE);
    assert_int_equal(rotation_decide(KEYS_SIGNING, 7, processes, 3, 0), ROTATION_WAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_order_of_happenings_refuses_anybody),
        cmocka_unit_test(users_are_forgotten_by_whoever_ends_it),
        cmocka_unit_test(what_was_taken_back_forgets_nobody),
        cmocka_unit_test(one_that_never_says_so_holds_nothing_up_for_ever),
    };
    return cmocka_run_group_tests(tests, begin_json, NULL);
}
