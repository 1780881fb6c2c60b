/* SPDX-License-Identifier: Apache-2.0 */
/* Failures in a row are one trouble, which ends with the first unit of work that succeeds. A store
 * that fails under load fails thousands of times a second: the log gets one line a minute. */

#include "work/trouble.h"

#include <string.h>

#include "base/log.h"

#define TELL_EVERY_NS (INT64_C(60) * 1000000000)
#define LASTED_NS (INT64_C(1) * 1000000000) /* the end of a shorter one is not worth a line */

static const char *const trouble_kind_names[TROUBLE_KINDS] = {
    [TROUBLE_READS] = "reads", [TROUBLE_WRITES] = "writes"};

static void trouble_failed(struct trouble *trouble, enum trouble_kind kind, int64_t now_ns,
                           const struct fh_error *error)
{
    if (!trouble->failures++)
        trouble->since_ns = now_ns;
    trouble->last_ns = now_ns;
    memcpy(trouble->message, error->message, sizeof trouble->message);
    if (trouble->told_ns && now_ns - trouble->told_ns < TELL_EVERY_NS)
        return;
    trouble->told_ns = now_ns;
    trouble->told = true;
    if (kind == TROUBLE_READS)
        log_warning("store-reads-failed", "The store answers no reads: %s", error->message);
    else
        log_warning("store-writes-failed", "The store takes no transactions: %s", error->message);
}

static void trouble_passed(struct trouble *trouble, enum trouble_kind kind, int64_t now_ns)
{
    int64_t lasted_ns = now_ns - trouble->since_ns;
    long long lasted_s = lasted_ns / 1000000000;
    unsigned long long failures = trouble->failures;
    if (trouble->told && lasted_ns >= LASTED_NS && kind == TROUBLE_READS)
        log_info("store-reads-resumed",
                 "The store answers reads again, after %lld s in which %llu attempts failed.",
                 lasted_s, failures);
    else if (trouble->told && lasted_ns >= LASTED_NS)
        log_info("store-writes-resumed",
                 "The store takes transactions again, after %lld s in which %llu attempts failed.",
                 lasted_s, failures);
    trouble->failures = 0;
    trouble->told = false;
}

void trouble_note(struct trouble troubles[static TROUBLE_KINDS], enum trouble_kind kind,
                  struct world *world, enum fh_code code, const struct fh_error *error)
{
    struct trouble *trouble = &troubles[kind];
    if (code == FH_UNAVAILABLE)
        trouble_failed(trouble, kind, world_monotonic_ns(world), error);
    else if (code == FH_OK && trouble->failures)
        trouble_passed(trouble, kind, world_monotonic_ns(world));
}

/* A server's message may be cut in the middle of a character. */
static json_t *trouble_text(const char *text)
{
    size_t length = strlen(text);
    json_t *value = json_string(text);
    for (size_t cut = 1; !value && cut <= 4 && cut <= length; cut++)
        value = json_stringn(text, length - cut);
    return value ? value : json_string("");
}

json_t *trouble_show(const struct trouble troubles[static TROUBLE_KINDS], struct world *world)
{
    json_t *shown = json_object();
    int64_t now_ns = world_monotonic_ns(world);
    for (int kind = 0; kind < TROUBLE_KINDS; kind++) {
        const struct trouble *trouble = &troubles[kind];
        if (!trouble->failures)
            continue;
        json_t *one = json_pack("{s:o, s:I, s:I, s:I}", "why", trouble_text(trouble->message),
                                "failures", (json_int_t)trouble->failures, "since_ms",
                                (json_int_t)((now_ns - trouble->since_ns) / 1000000), "last_ms",
                                (json_int_t)((now_ns - trouble->last_ns) / 1000000));
        json_object_set_new(shown, trouble_kind_names[kind], one);
    }
    return shown;
}
