/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets that several processes share (store/counters.h): a key for each that is not full,
 * PREFIX:limits:NAME, with its debt as "TOKENS PART SINCE": whole tokens, the rest in the units of
 * base/bucket.h, and the server's time in microseconds. It expires when the bucket is full.
 *
 * A call is one script. Lua has only doubles, which are exact up to 2^53, 9.0e15, and a debt goes
 * up to 1.7e17. Hence the two halves of it; and what comes back in `elapsed` is multiplied in
 * pieces of 65536 us: with a quota of at most 1e6 and a window of at most 8.64e10 us the largest
 * number on the way is window * 65536, 5.7e15. fmod is exact, and what is divided after it has no
 * remainder.
 *
 * The server is one for counters alone, or some other system's: it need not keep anything, and so
 * nothing is asked of its settings. Whatever it answers is checked before it is told to anybody.
 */

#include <stdlib.h>

#include "base/bucket.h"
#include "base/json.h"
#include "engine/redis/internal.h"

#define ANSWER_SIZE_MAX ((size_t)256 << 10) /* 2 integers a bucket */
#define TOKENS_OF(take, units) ((units) / (take)->window_us)
#define PART_OF(take, units) ((units) % (take)->window_us)

_Static_assert(BUCKET_DEBT_QUOTAS == 2, "the script says 2");
_Static_assert((int64_t)BUCKET_WINDOW_S_MAX * 1000000 <
                   (INT64_C(1) << 53) / 65536 - BUCKET_QUOTA_MAX,
               "the script's numbers are exact");

struct counters {
    struct redis redis; /* of which only the connection is used */
};

static const char script[] =
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000000 + time[2]\n"
    "local debts = {}\n"
    "local function divide(number, by)\n"
    "  local rest = math.fmod(number, by)\n"
    "  return (number - rest) / by, rest\n"
    "end\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local quota, window = tonumber(ARGV[i * 4 - 3]), tonumber(ARGV[i * 4 - 2])\n"
    "  local tokens, part = 0, 0\n"
    "  local kept = redis.pcall('GET', key)\n"
    "  if type(kept) == 'string' then\n"
    "    local t, p, since = string.match(kept, '^(%d+) (%d+) (%d+)$')\n"
    "    local elapsed = t and math.max(now - tonumber(since), 0)\n"
    "    if t and elapsed < 2 * window then\n"
    "      local high, low = divide(elapsed, 65536)\n"
    "      local whole, rest = divide(high * quota, window)\n"
    "      local more, back = divide(rest * 65536 + low * quota, window)\n"
    "      tokens = tonumber(t) - whole * 65536 - more\n"
    "      part = tonumber(p) - back\n"
    "      if part < 0 then tokens, part = tokens - 1, part + window end\n"
    "      if tokens < 0 then tokens, part = 0, 0 end\n"
    "    end\n"
    "  end\n"
    "  tokens = tokens + tonumber(ARGV[i * 4 - 1])\n"
    "  part = part + tonumber(ARGV[i * 4])\n"
    "  if part >= window then tokens, part = tokens + 1, part - window end\n"
    "  if tokens >= 2 * quota or part >= window then tokens, part = 2 * quota, 0 end\n"
    "  debts[i * 2 - 1], debts[i * 2] = tokens, part\n"
    "  local full = math.ceil((tokens * window + part) / quota / 1000) + 1\n"
    "  redis.call('SET', key, string.format('%.0f %.0f %.0f', tokens, part, now),\n"
    "             'PX', string.format('%.0f', full))\n"
    "end\n"
    "return debts\n";

/* ---- Opening ---- */

static void counters_close(struct counters *counters)
{
    redis_connections_release(&counters->redis);
    free(counters);
}

static enum fh_code counters_open(const json_t *server, struct world *world, struct counters **ret,
                                  struct fh_error *error)
{
    enum fh_code code = redis_load(error);
    if (code)
        return code;
    struct counters *counters = calloc(1, sizeof *counters);
    FH_ASSERT(counters != NULL);
    struct redis *redis = &counters->redis;
    redis->store.world = world;
    redis->session = redis_log_in;
    redis->answer_ms = COUNTERS_ANSWER_MS;
    redis->answer_size_max = ANSWER_SIZE_MAX;
    code = redis_options_read(server, &redis->options, error);
    redis->options.connections = 1;
    if (!code)
        code = redis_trust_new(&redis->options.tls, &redis->trust, error);
    if (!code) {
        redis_connections_init(redis);
        *ret = counters;
    } else {
        counters_close(counters);
    }
    return code;
}

static enum fh_code counters_connect(struct counters *counters, struct fh_error *error)
{
    return redis_connect(&counters->redis, error);
}

/* ---- Taking ---- */

static void add_call(struct redis_words *words, const struct redis *redis,
                     const struct counter_take *takes, size_t count)
{
    redis_word(words, "EVAL");
    redis_word(words, script);
    redis_word_number(words, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        char *key = redis_name(redis, "limits", takes[i].name);
        redis_word(words, key);
        free(key);
    }
    for (size_t i = 0; i < count; i++) {
        redis_word_number(words, takes[i].quota);
        redis_word_number(words, takes[i].window_us);
        redis_word_number(words, TOKENS_OF(&takes[i], takes[i].units));
        redis_word_number(words, PART_OF(&takes[i], takes[i].units));
    }
}

static bool read_debt(const redisReply *reply, size_t index, struct counter_take *take)
{
    const redisReply *tokens = redis_at(reply, index * 2), *part = redis_at(reply, index * 2 + 1);
    int64_t most = BUCKET_DEBT_QUOTAS * take->quota;
    if (!redis_is(tokens, REDIS_REPLY_INTEGER) || !redis_is(part, REDIS_REPLY_INTEGER))
        return false;
    if (tokens->integer < 0 || part->integer < 0 || part->integer >= take->window_us ||
        tokens->integer > most || (tokens->integer == most && part->integer > 0))
        return false;
    take->debt = tokens->integer * take->window_us + part->integer;
    return true;
}

static enum fh_code read_debts(const redisReply *reply, struct counter_take *takes, size_t count,
                               struct fh_error *error)
{
    if (redis_is(reply, REDIS_REPLY_ERROR))
        return redis_refused(reply, "to count what clients take", error);
    bool possible = redis_is(reply, REDIS_REPLY_ARRAY) && reply->elements == count * 2;
    for (size_t i = 0; i < count && possible; i++)
        possible = read_debt(reply, i, &takes[i]);
    return possible ? FH_OK
                    : error_set(error, FH_UNAVAILABLE,
                                "The Redis server answered with what can't be a count.");
}

static enum fh_code counters_take(struct counters *counters, struct counter_take *takes,
                                  size_t count, struct fh_error *error)
{
    struct redis *redis = &counters->redis;
    struct redis_words words, commands;
    redisReply *reply;
    FH_ASSERT(count > 0 && count <= COUNTERS_TAKES_MAX);
    redis_words_init(&words);
    redis_words_init(&commands);
    add_call(&words, redis, takes, count);
    redis_command_of(&commands, &words);
    enum fh_code code = redis_ask(redis, &commands, &reply, error);
    redis_words_release(&words);
    redis_words_release(&commands);
    if (code)
        return code;
    code = read_debts(reply, takes, count, error);
    hiredis.freeReplyObject(reply);
    return code;
}

const struct counters_ops redis_counters = {
    .open = counters_open,
    .close = counters_close,
    .connect = counters_connect,
    .take = counters_take,
};
