/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script that makes a work happen, whole or not at all. The server runs one script at a time
 * and nothing beside it, but a script that fails midway keeps what it wrote. So it checks
 * everything first and writes last:
 *
 * - Its first line lets the server refuse it before it begins where memory is full, the disk takes
 *   nothing, or the server is a replica.
 * - The work's own id: who sends works as SLOT of LIFE numbers them. A number that is not above the
 *   last one there was done already (its answer is repeated) or shall never be done.
 * - K, T, H, R: what the work has read is still so. A: what it counts can be counted.
 * - W: every key that will be written has the right kind or is not there, and the user's rights
 *   allow each command on it. So nothing that follows can fail.
 * - Then events get the next positions, the first of them before anything else is written: should
 *   the stream refuse it, there is no trace. Then the operations, in order; the id last.
 *
 * A key whose time has come by the work's clock, though not by the server's, is taken for missing,
 * and removed before it is written.
 *
 * Nobody but an administrator may list a server's keys, so the names of the service's own stand in
 * a sorted set, `keys`: every key that is there has its name in it, with a score that is not above
 * the time at which the key ends (inf: never). It is brought up to date for keys that come, that
 * something is taken away from, or that are to end earlier than before; what ended by itself is
 * left to the sweep (redis_list.c).
 *
 *     ARGV: mode, prefix, life, slot, number, now_ms,
 *           checks: count, each a letter and its words
 *           operations: count, each "C" words | "S" key text keeps_time | "L" name: for the
 *             sweep, which removes what has ended by its clock |
 *             "P" hash order low high: all members of the order within, and their fields
 *           events: count, each key, fields of the stream's entry, rows
 *     modes: "work"; "look", which only checks; "settle", which asks what became of a work and, if
 *     it has not come, sees to it that it never will
 *     answers: {"done", first position} | {"never"} | {"again"} | {"kind", key, is, wanted} |
 *              {"number", key} | {"sum", key} | {"right", command}
 */

#include "store/keyvalue/redis.h"

#include <stdio.h>

/* clang-format off */
static const char reading[] =
"#!lua\n"
"local at = 0\n"
"local function take() at = at + 1 return ARGV[at] end\n"
"local function count() return tonumber(take()) end\n"
"local function words()\n"
"  local list = {}\n"
"  for i = 1, count() do list[i] = take() end\n"
"  return list\n"
"end\n"
"local function whole(number) return string.format('%.0f', number) end\n"
"local mode, prefix, life = take(), take(), take()\n"
"local slot, number, now = take(), count(), count()\n"
"local works = prefix .. ':fh:work:' .. life\n"
"local known = mode ~= 'look' and redis.call('HGET', works, slot)\n"
"if known then\n"
"  local last, became, position = string.match(known, '^(%d+) (%a+) (%d+)$')\n"
"  if tonumber(last) > number then return {'never'} end\n"
"  if tonumber(last) == number then return {became, position} end\n"
"end\n"
"local function settled(became, position)\n"
"  redis.call('HSET', works, slot, whole(number) .. ' ' .. became .. ' ' .. position)\n"
"  if not known or number % 64 == 0 then redis.call('PEXPIRE', works, 86400000) end\n"
"  return {became, position}\n"
"end\n"
"if mode == 'settle' then return settled('never', '0') end\n";

static const char checking[] =
"local function text(reply)\n"
"  local kind = type(reply)\n"
"  if kind == 'string' then return '$' .. #reply .. ':' .. reply end\n"
"  if kind == 'number' then return ':' .. whole(reply) .. ';' end\n"
"  if kind ~= 'table' then return '_' end\n"
"  if reply.ok then return '$' .. #reply.ok .. ':' .. reply.ok end\n"
"  local parts = {}\n"
"  for i = 1, #reply do parts[i] = text(reply[i]) end\n"
"  return '*' .. #parts .. ':' .. table.concat(parts)\n"
"end\n"
/* What a key is at `now`, whether it is there all the same, and when it ends: asked once, since
 * nothing is written before all is checked. */
