/* SPDX-License-Identifier: Apache-2.0 */
/* See conformance.h. */

#include "conformance.h"
#include "engine/engines.h"

#include <stdlib.h>
#include <sys/stat.h>

/* Chosen by the build: each engine's opener, tests/conformance/engine_NAME.c. */
extern const struct conformance_engine *const *const conformance_openers[];

/* The first one (of NULL), and the next; in the order of the build. */
static const struct conformance_engine *next_engine(const struct conformance_engine *engine)
{
    bool found = !engine;
    for (const struct conformance_engine *const *const *opener = conformance_openers; *opener;
         opener++) {
        for (const struct conformance_engine *const *one = *opener; *one; one++) {
            if (found)
                return *one;
            found = *one == engine;
        }
    }
    return NULL;
}

const struct conformance_engine *conformance_engine(const struct engine *engine)
{
    const struct conformance_engine *one = NULL;
    while ((one = next_engine(one)) && strncmp(one->name, engine->name, strlen(engine->name)) != 0)
        ;
    FH_ASSERT(one != NULL);
    return one;
}

/* ---- Closing ---- */

struct turned {
    struct world_turn turn;
    struct fiber *fiber;
};

static void on_turn(struct world_turn *turn)
{
    fiber_ready(((struct turned *)turn->owner)->fiber);
}

/* A store is closed when all its units of work have ended and the loop has turned since: whatever
 * the last of them posted for the end of the turn has run. */
static void close_store(struct conformance *c)
{
    struct turned turned = {.turn = {.run = on_turn, .owner = &turned}, .fiber = fiber_self()};
    world_turn(c->harness.world, &turned.turn);
    fiber_park();
    c->engine->close(c->store);
    c->store = NULL;
}

/* ---- Running ---- */

struct run {
    const struct conformance_engine *engine;
    enum fh_model model;
    const struct conformance_row *row;
    struct conformance c;
};

void conformance_note(struct conformance *c, const char *file, int line, const char *what)
{
    if (!c->failure[0])
        snprintf(c->failure, sizeof c->failure, "%s:%d: %s (last error: %s)", file, line, what,
                 c->error.message);
}

struct store *conformance_embedded(struct conformance *c, const char *name, enum fh_model model)
{
    char folder[256];
    struct store *store = NULL;
    snprintf(folder, sizeof folder, "%s/%s", c->harness.folder, name);
    mkdir(folder, 0700);
    struct store_options options = {.service = "conformance", .folder = folder, .model = model};
    if (engine_embedded()->store->open(&options, c->harness.world, &store, &c->error) != FH_OK)
        conformance_note(c, __FILE__, __LINE__, "an embedded store is opened");
    return store;
}

static void run_on_fiber(void *argument)
{
    struct run *run = argument;
    struct conformance *c = &run->c;
    if (c->engine->open(&c->harness, c->model, &c->store, &c->error) != FH_OK) {
        conformance_note(c, __FILE__, __LINE__, "the store opens");
        return;
    }
    run->row->run(c);
    for (int i = 0; i < CONFORMANCE_WORKS_MAX; i++)
        if (c->works[i])
            conformance_rollback(c, c->works[i]);
    conformance_join(c);
    if (c->store)
        close_store(c);
}

static void run_case(void **state)
{
    struct run *run = *state;
    struct conformance *c = &run->c;
    const char *missing = run->engine->missing ? run->engine->missing() : NULL;
    if (missing)
        SKIP_BECAUSE("%s can't be tried here: %s", run->engine->name, missing);
    memset(c, 0, sizeof *c);
    c->engine = run->engine;
    c->model = run->model;
    harness_init(&c->harness);
    c->harness.ms_max = 3 * HARNESS_MS_MAX; /* sagas of megabytes on a starved FerretDB */
    harness_run(&c->harness, run_on_fiber, run);
    if (c->engine->drop)
        c->engine->drop(&c->harness);
    harness_release(&c->harness);
    if (c->failure[0])
        fail_msg("%s", c->failure);
}

