/* SPDX-License-Identifier: Apache-2.0 */
/* What a store holds against what was acknowledged: every row is judged once, in the order of its
 * id, which for one key is the order in which the store took it. */

#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_ROWS 5000
#define SHOWN_MAX 20
#define CATCH_UP_MS_MAX 120000 /* without one more row */
#define PAUSE_US 200000

struct row {
    int64_t id, number;
    uint32_t key;
    uint64_t value;
};

struct findings {
    const char *path;
    int64_t lost, doubled, disordered, altered, unknown;
};

static void show(struct findings *findings, const char *what, uint32_t key, int64_t number,
                 int64_t id)
{
    int64_t before = findings->lost + findings->doubled + findings->disordered + findings->altered +
                     findings->unknown;
    if (before < SHOWN_MAX)
        printf("  %s: key k%u, number %" PRId64 ", row %" PRId64 " is %s\n", findings->path, key,
               number, id, what);
}

/* The value of a member of the flat object at `from`, behind its colon. */
static const char *member(const char *from, const char *end, const char *quoted_name)
{
    const char *found = strstr(from, quoted_name);
    if (!found || found > end)
        die("A row has no %s: %.80s", quoted_name, from);
    found += strlen(quoted_name);
    while (*found == ':' || *found == ' ' || *found == '"')
        found++;
    return found;
}

/* The next row of a page, or false behind the last. */
static bool next_row(const char **at, struct row *ret)
{
    const char *begin = strchr(*at, '{');
    const char *end = begin ? strchr(begin, '}') : NULL;
    if (!end)
        return false;
    const char *key = member(begin, end, "\"series\"");
    if (*key != 'k')
        die("A row has an unknown key: %.80s", begin);
    ret->id = strtoll(member(begin, end, "\"id\""), NULL, 10);
    ret->number = strtoll(member(begin, end, "\"number\""), NULL, 10);
    ret->value = strtoull(member(begin, end, "\"value\""), NULL, 16);
    ret->key = (uint32_t)strtoul(key + 1, NULL, 10);
    *at = end + 1;
    return true;
}

static void judge(const struct journal *journal, const struct row *row, bool with_ids,
                  uint8_t *const seen[], uint32_t last[], struct findings *findings)
{
    uint32_t key = row->key;
    if (key >= KEYS || row->number < 1 || row->number > journal->counts[key]) {
        show(findings, "there and was never acknowledged", key, row->number, row->id);
        findings->unknown++;
        return;
    }
    const struct entry *entry = &journal->entries[key][row->number - 1];
    if (entry->value != row->value || (with_ids && entry->id != row->id)) {
        show(findings, "other than what was acknowledged", key, row->number, row->id);
        findings->altered++;
    }
    if (seen[key][row->number - 1]++) {
        show(findings, "there twice", key, row->number, row->id);
        findings->doubled++;
    } else if (row->number != (int64_t)last[key] + 1) {
        show(findings, "out of order", key, row->number, row->id);
        findings->disordered++;
    }
    last[key] = (uint32_t)row->number;
}

static void count_lost(const struct journal *journal, uint8_t *const seen[],
                       struct findings *findings)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t number = 1; number <= journal->counts[key]; number++) {
            if (seen[key][number - 1])
                continue;
            show(findings, "lost", key, number, journal->entries[key][number - 1].id);
            findings->lost++;
        }
    }
}

/* Who judges the rows; NULL `seen`: they are counted only. */
struct reading {
    const struct journal *journal;
    bool with_ids;
    uint8_t *const *seen;
    uint32_t *last; /* number of each key */
    struct findings *findings;
};

/* All rows once, up to an empty page. */
static int64_t read_rows(const struct reading *reading, struct exchange *exchange, uint16_t port)
{
    int64_t after = 0, rows = 0, before;
    do {
        char path[128];
        struct answer answer;
        struct row row;
        snprintf(path, sizeof path, "%s?after=%" PRId64 "&limit=%d", reading->findings->path, after,
                 PAGE_ROWS);
        exchange_get(exchange, port, path, &answer);
        const char *at = answer.body;
        before = rows;
        while (next_row(&at, &row)) {
            if (row.id <= after)
                die("%s gives row %" PRId64 " behind row %" PRId64 ".", path, row.id, after);
            after = row.id;
            rows++;
            if (reading->seen)
                judge(reading->journal, &row, reading->with_ids, reading->seen, reading->last,
                      reading->findings);
        }
    } while (rows > before);
    return rows;
}

/* Until as many rows are there as were acknowledged, or no more come. Only then are they judged:
 * where several works commit side by side, a row may come behind one with a greater id. */
static void catch_up(const struct reading *reading, struct exchange *exchange, uint16_t port)
{
    const struct reading counting = {.findings = reading->findings};
    int64_t most = 0, until = now_ms() + CATCH_UP_MS_MAX;
    while (most < reading->journal->total && now_ms() < until) {
        int64_t rows = read_rows(&counting, exchange, port);
        if (rows > most) {
            most = rows;
            until = now_ms() + CATCH_UP_MS_MAX;
        }
        if (most < reading->journal->total)
            usleep(PAUSE_US);
    }
}

static int64_t read_store(const struct journal *journal, uint16_t port, bool with_ids,
                          uint8_t *const seen[], struct findings *findings)
{
    struct exchange exchange = {.fd = -1};
    struct reading reading = {.journal = journal,
                              .with_ids = with_ids,
                              .seen = seen,
                              .last = calloc(KEYS, sizeof *reading.last),
                              .findings = findings};
    if (!reading.last)
        die("No memory to compare.");
    catch_up(&reading, &exchange, port);
    int64_t rows = read_rows(&reading, &exchange, port);
    exchange_close(&exchange);
    free(exchange.buffer);
    free(reading.last);
    return rows;
}

int64_t compare(const struct journal *journal, uint16_t port, const char *path, bool with_ids)
{
    struct findings findings = {.path = path};
    uint8_t **seen = calloc(KEYS, sizeof *seen);
    for (uint32_t key = 0; seen && key < KEYS; key++) {
        seen[key] = calloc(journal->counts[key] + 1u, 1);
        if (!seen[key])
            die("No memory to compare.");
    }
    if (!seen)
        die("No memory to compare.");
    int64_t rows = read_store(journal, port, with_ids, seen, &findings);
    count_lost(journal, seen, &findings);
    for (uint32_t key = 0; key < KEYS; key++)
        free(seen[key]);
    free(seen);
    printf("%s: %" PRId64 " rows; %" PRId64 " lost, %" PRId64 " doubled, %" PRId64
           " out of order, %" PRId64 " altered, %" PRId64 " never acknowledged\n",
           path, rows, findings.lost, findings.doubled, findings.disordered, findings.altered,
           findings.unknown);
    return findings.lost + findings.doubled + findings.disordered + findings.altered +
           findings.unknown;
}