"local kinds = {}\n"
"local function kind_of(key)\n"
"  local known = kinds[key]\n"
"  if not known then\n"
"    known = {redis.call('TYPE', key).ok, false}\n"
"    if known[1] ~= 'none' then\n"
"      known[3] = redis.call('PEXPIRETIME', key)\n"
"      if known[3] >= 0 and known[3] <= now then known = {'none', true} end\n"
"    end\n"
"    kinds[key] = known\n"
"  end\n"
"  return known[1], known[2], known[3]\n"
"end\n"
/* The service's keys among those that are written: `listed` has them with their names as far as the
 * list of all keys may have to change; `ending` with the times at which they ended so far. */
"local served, listed, ending = prefix .. ':kv:', {}, {}\n"
"local function list(key)\n"
"  if string.sub(key, 1, #served) == served then listed[key] = string.sub(key, #served + 1) end\n"
"end\n"
"local gone = {}\n"
"local checks = {}\n"
"function checks.K() local key = take() return kind_of(key) == take() end\n"
"function checks.T() local key = take() return redis.call('PEXPIRETIME', key) == count() end\n"
"function checks.H()\n"
"  local key, list = take(), words()\n"
"  local reply, fields = redis.call('HGETALL', key), {}\n"
"  if #reply ~= #list then return false end\n"
"  for i = 1, #reply, 2 do fields[reply[i]] = reply[i + 1] end\n"
"  for i = 1, #list, 2 do\n"
"    if fields[list[i]] ~= list[i + 1] then return false end\n"
"  end\n"
"  return true\n"
"end\n"
"function checks.R()\n"
"  local expected, reply = take(), redis.pcall(unpack(words()))\n"
"  return not (type(reply) == 'table' and reply.err) and text(reply) == expected\n"
"end\n"
"function checks.A()\n"
"  local key, delta = take(), count()\n"
"  local kind = kind_of(key)\n"
"  if kind ~= 'none' and kind ~= 'string' then return true end\n" /* W says so */
"  local value = kind == 'none' and '0' or redis.call('GET', key)\n"
"  if not string.match(value, '^-?%d+$') or #value > 17 then return true, {'number', key} end\n"
"  if math.abs(tonumber(value) + delta) > 9007199254740991 then return true, {'sum', key} end\n"
"  return true\n"
"end\n"
"function checks.W()\n"
"  local key, wanted = take(), take()\n"
"  local kind, over, ends = kind_of(key)\n"
"  if over then gone[#gone + 1] = key end\n"
"  if kind == 'none' then list(key) else ending[key] = ends end\n"
"  if wanted == 'any' or kind == 'none' or kind == wanted then return true end\n"
"  return true, {'kind', key, kind, wanted}\n"
"end\n"
"local why\n"
"for i = 1, count() do\n"
"  local holds, refusal = checks[take()]()\n"
"  if not holds then return {'again'} end\n"
"  why = why or refusal\n"
"end\n"
"if why then return why end\n"
"if mode == 'look' then return {'done', '0'} end\n";

static const char writing[] =
"local denied\n"
"local function allowed(...)\n"
"  if not redis.acl_check_cmd(...) then denied = denied or select(1, ...) end\n"
"end\n"
"local operations = {}\n"
"local ends = {DEL = true, HDEL = true, ZREM = true}\n"
"local done, sweeps = 0, false\n"
"for i = 1, count() do\n"
"  local letter = take()\n"
"  if letter == 'L' then\n"
"    sweeps = true\n"
"    list(served .. take())\n"
"  elseif letter == 'C' then\n"
"    local each = words()\n"
"    done = done + 1\n"
"    operations[done] = each\n"
"    allowed(unpack(each))\n"
"    local before = each[1] == 'PEXPIREAT' and ending[each[2]]\n"
"    if ends[each[1]] or before and (before < 0 or tonumber(each[3]) < before) then\n"
"      list(each[2])\n"
"    end\n"
"  elseif letter == 'P' then\n"
"    done = done + 1\n"
"    operations[done] = {hash = take(), order = take(), low = take(), high = take()}\n"
"    allowed('HDEL', operations[done].hash, 'a')\n"
"    allowed('ZREM', operations[done].order, 'a')\n"
"    allowed('ZRANGEBYLEX', operations[done].order, '-', '+')\n"
"  else\n"
"    done = done + 1\n"
"    operations[done] = {key = take(), text = take(), keeps = take() == '1'}\n"
"    allowed('SET', operations[done].key, operations[done].text)\n"
"  end\n"
"end\n"
"for i = 1, #gone do allowed('DEL', gone[i]) end\n"
"allowed('HSET', works, slot, '0')\n"
"allowed('PEXPIRE', works, '1')\n"

