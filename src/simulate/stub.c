/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that is a stub in a test. What runs in its place is the real runtime with a store, but
 * of the service's declaration only what it publishes: so the events that the test lets it publish
 * are checked, committed, numbered and fed as ever. Its routes are answered here, by what the test
 * says, and only as the service's own declaration allows: a stub can't promise what the service
 * would not keep, and what it is asked must be what the service would take.
 *
 * An answer to a command says what became of it as a real one would (Freehold-Outcome): done,
 * refused or undone. It is the same for all attempts, so nothing needs to be recorded but that it
 * was asked.
 *
 * What is outside the system is a stub in every test: one node for each host that a service which
 * runs may fetch from. It promises nothing, so the test says what it likes.
 */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "http/path.h"
#include "shape/shape.h"
#include "simulate/test.h"

#define SYSTEM_PREFIX "/_freehold/"

void run_stub_make(struct run_node *node)
{
    node->stub = (fh_service){.name = node->service->name, .model = FH_RELATIONAL};
    memcpy(node->stub.publishes, node->service->publishes, sizeof node->stub.publishes);
}

/* Takes the faults. NULL: there are none, and there is a value. */
static char *words_of_faults(json_t *faults, const json_t *value)
{
    json_t *fault = json_array_get(faults, 0);
    if (value && !faults)
        return NULL;
    json_t *words = fault ? json_sprintf("at \"%s\" %s", json_string_at(fault, "pointer"),
                                         json_string_at(fault, "detail"))
                          : json_string("there is no body");
    char *text = strdup(json_string_value(words));
    FH_ASSERT(text != NULL);
    json_decref(words);
    json_decref(faults);
    return text;
}

char *stub_unfit(const fh_field *shape, const json_t *value)
{
    return words_of_faults(value ? shape_check(shape, value) : NULL, value);
}

/* As the service itself takes it: an undo lacks the secrets that were sent before. */
static char *stub_unfit_undo(const fh_field *shape, const json_t *value)
{
    return words_of_faults(value ? shape_check_undo(shape, value) : NULL, value);
}

char *test_outside_name(const char *host)
{
    char *name;
    FH_ASSERT(asprintf(&name, "https://%s", host) > 0);
    return name;
}

static const char *message_header(const struct simulate_message *message, const char *name)
{
    for (const struct world_header *at = message->headers; at->name; at++) {
        if (strcasecmp(at->name, name) == 0)
            return at->value;
    }
    return NULL;
}

/* The last that fits. */
static const struct test_stub *stub_for(const fh_test *t, const char *service, const char *method,
                                        const char *path)
{
    for (int i = t->stub_count - 1; i >= 0; i--) {
        const struct test_stub *stub = &t->stubs[i];
        if (strcmp(stub->service, service) == 0 && strcmp(stub->method, method) == 0 &&
            path_match(stub->path, path, NULL))
            return stub;
    }
    return NULL;
}

static const struct fh_route *route_for(const fh_service *service, const char *method,
                                        const char *path)
{
    const struct fh_route *best = NULL;
    for (size_t i = 0; i < sizeof service->routes / sizeof *service->routes; i++) {
        const struct fh_route *route = &service->routes[i];
        if (route->method && strcmp(route->method, method) == 0 &&
            path_match(route->path, path, NULL) &&
            (!best || path_literals(route->path) > path_literals(best->path)))
            best = route;
    }
    return best;
}

/* Whoever asks must ask for what there is. */
static void judge_request(fh_test *t, const struct run_node *node,
                          const struct simulate_message *message, const char *path)
{
    const struct fh_route *route = route_for(node->service, message->method, path);
    struct fh_error error;
    json_t *body = NULL;
    if (!route) {
        run_fail(t->run, "%s is asked %s %s, which is none of its routes", node->service->name,
                 message->method, path);
        t->run->hopeless = true;
        return;
    }
    if (route->body) {
        json_parse(message->body ? message->body : "", message->body_length, &body, &error);
        char *why = message_header(message, "Freehold-Undo") ? stub_unfit_undo(route->body, body)
                                                             : stub_unfit(route->body, body);
        if (why) {
            run_fail(t->run, "%s would refuse the body of %s %s: %s", node->service->name,
                     message->method, path, why);
            t->run->hopeless = true;
        }
        free(why);
        json_decref(body);
    }
}

static void record_request(fh_test *t, const char *service, const struct simulate_message *message,
                           const char *path)
{
    const char *key = message_header(message, "Freehold-Undo");
    if (!key)
        key = message_header(message, "Idempotency-Key");
    json_t *asked = json_pack("{s:s, s:s, s:s, s:s*}", "service", service, "method",
                              message->method, "path", path, "key", key);
    if (json_array_size(t->asked) < TEST_ASKED_MAX)
        json_array_append_new(t->asked, asked);
    else
        json_decref(asked);
}

