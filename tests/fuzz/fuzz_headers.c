/* SPDX-License-Identifier: Apache-2.0 */
/* Headers: a command's key and attempt, preferences, traces, times, media types and codings, and
 * the fields that a reader of a feed wants: each line is given to all of them. And closings: two
 * lines of still open numbers.
 */

#include "call/trace.h"
#include "event/envelope.h"
#include "event/fields.h"
#include "fuzz.h"
#include "gateway/coding.h"
#include "http/media.h"
#include "http/prefer.h"
#include "work/command.h"
#include "work/command_key.h"

static void read_one(const char *text)
{
    struct fh_error error;
    struct command_key key;
    struct trace trace;
    int64_t number;
    char out[TRACE_SIZE], time[ENVELOPE_TIME_SIZE];
    if (command_key_parse(text, &key, &error) == FH_OK) {
        FH_ASSERT(command_key_check("Idempotency-Key", text, &error) == FH_OK);
        FH_ASSERT(key.number > 0 && strlen(key.caller) < COMMAND_CALLER_SIZE);
    }
    if (command_attempt_parse(text, &number, &error) == FH_OK)
        FH_ASSERT(number >= 1 && number <= COMMAND_ATTEMPT_MAX);
    FH_ASSERT(prefer_wait_s(text) >= 0 && prefer_wait_s(text) <= PREFER_WAIT_S_MAX);
    unsigned char random[TRACE_RANDOM_SIZE] = {1};
    trace_child(text, random, out);
    FH_ASSERT(trace_parse(out, &trace));
    if (envelope_time_parse(text, &number)) {
        envelope_time(time, number);
        FH_ASSERT(strcmp(time, text) == 0);
    }
}

static void read_media(const char *text)
{
    enum coding coding = coding_accepted(text);
    json_t *string = json_string(text);
    FH_ASSERT(coding == CODING_NONE || coding_name(coding));
    FH_ASSERT(!media_fits(text, "text/csv") || !media_is_json(text));
    if (media_is_type(text))
        FH_ASSERT(media_accepted(text, text) && media_fits(text, text));
    (void)media_accepted(text, "text/csv");
    FH_ASSERT(media_is_utf8(text, strlen(text)) == (string != NULL)); /* as jansson has it */
    json_decref(string);
}

static void read_fields(const char *text)
{
    static struct fields fields;
    json_t *list = fuzz_json(text);
    struct text out;
    if (list && fields_parse(list, &fields)) {
        text_init(&out, 1 << 16);
        fields_write(&fields, "A", "{\"id\":1,\"name\":\"x\",\"deep\":{\"id\":[2]}}", &out);
        json_t *written = fuzz_json(out.data);
        FH_ASSERT(json_is_object(written));
        json_decref(written);
        text_release(&out);
    }
    json_decref(list);
}

/* As it is kept: in order, each number once. */
static bool take_closed(int64_t through, const char *open, struct arena *arena,
                        struct ledger_caller *ret)
{
    struct fh_error error;
    struct ledger_caller none = {.still_open = "[]"},
                         told = {.closed_through = through, .still_open = open};
    return command_closed_merge(&none, &told, arena, ret, &error) == FH_OK;
}

static void merge(const char *one, const char *other)
{
    struct arena arena;
    struct fh_error error;
    struct ledger_caller left, right, merged;
    arena_init(&arena, ARENA_SIZE_MAX);
    if (take_closed(9, one, &arena, &left) && take_closed(12, other, &arena, &right)) {
        FH_ASSERT(command_closed_merge(&left, &right, &arena, &merged, &error) == FH_OK);
        FH_ASSERT(merged.closed_through == 12);
        for (int64_t number = 1; number <= 13; number++) /* a closing only closes */
            FH_ASSERT(command_is_closed(&merged, number) ==
                      (command_is_closed(&left, number) || command_is_closed(&right, number)));
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *first = fuzz_take(&data, &size, '\n'), *second = fuzz_rest(&data, &size);
    read_one(first);
    read_one(second);
    read_media(first);
    read_media(second);
    read_fields(first);
    merge(first, second);
    free(first);
    free(second);
    return 0;
}
