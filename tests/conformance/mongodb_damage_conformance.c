/* SPDX-License-Identifier: Apache-2.0 */
/* Data in a store that no unit of work can have left: whatever needs it is refused with a sentence
 * that says where it is, and nothing else is refused. */

#include "engine_mongodb.h"

#include <stdlib.h>

#include "mongodb_raw.h"
#include "engine/mongodb/internal.h"

static const struct fh_collection things = {"thing", {"v"}};

static bool make_things(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    return mongodb_documents.prepare(work, &things, 1, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

/* What is under _fh.work. */
static const char *const entries[] = {
    "7",
    "{'writes':[]}",
    "{'id':7}",
    "{'id':'0123456789012345678901234567890123456789'}",
    "{'id':'w','writes':7}",
    "{'id':'w','writes':[7]}",
    "{'id':'w','writes':[{'collection':7,'id':'i'}]}",
    "{'id':'w','writes':[{'collection':'thing','id':'i','gone':true}]}",
    "{'id':'w','writes':[{'collection':'fh_command','id':7}]}",
    "{'id':'w','writes':[{'collection':'fh_command','id':'i','document':7}]}",
    "{'id':'w','writes':[{'collection':'fh_command','range':7}]}",
    "{'id':'w','writes':[{'collection':'fh_command','range':'no filter'}]}",
    "{'id':'w','events':{'id':'e'}}",
    "{'id':'w','events':[7]}",
    "{'id':'w','events':[{'id':'e','type':'T','key':7,'data':'{}'}]}",
    "{'id':'w','events':[{'id':'e','type':'T','key':'k','data':'{}','saga':7}]}",
    "{'id':'w','events':[{'id':'e','type':'T','key':'k','data':'{}','steps':[7]}]}",
    "{'id':'w','back':7}",
    "{'id':'w','back':{'before':{},'came':7}}",
};

static bool put_entry(struct conformance *c, const char *collection, const char *id,
                      const char *entry)
{
    char text[512];
    snprintf(text, sizeof text,
             "{'_id':'%s','_fh':{'version':'w','work':%s},'id':'%s','v':{'$numberLong':'1'}}", id,
             entry, id);
    return put_raw(c, collection, text);
}

static enum fh_code change(struct conformance *c, const char *id)
{
    json_t *update = json_pack("{s:{s:i}}", "$inc", "v", 1), *document = NULL;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code =
        mongodb_documents.update(work, "thing", id, NULL, update, &document, &c->error);
    json_decref(update);
    json_decref(document);
    conformance_rollback(c, work);
    return code;
}

static void what_is_no_entry_is_refused_by_who_needs_its_document(struct conformance *c)
{
    EXPECT(make_things(c));
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        char id[16];
        snprintf(id, sizeof id, "d%zu", i);
        EXPECT(put_entry(c, "thing", id, entries[i]));
        enum fh_code code = change(c, id);
        if (code != FH_INVALID || !strstr(c->error.message, id))
            snprintf(c->failure, sizeof c->failure, "%d: %s", (int)code, entries[i]);
        EXPECT(code == FH_INVALID);
    }
    EXPECT(put_raw(c, "thing", "{'_id':'whole','id':'whole','v':{'$numberLong':'1'}}"));
    EXPECT(change(c, "whole") == FH_OK);
}

static void opening_is_refused(struct conformance *c, const char *collection, const char *entry)
{
    EXPECT(make_things(c) && put_entry(c, collection, "damaged one", entry));
    c->engine->close(c->store);
    c->store = NULL;
    enum fh_code code = c->engine->open(&c->harness, c->model, &c->store, &c->error);
    EXPECT(code == FH_INVALID && strstr(c->error.message, "'damaged one' of "));
}

static void a_store_with_such_an_entry_is_not_opened(struct conformance *c)
{
    opening_is_refused(c, "thing", "{'id':'w','writes':[{'collection':'fh_command','id':7}]}");
}

static void a_store_with_such_a_unit_of_work_is_not_opened(struct conformance *c)
{
    opening_is_refused(c, "fh_work", "{'id':'w','events':[7]}");
}

static void a_document_of_another_program_is_named(struct conformance *c)
{
    struct document_find find = {.limit = 10};
    json_t *list = NULL;
    EXPECT(make_things(c) && put_raw(c, "thing", "{'_id':{'$numberLong':'7'},'v':1}"));
    struct store_work *work = conformance_begin(c, STORE_READ);
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = mongodb_documents.find(work, "thing", &find, &list, &c->error);
    json_decref(list);
    json_arena_set(arena);
    conformance_rollback(c, work);
    EXPECT(code == FH_INVALID && strstr(c->error.message, "not a string"));
}

static void a_version_that_is_none_is_no_version(struct conformance *c)
{
    EXPECT(make_things(c));
    EXPECT(put_raw(c, "thing", "{'_id':'a','_fh':{'version':7},'id':'a','v':{'$numberLong':'1'}}"));
    EXPECT(change(c, "a") == FH_OK);
}

static bool see(void *context, const struct ledger_event *event)
{
    *(int *)context += event->id != NULL;
    return true;
}

static void an_invalid_event_is_refused_when_it_is_read(struct conformance *c)
{
    int seen = 0;
    struct ledger_event event = {
        .id = "e", .type = "T", .key = "k", .version = 1, .time_ms = 1, .data = "{}"};
    EXPECT(make_things(c) && put_raw(c, "fh_place", "{'_id':7,'position':{'$numberLong':'1'}}"));
    EXPECT(put_raw(c, "fh_outbox", "{'_id':{'$numberLong':'1'},'event_id':7,'work':'w'}"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(ledger_outbox_append(work, &event, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    work = conformance_begin(c, STORE_READ);
    enum fh_code code = ledger_outbox_read(work, 0, 10, see, &seen, &c->error);
    bool named = strstr(c->error.message, "event at 1") != NULL;
    EXPECT(code == FH_INVALID && named);
    EXPECT(ledger_outbox_read(work, 1, 10, see, &seen, &c->error) == FH_OK && seen == 1);
    conformance_rollback(c, work);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_is_no_entry_is_refused_by_who_needs_its_document),
        CASE(a_store_with_such_an_entry_is_not_opened),
        CASE(a_store_with_such_a_unit_of_work_is_not_opened),
        CASE(a_document_of_another_program_is_named),
        CASE(a_version_that_is_none_is_no_version),
        CASE(an_invalid_event_is_refused_when_it_is_read),
    };
    return conformance_main_of("mongodb", FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
