/* SPDX-License-Identifier: Apache-2.0 */
/* A resolver that does not answer: getaddrinfo of one name hangs here, in libcurl's thread, until a
 * test lets it go. Who no longer waits for its request must not wait for that thread either. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <time.h>

#include "http/client.h"
#include "http/outside.h"
#include "http_support.h"

#define HANGING "hangs.example"
#define PATIENCE_S 20 /* then it answers by itself, so that a failed test ends */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool asked, let_go, gave_up;
    int inside;
} resolver = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void hang_until_let_go(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&resolver.mutex);
    resolver.asked = true;
    resolver.inside++;
    while (!resolver.let_go && !resolver.gave_up)
        resolver.gave_up =
            pthread_cond_timedwait(&resolver.changed, &resolver.mutex, &until) == ETIMEDOUT;
    resolver.inside--;
    pthread_cond_broadcast(&resolver.changed);
    pthread_mutex_unlock(&resolver.mutex);
}

/* In the place of the C library's, for libcurl, too. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (name && strcmp(name, HANGING) == 0) {
        hang_until_let_go();
        return EAI_AGAIN;
    }
    void *next = dlsym(RTLD_NEXT, "getaddrinfo");
    assert_non_null(next);
    memcpy(&real, &next, sizeof real);
    return real(name, service, hints, ret);
}

static bool is_asked(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&resolver.mutex);
    bool asked = resolver.asked;
    pthread_mutex_unlock(&resolver.mutex);
    return asked;
}

/* Whether it had given up before. */
static bool let_resolver_go(void)
{
    pthread_mutex_lock(&resolver.mutex);
    bool gave_up = resolver.gave_up;
    resolver.let_go = true;
    pthread_cond_broadcast(&resolver.changed);
    while (resolver.inside > 0)
        pthread_cond_wait(&resolver.changed, &resolver.mutex);
    resolver.asked = resolver.let_go = resolver.gave_up = false;
    pthread_mutex_unlock(&resolver.mutex);
    return gave_up;
}

/* ---- Requests ---- */

struct asking {
    struct site site;
    struct http_client *client;
    struct world_request request;
    char failure[128];
    bool done;
};

static void on_asked(struct world_request *request)
{
    struct asking *asking = request->owner;
    snprintf(asking->failure, sizeof asking->failure, "%s",
             request->failure ? request->failure : "");
    asking->done = true;
}

static bool is_done(void *asking)
{
    return ((struct asking *)asking)->done;
}

/* Asks the host that hangs, until its name is being looked up. */
static void ask_hanging_host(struct asking *asking, int deadline_ms)
{
    struct world *world;
    *asking = (struct asking){.done = false};
    site_init(&asking->site, NULL);
    world = asking->site.harness.world;
    assert_int_equal(
        http_client_new(&asking->site.harness.loop, world, &asking->client, ERROR_UNHEEDED), FH_OK);
    http_client_go_outside(asking->client, &(struct outside_rules){.plain = true});
    asking->request = (struct world_request){.method = "GET",
                                             .url = "http://" HANGING "/",
                                             .deadline_ns = world_in_ms(world, deadline_ms),
                                             .done = on_asked,
                                             .owner = asking};
    http_client_send(asking->client, &asking->request);
    harness_until(&asking->site.harness, is_asked, NULL);
}

static void a_deadline_does_not_wait_for_the_resolver(void **state)
{
    (void)state;
    struct asking asking;
    ask_hanging_host(&asking, 1000);
    harness_until(&asking.site.harness, is_done, &asking);
    assert_false(let_resolver_go());
    assert_string_equal(asking.failure, "deadline passed");
    assert_true(asking.request.unsent);
    http_client_free(asking.client);
    site_release(&asking.site);
}

static void a_client_is_freed_without_waiting_for_the_resolver(void **state)
{
    (void)state;
    struct asking asking;
    ask_hanging_host(&asking, 60000);
    http_client_free(asking.client);
    assert_true(asking.done);
    assert_false(let_resolver_go());
    assert_string_equal(asking.failure, "the client is closing");
    site_release(&asking.site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_does_not_wait_for_the_resolver),
        cmocka_unit_test(a_client_is_freed_without_waiting_for_the_resolver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
