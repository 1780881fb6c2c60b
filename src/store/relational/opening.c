/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This process's opening of the store, and the removal of openings that were not seen for a day:
 * see mark.c. It is done over the sequencer's link, each statement separately, whenever the
 * sequencer is called, which happens several times a minute even on an idle store.
 *
 * An opening's row is removed first, then the marks that have no opening: if the process dies in
 * between, the next one removes them. A late or second copy of any of these statements finds
 * nothing, or removes what may be removed at any time.
 */

#include "store/relational/opening.h"

enum fh_code opening_new(struct store *store, const struct opening_words *words,
                         struct marks *marks, const char *process, struct fh_error *error)
{
    int64_t opening = mark_opening_id(store->world);
    struct sql_value values[] = {sql_integer(opening), sql_text(process)};
    enum fh_code code = words->run(store, words->begin, values, 2, NULL, NULL, error);
    if (code != FH_OK)
        return code;
    marks->opening = opening;
    marks->seen_ns = 0;
    return FH_OK;
}

static bool take_seen(void *context, const struct sql_row *row)
{
    (void)row;
    *(bool *)context = true;
    return true;
}

static enum fh_code remove_gone(struct store *store, const struct opening_words *words)
{
    enum fh_code code = FH_OK;
    for (int i = 0; code == FH_OK && words->removals[i]; i++)
        code = words->run(store, words->removals[i], NULL, 0, NULL, NULL, ERROR_UNHEEDED);
    return code == FH_OK && words->remove ? words->remove(store) : code;
}

void opening_keep(struct store *store, const struct opening_words *words, struct marks *marks,
                  const char *process)
{
    if (!marks_are_due(marks, store->world))
        return;
    bool seen = false;
    struct sql_value values[] = {sql_integer(marks->opening)};
    enum fh_code code = words->run(store, words->seen, values, 1, take_seen, &seen, ERROR_UNHEEDED);
    if (code == FH_OK && words->look)
        code = words->run(store, words->look, values, 1, take_seen, &seen, ERROR_UNHEEDED);
    if (code == FH_OK && !seen)
        code = opening_new(store, words, marks, process, ERROR_UNHEEDED);
    if (code == FH_OK)
        code = remove_gone(store, words);
    if (code == FH_OK)
        marks->seen_ns = world_monotonic_ns(store->world);
}
