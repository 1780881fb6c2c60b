/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partitions of a subscription all read the same outbox, each for its own fraction of the
 * events, mostly within the same second. So rows that were read are kept for a while, in chunks of
 * ascending positions, and each row is read from the store once for all partitions. One fiber reads
 * on while the others wait for it.
 *
 *     chunk   every row in (from, through]; the next one's `from` is this one's `through`
 *
 * A row that has its position never changes, so it does not matter in whose snapshot it was read:
 * each reader visits only rows within its own snapshot, up to its `last`. Whether the reader's
 * cursor is a place in this store at all is judged before, in its own snapshot (reader.c).
 *
 * But a server can go back in time: a standby without the last commits takes over, and other events
 * get their positions. So a fiber that reads on reads the last kept row once more. If another event
 * is in its place, all chunks are dropped, and readers that have visited rows of them report an
 * error instead.
 *
 * Bounded by rows, chunks and bytes; the oldest chunk goes first. A reader further back than all
 * chunks reads from the store separately. All of it is in memory: a process that dies loses
 * nothing.
 */

#include "event/outbox/slice.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE_MAX (SLICE_SIZE_MAX / 4) /* no row is added to a chunk larger than this */

struct chunk {
    struct arena arena; /* of the rows' texts */
    int64_t from, through;
    int count;
    struct ledger_event rows[SLICE_CHUNK_ROWS_MAX];
};

struct event_slices {
    struct chunk *chunks[SLICE_CHUNKS_MAX + 1];
    int count;
    bool reading;  /* a fiber is reading what follows the last chunk */
    unsigned past; /* how often kept rows turned out to be no longer valid */
    struct fiber_queue readers;
};

static struct event_slices *slices_of(struct event_manager *manager)
{
    if (!manager->slices) {
        manager->slices = calloc(1, sizeof *manager->slices);
        FH_ASSERT(manager->slices != NULL);
    }
    return manager->slices;
}

static struct chunk *chunk_new(int64_t after)
{
    struct chunk *chunk = malloc(sizeof *chunk);
    FH_ASSERT(chunk != NULL);
    chunk->from = chunk->through = after;
    chunk->count = 0;
    arena_init(&chunk->arena, ARENA_SIZE_MAX);
    return chunk;
}

static void chunk_free(struct chunk *chunk)
{
    arena_release(&chunk->arena);
    free(chunk);
}

static size_t chunk_size(const struct chunk *chunk)
{
    return sizeof *chunk + chunk->arena.size;
}

static void drop_first_chunk(struct event_slices *slices)
{
    chunk_free(slices->chunks[0]);
    slices->count--;
    memmove(slices->chunks, slices->chunks + 1, (size_t)slices->count * sizeof *slices->chunks);
}

static void drop_all_chunks(struct event_slices *slices)
{
    while (slices->count)
        drop_first_chunk(slices);
}

/* Frees chunks down to the limits, but never the last one. */
static void bound_chunks(struct event_slices *slices)
{
    size_t size = 0;
    for (int i = 0; i < slices->count; i++)
        size += chunk_size(slices->chunks[i]);
    while (slices->count > 1 && (slices->count > SLICE_CHUNKS_MAX || size > SLICE_SIZE_MAX)) {
        size -= chunk_size(slices->chunks[0]);
        drop_first_chunk(slices);
    }
}

/* The chunk that has the row after `after`, or NULL. */
static const struct chunk *find_chunk(const struct event_slices *slices, int64_t after)
{
    for (int i = slices->count - 1; i >= 0; i--) {
        const struct chunk *chunk = slices->chunks[i];
        if (chunk->from <= after)
            return after < chunk->through ? chunk : NULL;
    }
    return NULL;
}

/* ---- Reading on ---- */

static bool is_internal(const char *type)
{
    return strncmp(type, SLICE_INTERNAL_PREFIX, sizeof SLICE_INTERNAL_PREFIX - 1) == 0;
}

