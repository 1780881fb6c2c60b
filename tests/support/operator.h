/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_OPERATOR_H
#define TESTS_OPERATOR_H

/* What operators do with parked events, each an entry of a fiber. */

#include "hearing.h"

#include "event/subscribe/parked.h"

struct asked {
    struct service *service;
    const char *source, *key;
    bool all;
    json_t *answer; /* or NULL, and why */
    enum fh_code code;
    struct fh_error error;
    bool done;
};

static inline void list_entry(void *argument)
{
    struct asked *asked = argument;
    asked->code =
        parked_list(asked->service->context.events, asked->source, &asked->answer, &asked->error);
}

static inline void show_entry(void *argument)
{
    struct asked *asked = argument;
    asked->code = parked_show(asked->service->context.events, asked->source, asked->key,
                              &asked->answer, &asked->error);
}

static inline void retry_entry(void *argument)
{
    struct asked *asked = argument;
    asked->code = parked_retry(asked->service->context.events, asked->source, asked->key,
                               &asked->answer, &asked->error);
    asked->done = true;
}

static inline void drop_entry(void *argument)
{
    struct asked *asked = argument;
    asked->code = parked_drop(asked->service->context.events, asked->source, asked->key, asked->all,
                              &asked->answer, &asked->error);
}

struct edited {
    struct service *service;
    const char *key, *data;
    int64_t position;
    json_t *answer, *faults;
    enum fh_code code;
    struct fh_error error;
};

static inline void edit_entry(void *argument)
{
    struct edited *edited = argument;
    struct parked_change change = {"users", edited->key, edited->position, NULL, "ada"};
    assert_int_equal(json_parse(edited->data, strlen(edited->data), &change.data, ERROR_UNHEEDED),
                     FH_OK);
    edited->code = parked_edit(edited->service->context.events, &change, &edited->answer,
                               &edited->faults, &edited->error);
    json_decref(change.data);
}

static inline struct edited edit(struct fixture *fixture, const char *key, int64_t position,
                                 const char *data)
{
    struct edited edited = {&fixture->orders, key, data, position};
    harness_run(&fixture->harness, edit_entry, &edited);
    return edited;
}

static inline struct asked ask(struct fixture *fixture, void (*entry)(void *), const char *key,
                               bool all)
{
    struct asked asked = {.service = &fixture->orders, .source = "users", .key = key, .all = all};
    harness_run(&fixture->harness, entry, &asked);
    return asked;
}

static inline int64_t number_at(const json_t *value, const char *path)
{
    json_int_t number = -1;
    json_integer_at(value, path, &number);
    return number;
}

static inline const json_t *first_of(const struct asked *asked, const char *list)
{
    return json_array_get(json_object_get(asked->answer, list), 0);
}

static inline bool asked_done(void *argument)
{
    return ((struct asked *)argument)->done;
}

static inline bool retry_is_held(void *argument)
{
    return ((struct fixture *)argument)->held_count > 0;
}

/* Lets products answer the queries. */
static inline void let_products_answer(struct fixture *fixture)
{
    fixture->products_hold = false;
    while (fixture->held_count > 0)
        fake_answer(fixture->held[--fixture->held_count], 200, "{}", NULL, 0);
}

/* Two events of one unit of work of the publisher. */
static const char *two_names[2];
static int two_ids[2];

static inline void publish_two_work(fh_work *w)
{
    for (int i = 0; i < 2; i++)
        fh_publish(w, "UserUpdated",
                   json_pack("{s:i, s:s}", "id", two_ids[i], "name", two_names[i]));
}

static inline void publish_two(struct fixture *fixture, int first, const char *first_name,
                               int second, const char *second_name)
{
    two_ids[0] = first;
    two_ids[1] = second;
    two_names[0] = first_name;
    two_names[1] = second_name;
    service_must(&fixture->users, publish_two_work);
}

#endif
