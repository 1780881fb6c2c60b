/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of engines: those built in, in the order of src/engine/meson.build, then those
 * registered later. An engine that lacks a required part ends the process when it is registered,
 * not when the part is first needed.
 */

#include "engine/engines.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "store/derived/derived.h"
#include "store/ledger.h"
#include "store/model.h"
#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"
#include "store/server.h"
#include "store/store.h"

#define ENGINES_MAX 32

static const struct engine *engines[ENGINES_MAX];
static size_t count;
static pthread_once_t begun = PTHREAD_ONCE_INIT;

static const struct engine *find_engine(const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    }
    return NULL;
}

/* Statements that ledger_statement says may be NULL are not among these. */
static void check_dialect(const struct sql_dialect *dialect)
{
    static const enum ledger_statement needed[] = {
        LEDGER_META_PUT,         LEDGER_COUNTER_SET,  LEDGER_SUBSCRIBER_PUT,  LEDGER_KEY_PLACES,
        LEDGER_KEYS_UNSEQUENCED, LEDGER_RESYNC_BEGIN, LEDGER_APPLIED_PUT,     LEDGER_APPLIED_CLEAR,
        LEDGER_CURSOR_BEGIN,     LEDGER_LEASE_BEGIN,  LEDGER_PARKED_KEY_PUT,  LEDGER_PARKED_PUT,
        LEDGER_PARKED_COUNT,     LEDGER_COMMAND_PUT,  LEDGER_COMMANDS_EXPIRE, LEDGER_CALLER_PUT,
        LEDGER_CALLER_DELETE,    LEDGER_NEWEST_PUT,   LEDGER_STEP_PUT,        LEDGER_SAGAS_CLOSED,
    };
    FH_ASSERT(dialect->quote && dialect->overriding && dialect->ledger);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        FH_ASSERT(dialect->ledger[needed[i]]);
    const struct ledger_schema *schema = dialect->schema;
    FH_ASSERT(schema && schema->meta && schema->tables && schema->format && schema->lacking);
    FH_ASSERT(dialect->tables && dialect->columns && dialect->key && dialect->parents);
    FH_ASSERT(dialect->next_number && dialect->set_next_number);
    FH_ASSERT(!dialect->log_position == !dialect->log_reached);
}

static void add_engine(const struct engine *engine)
{
    FH_ASSERT(count < ENGINES_MAX && engine->name && engine->title && !find_engine(engine->name));
    const struct store_ops *store = engine->store;
    FH_ASSERT(store && store->open && store->close);
    FH_ASSERT(store->begin && store->commit && store->rollback);
    const struct ledger_ops *ledger = engine->ledger;
    FH_ASSERT(ledger && ledger->snapshots);
#define GIVEN(slot) FH_ASSERT(ledger->slot);
    LEDGER_FUNCTIONS(GIVEN)
#undef GIVEN
    const struct sql_ops *sql = engine->sql;
    FH_ASSERT(!sql || (sql->list_format && sql->run && sql->script && sql->dialect));
    if (sql)
        check_dialect(sql->dialect);
    FH_ASSERT(engine->models);
    for (const struct model *model = NULL; (model = model_next(model));)
        FH_ASSERT(!(engine->models & (1u << model->id)) == !model->is_served(engine));
    const struct derived_ops *derived = engine->derived;
    FH_ASSERT(!derived ||
              (derived->any && derived->prepare && derived->filling && derived->set_filling &&
               derived->put && derived->remove && derived->search && derived->measure &&
               derived->series && derived->past && derived->add && derived->columns &&
               derived->list && derived->trim));
    FH_ASSERT(sql || engine->copied_ledger); /* not in tables, so only the engine can copy it */
    const struct server_kind *server = engine->server;
    FH_ASSERT(!server || (server->settings && server->programs && server->make && server->run &&
                          server->read_settings && server->settings_fault && server->enter &&
                          server->provide && server->trespass && server->room));
    FH_ASSERT(!server || store->clock);
    engines[count++] = engine;
}

static void add_built_in(void)
{
    for (const struct model *model = NULL; (model = model_next(model));)
        FH_ASSERT(model->name && model->keeps && model->tables && model->is_served &&
                  model->prepare && model->copy && model->is_used);
    for (const struct engine *const *engine = engines_built_in; *engine; engine++)
        add_engine(*engine);
}

void engine_register(const struct engine *engine)
{
    pthread_once(&begun, add_built_in);
    add_engine(engine);
}

const struct engine *engine_named(const char *name)
{
    pthread_once(&begun, add_built_in);
    return name ? find_engine(name) : engine_embedded();
}

const struct server_kind *server_kind(const char *engine)
{
    const struct engine *named = engine_named(engine);
    return named ? named->server : NULL;
}

const struct engine *engine_embedded(void)
{
    const struct engine *engine = NULL;
    while ((engine = engine_next(engine)) && engine->server)
        ;
    FH_ASSERT(engine != NULL);
    return engine;
}

const struct engine *engine_next(const struct engine *engine)
{
    size_t at = 0;
    pthread_once(&begun, add_built_in);
    while (engine && engines[at] != engine)
        at++;
    at += engine != NULL;
    return at < count ? engines[at] : NULL;
}