/* 0: any */
static bool is_tried(const struct conformance_engine *engine, const char *name, enum fh_model model)
{
    bool named =
        !name || (*name ? strncmp(engine->name, name, strlen(name)) == 0 : engine->missing != NULL);
    return named && (!model || engine->models & 1u << model);
}

static const char *const model_names[] = {[FH_RELATIONAL] = ", relational",
                                          [FH_DOCUMENT] = ", documents",
                                          [FH_KEY_VALUE] = ", keys and values"};

static enum fh_model first_model(const struct conformance_engine *engine)
{
    return engine->models & 1u << FH_RELATIONAL ? FH_RELATIONAL
           : engine->models & 1u << FH_DOCUMENT ? FH_DOCUMENT
                                                : FH_KEY_VALUE;
}

static const struct engine *engine_of(const struct conformance_engine *opener)
{
    const struct engine *engine = NULL;
    while ((engine = engine_next(engine)) &&
           strncmp(opener->name, engine->name, strlen(engine->name)) != 0)
        ;
    return engine;
}

/* In `model`; 0: in the first that each engine has, or in every one. */
static int run_cases(const char *name, enum fh_model model, bool every_model,
                     const struct conformance_row *rows, size_t count)
{
    const struct conformance_engine *engine = NULL;
    size_t places = 0;
    while ((engine = next_engine(engine))) {
        places += FH_KEY_VALUE + 1;
        if (engine->brings)
            engine_register(engine->brings);
    }
    size_t tests_max = places * count;
    struct CMUnitTest *tests = calloc(tests_max, sizeof *tests);
    struct run *runs = calloc(tests_max, sizeof *runs);
    char(*names)[160] = calloc(tests_max, sizeof *names);
    if (!tests || !runs || !names)
        return 1;
    size_t used = 0;
    for (size_t place = 0; place < places; place++) {
        if (place % (FH_KEY_VALUE + 1) == 0)
            engine = next_engine(engine);
        enum fh_model tried = (enum fh_model)(place % (FH_KEY_VALUE + 1));
        bool wanted = model         ? tried == model
                      : every_model ? (engine->models & 1u << tried) != 0
                                    : tried == first_model(engine);
        if (!wanted || !is_tried(engine, name, model))
            continue;
        for (size_t i = 0; i < count; i++) {
            if (rows[i].fits && !rows[i].fits(engine_of(engine)))
                continue;
            runs[used] = (struct run){engine, tried, &rows[i], {0}};
            snprintf(names[used], sizeof names[used], "%s%s: %s", engine->name,
                     every_model ? model_names[tried] : "", rows[i].name);
            tests[used] = (struct CMUnitTest){
                .name = names[used], .test_func = run_case, .initial_state = &runs[used]};
            used++;
        }
    }
    int failed = _cmocka_run_group_tests("conformance", tests, used, NULL, NULL);
    free(tests);
    free(runs);
    free(names);
    return failed;
}

int conformance_main(enum fh_model model, const struct conformance_row *rows, size_t count)
{
    return run_cases(NULL, model, false, rows, count);
}

int conformance_main_all(const struct conformance_row *rows, size_t count)
{
    return run_cases(NULL, (enum fh_model)0, false, rows, count);
}

int conformance_main_every(const struct conformance_row *rows, size_t count)
{
    return run_cases(NULL, (enum fh_model)0, true, rows, count);
}

int conformance_main_of(const char *engine, enum fh_model model, const struct conformance_row *rows,
                        size_t count)
{
    return run_cases(engine, model, false, rows, count);
}

/* ---- Units of work ---- */

/* c->error is of the caller's last call here, also where others ran while that waited. */
static enum fh_code told(struct conformance *c, enum fh_code code, const struct fh_error *error)
{
    if (code != FH_OK)
        c->error = *error;
    return code;
}

struct store_work *conformance_begin(struct conformance *c, enum store_mode mode)
{
    struct store_work *work = NULL;
    struct fh_error error = {0};
    enum fh_code code = store_begin(c->store, mode, &work, &error);
    if (code == FH_NO_MEMORY) /* where one call fails: a case looks at all that comes after it */
        code = store_begin(c->store, mode, &work, &error);
    if (told(c, code, &error) != FH_OK) {
        conformance_note(c, __FILE__, __LINE__, "a work begins");
        return NULL;
    }
    for (int i = 0; i < CONFORMANCE_WORKS_MAX; i++) {
        if (!c->works[i]) {
            c->works[i] = work;
            return work;
        }
    }
    abort(); /* a case opens more units of work than the table holds */
}

