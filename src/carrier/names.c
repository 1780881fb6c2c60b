/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which derived stores are carried, as the ledger knows it. What is derived while one is not is no
 * op in the outbox: it lies in the service's own store then, or the program does not declare it. So
 * its generations lack that for good, though their cursors would fit, and are forgotten in the unit
 * of work that notes it. The last number stays, as a name is used once (18).
 */

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "carrier/alike.h"
#include "carrier/record.h"
#include "store/engine.h"
#include "store/ledger.h"

#define CARRIED_NAMES "carried"
#define CARRIED_NAMES_SIZE 4096

static enum fh_code read_carried_names(struct store_work *work, json_t **ret,
                                       struct fh_error *error)
{
    char text[CARRIED_NAMES_SIZE];
    *ret = NULL;
    enum fh_code code = ledger_meta_get(work, CARRIED_NAMES, text, sizeof text, error);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), ret, error);
    if (code == FH_OK && !json_is_array(*ret)) {
        json_decref(*ret);
        *ret = json_array();
    }
    return code;
}

static bool is_carried_name(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static enum fh_code write_carried_names(struct store_work *work, const char *const *names,
                                        struct fh_error *error)
{
    json_t *list = json_array();
    for (; *names; names++)
        json_array_append_new(list, json_string(*names));
    char *text = json_text(list);
    enum fh_code code = ledger_meta_put(work, CARRIED_NAMES, text, error);
    json_text_free(text);
    json_decref(list);
    return code;
}

static bool are_carried_names(const json_t *noted, const char *const *names)
{
    size_t count = 0, i;
    const json_t *name;
    while (names[count])
        count++;
    json_array_foreach (noted, i, name) {
        const char *text = json_string_value(name);
        if (!text || !is_carried_name(text, names))
            return false;
    }
    return json_array_size(noted) == count;
}

static enum fh_code note_carried_names(struct store_work *work, const json_t *noted,
                                       const char *const *names, struct fh_error *error)
{
    size_t i;
    const json_t *name;
    enum fh_code code = FH_OK;
    json_array_foreach (noted, i, name) {
        const char *text = json_string_value(name);
        if (code == FH_OK && text && !is_carried_name(text, names))
            code = carried_record_forget_copy(work, text, error);
    }
    return code == FH_OK ? write_carried_names(work, names, error) : code;
}

enum fh_code carried_names_forget(struct store_work *work, struct fh_error *error)
{
    static const char *const none[] = {NULL};
    json_t *noted;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_carried_names(work, &noted, error);
    if (code == FH_OK && json_array_size(noted))
        code = note_carried_names(work, noted, none, error);
    json_decref(noted);
    json_arena_set(arena);
    if (code == FH_OK && engine_can(work->store->engine, ENGINE_MANY_INSTANCES))
        code = carried_alike_forget(work, error);
    return code;
}

static enum fh_code settle_names(struct store *store, enum store_mode mode,
                                 const char *const *names, bool *ret_settled,
                                 struct fh_error *error)
{
    struct store_work *work;
    json_t *noted;
    enum fh_code code = store_begin(store, mode, &work, error);
    if (code != FH_OK)
        return code;
    code = read_carried_names(work, &noted, error);
    *ret_settled = code == FH_OK && are_carried_names(noted, names);
    bool writes = code == FH_OK && mode != STORE_READ && !*ret_settled;
    if (writes)
        code = note_carried_names(work, noted, names, error);
    json_decref(noted);
    CRASH_POINT("carrier.naming");
    if (writes && code == FH_OK)
        code = store_commit(work, error);
    else
        store_rollback(work);
    CRASH_POINT("carrier.named");
    return code;
}

enum fh_code carried_names_settle(struct store *store, const char *const *names,
                                  struct fh_error *error)
{
    bool settled = false;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = settle_names(store, STORE_READ, names, &settled, error);
    if (code == FH_OK && !settled)
        code = settle_names(store, STORE_WRITE_EXCLUSIVE, names, &settled, error);
    json_arena_set(arena);
    return code;
}