static const char *keep_text(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_try_alloc(arena, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

struct reading {
    struct chunk *chunk;            /* the one that grows */
    const struct ledger_event *end; /* the last kept row, or NULL; read once more */
    bool gone;                      /* another event is in its place now */
};

/* False: there is no room for more in this chunk. */
static bool keep_chunk_row(void *context, const struct ledger_event *event)
{
    struct reading *reading = context;
    struct chunk *chunk = reading->chunk;
    struct arena *arena = &chunk->arena;
    struct ledger_event row = *event;
    if (reading->end && event->position == reading->end->position) {
        reading->gone = strcmp(event->id, reading->end->id) != 0;
        return !reading->gone;
    }
    if (chunk->count == SLICE_CHUNK_ROWS_MAX || (chunk->count && arena->size > CHUNK_SIZE_MAX))
        return false;
    row.next = NULL;
    row.id = keep_text(arena, event->id);
    row.type = keep_text(arena, event->type);
    row.key = keep_text(arena, event->key);
    row.data = is_internal(event->type) ? "" : keep_text(arena, event->data);
    row.trace = event->trace ? keep_text(arena, event->trace) : NULL;
    if (!row.id || !row.type || !row.key || !row.data || (event->trace && !row.trace))
        return false; /* no memory */
    chunk->rows[chunk->count++] = row;
    chunk->through = event->position;
    return true;
}

/* The chunk to extend after `after`: the last one, or a new one. Chunks that do not end at `after`
 * are useless now, and are dropped. */
static struct chunk *chunk_after(struct event_slices *slices, int64_t after)
{
    struct chunk *last = slices->count ? slices->chunks[slices->count - 1] : NULL;
    if (last && last->through != after) {
        drop_all_chunks(slices);
    } else if (last && last->count < SLICE_CHUNK_ROWS_MAX / 2) {
        return last;
    }
    bound_chunks(slices);
    return slices->chunks[slices->count++] = chunk_new(after);
}

static const struct ledger_event *end_of(const struct event_slices *slices)
{
    for (int i = slices->count - 1; i >= 0; i--) {
        const struct chunk *chunk = slices->chunks[i];
        if (chunk->count)
            return &chunk->rows[chunk->count - 1];
    }
    return NULL;
}

/* Reads rows after `after`, for all readers. */
static enum fh_code read_next_chunk(struct event_slices *slices, struct store_work *work,
                                    int64_t after, struct fh_error *error)
{
    struct reading reading = {.chunk = chunk_after(slices, after), .end = end_of(slices)};
    int limit = SLICE_CHUNK_ROWS_MAX - reading.chunk->count + (reading.end != NULL);
    slices->reading = true;
    enum fh_code code = ledger_outbox_read(work, reading.end ? after - 1 : after, limit,
                                           keep_chunk_row, &reading, error);
    slices->reading = false;
    slices->past += reading.gone;
    if (reading.gone)
        drop_all_chunks(slices);
    else
        bound_chunks(slices);
    fiber_wake_all(&slices->readers);
    return code;
}

/* ---- Visiting kept rows ---- */

static int first_row_after(const struct chunk *chunk, int64_t after)
{
    int low = 0, high = chunk->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (chunk->rows[middle].position <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct passing {
    int64_t at, last;
    int left;
    bool (*visit)(void *context, const struct ledger_event *event);
    void *context;
};

/* False: no more are wanted. */
static bool pass_chunk_rows(struct passing *passing, const struct chunk *chunk)
{
    for (int i = first_row_after(chunk, passing->at); i < chunk->count; i++) {
        const struct ledger_event *row = &chunk->rows[i];
        if (passing->left-- == 0 || row->position > passing->last)
            return false;
        passing->at = row->position;
        if (!passing->visit(passing->context, row))
            return false;
    }
    return true;
}

enum fh_code slice_read(struct event_manager *manager, struct store_work *work, int64_t after,
                        int64_t last, int limit,
                        bool (*visit)(void *context, const struct ledger_event *event),
                        void *context, struct fh_error *error)
{
    struct event_slices *slices = slices_of(manager);
    struct passing passing = {after, last, limit, visit, context};
    unsigned past = slices->past;
    for (bool read = false; passing.left > 0 && passing.at < last;) {
        if (slices->past != past)
            return error_set(error, FH_UNAVAILABLE,
                             "The store's server has lost events that others have already read.");
        const struct chunk *chunk = find_chunk(slices, passing.at);
        bool behind = slices->count && passing.at < slices->chunks[0]->from;
        if (chunk) {
            read = false;
            if (!pass_chunk_rows(&passing, chunk))
                return FH_OK;
        } else if (behind || read) { /* too far back, or a row too large to be kept */
            return ledger_outbox_read(work, passing.at, passing.left, visit, context, error);
        } else if (slices->reading) {
            fiber_wait(&slices->readers);
        } else {
            enum fh_code code = read_next_chunk(slices, work, passing.at, error);
            if (code != FH_OK)
                return code;
            read = true;
        }
    }
    return FH_OK;
}

/* ---- The end ---- */

void slice_rest(struct event_manager *manager)
{
    struct event_slices *slices = manager->slices;
    size_t size = 0;
    if (!slices || slices->reading)
        return;
    for (int i = 0; i < slices->count; i++)
        size += chunk_size(slices->chunks[i]);
    while (size > SLICE_RESTING_SIZE_MAX && slices->count) {
        size -= chunk_size(slices->chunks[0]);
        drop_first_chunk(slices);
    }
}

void slice_free(struct event_manager *manager)
{
    if (manager->slices)
        drop_all_chunks(manager->slices);
    free(manager->slices);
    manager->slices = NULL;
}
