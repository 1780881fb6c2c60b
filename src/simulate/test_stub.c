/* SPDX-License-Identifier: Apache-2.0 */
/* What a test says of its stubs, and what must hold of them. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "http/path.h"
#include "simulate/test.h"

/* ---- What the test says ---- */

static char *unfit_answer(const struct fh_answer *declared, const json_t *body)
{
    size_t i;
    json_t *element;
    if (declared->shape)
        return stub_unfit(declared->shape, body);
    if (declared->each && !json_is_array(body))
        return strdup("it is not an array");
    json_array_foreach (declared->each ? body : NULL, i, element) {
        char *why = stub_unfit(declared->each, element);
        if (why)
            return why;
    }
    return NULL;
}

static void must_be_declared_route(fh_test *t, const struct run_node *node, const char *request,
                                   const struct fh_route *route, int status, const json_t *body)
{
    if (!node->stubbed)
        test_fail(t, "%s runs in this test: it answers %s itself", node->service->name, request);
    if (!route)
        test_fail(t, "%s has no route %s that a stub could answer", node->service->name, request);
    if (status >= 300 || !route->answer.status)
        return;
    if (status != route->answer.status)
        test_fail(t, "%s answers %s with %d, so a stub can't answer %d", node->service->name,
                  request, route->answer.status, status);
    char *why = unfit_answer(&route->answer, body);
    if (why)
        test_fail(t, "%s would not answer %s so: %s", node->service->name, request, why);
}

/* True: `service` is a host outside, which a service that runs may fetch from. */
static bool is_outside(fh_test *t, const char *service)
{
    bool found = false;
    if (!strstr(service, "://"))
        return false;
    for (int i = 0; i < t->run->node_count && !found; i++) {
        const struct run_node *node = &t->run->nodes[i];
        const char *const *hosts = node->service->fetches;
        size_t count = sizeof node->service->fetches / sizeof *hosts;
        for (size_t j = 0; j < count && hosts[j] && !found && !node->stubbed; j++) {
            char *name = test_outside_name(hosts[j]);
            found = strcmp(name, service) == 0;
            free(name);
        }
    }
    if (!found)
        test_fail(t,
                  "no service that runs in this test fetches from %s: expected one of the declared "
                  "`fetches`, such as https://api.example.org",
                  service);
    return found;
}

void fh_test_stub(fh_test *t, const char *service, const char *request, int status, json_t *body)
{
    const char *method, *path;
    test_keep(t, body);
    test_request_split(t, request, &method, &path);
    if (!is_outside(t, service)) {
        const struct run_node *node = test_node(t, service);
        must_be_declared_route(t, node, request, test_route(node->service, method, path), status,
                               body);
    } else if (strcmp(method, "GET") != 0) {
        test_fail(t, "%s is asked with GET alone, so a stub can't answer %s", service, request);
    }
    if (t->stub_count == TEST_STUBS_MAX)
        test_fail(t, "a test can have %d stubs", TEST_STUBS_MAX);
    char *pattern = strdup(path);
    FH_ASSERT(pattern != NULL);
    pattern[strcspn(pattern, "?")] = '\0';
    t->stubs[t->stub_count++] = (struct test_stub){service, method, pattern, status, body};
}

/* ---- What must hold of it ---- */

/* One command however often it was sent; what has no key counts each time. */
static bool is_new(const json_t *seen, const json_t *asked)
{
    const char *key = json_string_at(asked, "key");
    return !key || !json_object_get(seen, key);
}

void fh_test_expect_asked(fh_test *t, const char *service, const char *request, int count)
{
    const char *method, *path;
    json_t *seen = json_object(), *asked;
    size_t i;
    int found = 0;
    if (!is_outside(t, service) && !test_node(t, service)->stubbed)
        test_fail(t, "%s is not a stub in this test: nobody counts what it is asked", service);
    test_request_split(t, request, &method, &path);
    fh_test_rest(t);
    json_array_foreach (t->asked, i, asked) {
        if (strcmp(json_string_at(asked, "service"), service) != 0 ||
            strcmp(json_string_at(asked, "method"), method) != 0 ||
            !path_match(path, json_string_at(asked, "path"), NULL) || !is_new(seen, asked))
            continue;
        found++;
        if (json_string_at(asked, "key"))
            json_object_set_new(seen, json_string_at(asked, "key"), json_true());
    }
    json_decref(seen);
    if (found != count)
        test_fail(t, "expected that %s is asked %s %d times, and it was %d times", service, request,
                  count, found);
}