static void answer_message(struct simulate_message *message, int status, const json_t *body)
{
    struct world_header headers[2];
    size_t count = 0;
    const char *outcome = status < 400 ? "done" : status < 500 ? "refused" : NULL;
    if (message_header(message, "Freehold-Undo"))
        outcome = status < 400 ? "undone" : NULL;
    else if (!message_header(message, "Idempotency-Key"))
        outcome = NULL;
    if (outcome)
        headers[count++] = (struct world_header){"Freehold-Outcome", outcome};
    if (body)
        headers[count++] = (struct world_header){"Content-Type", "application/json"};
    char *text = body ? json_text(body) : NULL;
    simulate_network_answer(message, status, headers, count, text, text ? strlen(text) : 0);
    json_text_free(text);
}

/* ---- Outside of the system ---- */

static void receive_outside(struct simulate_node *node, struct simulate_message *message)
{
    struct run *run = node->owner;
    fh_test *t = run->test;
    char *path = strndup(message->path, strcspn(message->path, "?"));
    char *service = test_outside_name(node->name);
    FH_ASSERT(path != NULL);
    const struct test_stub *stub = stub_for(t, service, message->method, path);
    record_request(t, service, message, path);
    if (stub) {
        answer_message(message, stub->status, stub->body);
    } else {
        run_fail(run, "%s is asked %s %s, for which the test has no stub", service, message->method,
                 path);
        run->hopeless = true;
        answer_message(message, 404, NULL);
    }
    free(service);
    free(path);
}

/* One that bears the name of a service of the system is that service. */
static bool has_node(const struct simulate *simulate, const char *name)
{
    for (int i = 0; i < simulate->node_count; i++) {
        if (strcmp(simulate->nodes[i]->name, name) == 0)
            return true;
    }
    return false;
}

void run_outside_make(struct run *run)
{
    for (int i = 0; i < run->node_count; i++) {
        const struct run_node *node = &run->nodes[i];
        const char *const *hosts = node->service->fetches;
        for (size_t j = 0; j < sizeof node->service->fetches / sizeof *hosts && hosts[j]; j++) {
            if (node->stubbed || has_node(&run->simulate, hosts[j]))
                continue;
            struct simulate_node *host = simulate_node_new(&run->simulate, hosts[j]);
            host->owner = run;
            host->receive = receive_outside;
            simulate_network_open(host, true);
        }
    }
}

/* One that runs asks for what it is to take over from this stub, maybe before the test begins. */
static bool is_taken_over(const struct run_node *stub, const struct simulate_message *message,
                          const char *path)
{
    for (int i = 0; i < stub->run->node_count; i++) {
        const struct run_node *node = &stub->run->nodes[i];
        const struct fh_taken_over *rows = node->service->takes_over;
        for (size_t j = 0; j < sizeof node->service->takes_over / sizeof *rows; j++) {
            if (!node->stubbed && rows[j].service && strcmp(message->method, "GET") == 0 &&
                strcmp(rows[j].service, stub->service->name) == 0 &&
                strcmp(rows[j].path, path) == 0)
                return true;
        }
    }
    return false;
}

/* What no test says: there is nothing to take over, and nobody is there before the test begins. */
static bool answer_untold(struct run_node *node, struct simulate_message *message, const char *path)
{
    bool taken = is_taken_over(node, message, path);
    if (!taken && node->run->test)
        return false;
    json_t *none = json_array();
    answer_message(message, taken ? 200 : 503, taken ? none : NULL);
    json_decref(none);
    return true;
}

bool run_stub_receive(struct run_node *node, struct simulate_message *message)
{
    fh_test *t = node->run->test;
    if (strncmp(message->path, SYSTEM_PREFIX, strlen(SYSTEM_PREFIX)) == 0)
        return false;
    char *path = strndup(message->path, strcspn(message->path, "?"));
    FH_ASSERT(path != NULL);
    const struct test_stub *stub =
        t ? stub_for(t, node->service->name, message->method, path) : NULL;
    if (!stub && answer_untold(node, message, path)) {
        free(path);
        return true;
    }
    judge_request(t, node, message, path);
    record_request(t, node->service->name, message, path);
    if (stub) {
        answer_message(message, stub->status, stub->body);
    } else if (message_header(message, "Freehold-Undo")) {
        answer_message(message, 200, NULL);
    } else {
        run_fail(t->run, "%s is asked %s %s, for which the test has no stub", node->service->name,
                 message->method, message->path);
        t->run->hopeless = true;
        answer_message(message, 404, NULL);
    }
    free(path);
    return true;
}