"local names = prefix .. ':fh:keys'\n"
"if next(listed) then\n"
"  redis.call('ZCARD', names)\n"
"  allowed('ZADD', names, '0', 'a')\n"
"  allowed('ZREM', names, 'a')\n"
"end\n"

"local counter, outbox = prefix .. ':fh:counter', prefix .. ':fh:outbox'\n"
"local place = prefix .. ':fh:place'\n"
"local events, rows, first = {}, {}, 0\n"
"local wanted = count()\n"
"if wanted > 0 then\n"
"  first = tonumber(redis.call('GET', counter) or '0') + 1\n"
"  redis.call('HLEN', place)\n"
"  redis.call('XLEN', outbox)\n"
"  allowed('SET', counter, '1')\n"
"  allowed('HSET', place, 'a', 'b')\n"
"  allowed('XADD', outbox, '1-0', 'a', 'b')\n"
"end\n"
"for i = 1, wanted do\n"
"  events[i] = {key = take(), fields = words()}\n"
"  local position = string.format('%019.0f', first + i - 1)\n"
"  for j = 1, count() do\n"
"    local row = {}\n"
"    for k = 1, count() do\n"
"      local before, marked, behind = take(), take(), take()\n"
"      row[k] = before .. (marked == '1' and position or '') .. behind\n"
"    end\n"
"    allowed(unpack(row))\n"
"    rows[#rows + 1] = row\n"
"  end\n"
"end\n"
"if sweeps then allowed('DEL', (next(listed))) end\n"
"if denied then return {'right', denied} end\n"

"for i = 1, #events do\n"
"  local event, position = events[i], whole(first + i - 1)\n"
"  local fields = event.fields\n"
"  fields[#fields + 1] = 'prev'\n"
"  fields[#fields + 1] = redis.call('HGET', place, event.key) or '0'\n"
"  redis.call('XADD', outbox, position .. '-0', unpack(fields))\n"
"  redis.call('HSET', place, event.key, position)\n"
"end\n"
"if #events > 0 then redis.call('SET', counter, whole(first + #events - 1)) end\n"
"for i = 1, #rows do redis.call(unpack(rows[i])) end\n"
"for i = 1, #gone do redis.call('DEL', gone[i]) end\n"
"for i = 1, #operations do\n"
"  local each = operations[i]\n"
"  if each.hash then\n"
"    local members = redis.call('ZRANGEBYLEX', each.order, each.low, each.high)\n"
"    for j = 1, #members do\n"
"      redis.call('HDEL', each.hash, members[j])\n"
"      redis.call('ZREM', each.order, members[j])\n"
"    end\n"
"  elseif not each.key then\n"
"    redis.call(unpack(each))\n"
"  elseif each.keeps and redis.call('TYPE', each.key).ok == 'string' then\n"
"    redis.call('SET', each.key, each.text, 'KEEPTTL')\n"
"  else\n"
"    redis.call('SET', each.key, each.text)\n"
"  end\n"
"end\n"
"for key, name in pairs(listed) do\n"
"  local ends = redis.call('PEXPIRETIME', key)\n"
"  if sweeps and ends >= 0 and ends <= now then redis.call('DEL', key) ends = -2 end\n"
"  if ends == -2 then\n"
"    redis.call('ZREM', names, name)\n"
"  else\n"
"    redis.call('ZADD', names, ends < 0 and 'inf' or whole(ends), name)\n"
"  end\n"
"end\n"
"return settled('done', whole(first))\n";
/* clang-format on */

const char *redis_script(void)
{
    static char script[sizeof reading + sizeof checking + sizeof writing];
    if (!script[0])
        snprintf(script, sizeof script, "%s%s%s", reading, checking, writing);
    return script;
}