static void forget(struct conformance *c, const struct store_work *work)
{
    for (int i = 0; i < CONFORMANCE_WORKS_MAX; i++)
        if (c->works[i] == work)
            c->works[i] = NULL;
}

enum fh_code conformance_commit(struct conformance *c, struct store_work *work)
{
    struct fh_error error = {0};
    forget(c, work);
    return told(c, store_commit(work, &error), &error);
}

void conformance_rollback(struct conformance *c, struct store_work *work)
{
    const struct fh_error error = c->error;
    if (!work)
        return;
    forget(c, work);
    store_rollback(work);
    c->error = error;
}

void conformance_reopen(struct conformance *c)
{
    close_store(c);
    if (c->engine->open(&c->harness, c->model, &c->store, &c->error) != FH_OK)
        conformance_note(c, __FILE__, __LINE__, "the store opens again");
}

struct started {
    struct conformance *c;
    void (*entry)(void *);
    void *argument;
};

static void started_run(void *argument)
{
    struct started started = *(struct started *)argument;
    free(argument);
    started.entry(started.argument);
    started.c->running--;
    fiber_wake_all(&started.c->ended);
}

void conformance_start(struct conformance *c, void (*entry)(void *), void *argument)
{
    struct started *started = malloc(sizeof *started);
    if (!started)
        abort();
    *started = (struct started){c, entry, argument};
    c->running++;
    if (!fiber_start(c->harness.world->fibers, started_run, started))
        abort();
}

void conformance_join(struct conformance *c)
{
    while (c->running)
        fiber_wait(&c->ended);
}

/* ---- JSON and SQL ---- */

json_t *conformance_json(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        abort();
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    struct fh_error error;
    json_t *value;
    if (json_parse(copy, strlen(copy), &value, &error) != FH_OK) {
        fprintf(stderr, "%s in the test's own %s\n", error.message, text);
        abort();
    }
    free(copy);
    return value;
}

bool conformance_is(struct conformance *c, const json_t *value, const char *text)
{
    json_t *wanted = conformance_json(text);
    char *wanted_text = json_text(wanted), *got = value ? json_text(value) : NULL;
    bool same = got && strcmp(got, wanted_text) == 0;
    if (!same && !c->failure[0])
        snprintf(c->failure, sizeof c->failure, "expected %.400s, got %.400s (last error: %s)",
                 wanted_text, got ? got : "nothing", c->error.message);
    json_text_free(got);
    json_text_free(wanted_text);
    json_decref(wanted);
    return same;
}

json_t *conformance_rows(struct conformance *c, struct store_work *work, const char *sql,
                         const char *names)
{
    json_t *object = names ? conformance_json(names) : NULL, *rows = NULL;
    struct fh_error error = {0};
    enum fh_code code = relational_run(work, sql, &object, object ? 1 : 0, RELATIONAL_ROWS_MAX,
                                       &rows, NULL, &error);
    json_decref(object);
    told(c, code, &error);
    return rows;
}

enum fh_code conformance_exec(struct conformance *c, struct store_work *work, const char *sql,
                              const char *names)
{
    json_t *object = names ? conformance_json(names) : NULL;
    struct fh_error error = {0};
    int64_t changes; /* wanted, so that a failure is reported now and not with a later statement */
    enum fh_code code =
        relational_run(work, sql, &object, object ? 1 : 0, 0, NULL, &changes, &error);
    json_decref(object);
    return told(c, code, &error);
}

bool conformance_reads(struct conformance *c, const char *sql, const char *text)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return false;
    json_t *rows = conformance_rows(c, work, sql, NULL);
    conformance_rollback(c, work);
    bool same = conformance_is(c, rows, text);
    json_decref(rows);
    return same;
}

enum fh_code conformance_does(struct conformance *c, const char *sql, const char *names)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = conformance_exec(c, work, sql, names);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}
