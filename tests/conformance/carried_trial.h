/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CARRIED_TRIAL_H
#define TESTS_CARRIED_TRIAL_H

/* What cases of one server of derived stores have in common: a generation of it, what is asked of
 * that, and the first thing that is wrong. Header only. */

#include "carried_bed.h"

#include "base/id.h"
#include "store/derived/derived.h"

#define TRIAL_LINKS_MAX 256
#define EXPECT_CODE(t, expected, code) expect_code(t, expected, code, __LINE__)
#define EXPECT(t, condition) expect_code(t, FH_OK, (condition) ? FH_OK : FH_CONFLICT, __LINE__)

struct trial {
    const struct carried_bed *bed;
    const struct fh_derived *declared;
    struct harness harness;
    struct carried_server *server;
    struct carried_name name;
    struct carried_link links[TRIAL_LINKS_MAX];
    int link_count;
    uint64_t state; /* of draw */
    struct fh_error error;
    char wrong[2 * BED_TEXT_SIZE];
    void (*run)(struct trial *t);
};

static struct trial trial;

static inline void expect_code(struct trial *t, enum fh_code expected, enum fh_code code, int line)
{
    if (expected != code && !t->wrong[0])
        snprintf(t->wrong, sizeof t->wrong, "line %d: %s instead of %s: %s", line,
                 error_code_name(code), error_code_name(expected),
                 code == FH_OK ? "" : t->error.message);
}

static inline void expect_text(struct trial *t, const char *expected, const char *text, int line)
{
    if (strcmp(expected, text) != 0 && !t->wrong[0])
        snprintf(t->wrong, sizeof t->wrong, "line %d: \"%.2000s\" instead of \"%.2000s\"", line,
                 text, expected);
}

/* FREEHOLD_SEED repeats one order. */
static inline void draw_begin(struct trial *t)
{
    const char *seed = getenv("FREEHOLD_SEED");
    t->state = (seed ? strtoull(seed, NULL, 10) : 1) * 7919 + 1;
}

static inline int draw(struct trial *t, int below)
{
    t->state = t->state * 6364136223846793005u + 1442695040888963407u;
    return (int)((t->state >> 33) % (uint64_t)below);
}

/* ---- What is asked of the server ---- */

static inline enum fh_code make(struct trial *t)
{
    return t->server->ops->make(t->server, t->declared, &t->name, &t->error);
}

static inline enum fh_code send_page(struct trial *t, struct carried_page *page)
{
    return t->server->ops->send(t->server, t->declared, &t->name, page, &t->error);
}

static inline enum fh_code drop(struct trial *t)
{
    return t->server->ops->drop(t->server, t->declared, &t->name, &t->error);
}

static void note_link(void *context, const struct carried_link *link)
{
    struct trial *t = context;
    FH_ASSERT(t->link_count < TRIAL_LINKS_MAX);
    t->links[t->link_count++] = *link;
}

/* All, by pages of three. */
static inline enum fh_code list_links(struct trial *t)
{
    struct carried_link after = {0, 0};
    int count = 3;
    enum fh_code code = FH_OK;
    t->link_count = 0;
    while (code == FH_OK && count == 3) {
        code = t->server->ops->links(t->server, t->declared, &t->name, &after, 3, note_link, t,
                                     &count, &t->error);
        if (t->link_count)
            after = t->links[t->link_count - 1];
    }
    return code;
}

static void count_generation(void *context, const struct carried_name *name)
{
    struct trial *t = context;
    t->link_count += carried_name_compare(name, &t->name) == 0 ? 1 : 100;
}

static inline int count_generations(struct trial *t)
{
    t->link_count = 0;
    EXPECT_CODE(
        t, FH_OK,
        t->server->ops->generations(t->server, t->declared, count_generation, t, &t->error));
    return t->link_count;
}

/* ---- A case ---- */

static void run_trial(void *argument)
{
    struct trial *t = argument;
    draw_begin(t);
    t->run(t);
    t->bed->wipe(t->server, t->declared);
}

static inline void run_case(const struct carried_bed *bed, const struct fh_derived *declared,
                            void (*run)(struct trial *t))
{
    char why[160];
    unsigned char random[10];
    trial = (struct trial){.bed = bed, .declared = declared, .run = run};
    harness_init(&trial.harness);
    trial.server = bed->open(&trial.harness, why);
    if (!trial.server) {
        harness_release(&trial.harness);
        SKIP_BECAUSE("no %s: %s", bed->name, why);
    }
    world_random(trial.harness.world, random, sizeof random);
    id_format(trial.name.incarnation, world_wall_ms(trial.harness.world), random);
    trial.name.number = 1;
    harness_run(&trial.harness, run_trial, &trial);
    bed->close(trial.server);
    harness_release(&trial.harness);
    if (trial.wrong[0])
        fail_msg("%s", trial.wrong);
}

/* ---- All cases of all beds ---- */

#define TRIAL_TESTS_MAX 128

struct trial_case {
    const char *name;
    unsigned models; /* 1u << enum fh_model: those it is tried with */
    void (*run)(struct trial *t);
};

struct trial_test {
    const struct carried_bed *bed;
    const struct fh_derived *declared;
    const struct trial_case *of;
    char name[160];
};

static void run_trial_test(void **state)
{
    const struct trial_test *test = *state;
    run_case(test->bed, test->declared, test->of->run);
}

/* Of each bed that holds their model, for each of `declared`. */
static inline int run_trial_cases(const struct trial_case *cases, size_t count,
                                  const struct fh_derived *const *declared, size_t declared_count)
{
    static struct trial_test tests[TRIAL_TESTS_MAX];
    static struct CMUnitTest units[TRIAL_TESTS_MAX];
    size_t used = 0;
    for (const struct carried_bed *const *bed = carried_beds; *bed; bed++) {
        for (size_t i = 0; i < declared_count * count; i++) {
            const struct fh_derived *of = declared[i / count];
            const struct trial_case *one = &cases[i % count];
            if (!((*bed)->models & one->models & 1u << of->model))
                continue;
            FH_ASSERT(used < TRIAL_TESTS_MAX);
            tests[used] = (struct trial_test){.bed = *bed, .declared = of, .of = one};
            snprintf(tests[used].name, sizeof tests[used].name, "%s: %s: %s", (*bed)->name,
                     of->name, one->name);
            units[used] =
                (struct CMUnitTest){tests[used].name, run_trial_test, NULL, NULL, &tests[used]};
            used++;
        }
    }
    return _cmocka_run_group_tests("tests", units, used, NULL, NULL);
}

#endif
