/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script that commits units of work, each as a whole or not at all. The server runs one script
 * at a time and nothing concurrently, but a script that fails midway keeps what it wrote. So for
 * each unit of work it checks everything first and writes last:
 *
 * - Its first line lets the server refuse it before it begins if memory is full, the disk rejects
 *   writes, or the server is a replica.
 * - The call's own id: the sender, SLOT of LIFE (its session), numbers its calls. A number that is
 *   not above the slot's last was done already (its answers are repeated) or must never be done.
 *   For a session that it does not know it does nothing: the record of its calls may be gone.
 * - K, T, H, R: everything that the unit of work has read is unchanged. (H compares a whole hash,
 *   sent as one word, and thereby checks that it is one and has not ended.) A: a counter can be
 *   changed by the given amount.
 * - W: every other key to be written has the right kind or does not exist. And the user's rights
 *   allow each command. So nothing after this can fail.
 * - Then events get the next positions, the first of them before anything else is written: if the
 *   stream refuses it, there is no trace. Then the operations, in order.
 * - The next unit of work sees the changes of this one. One that can't be done, or that even fails,
 *   gets that as its answer and leaves no trace; the others are committed. The id, with the outcome
 *   of each, comes last.
 *
 * A key that has ended by the unit of work's clock, though not by the server's, counts as missing,
 * and is removed before it is written.
 *
 * Only an administrator may list a server's keys, so the names of the service's own are in a
 * sorted set, `keys`: every existing key has its name in it, with a score not above the time at
 * which the key ends (inf: never). The script updates it for keys that are created, that lose
 * content, or whose end moves earlier; expired keys are left to the sweep (list.c).
 */

#include "engine/redis/internal.h"

#include <stdio.h>

/* clang-format off */
/*
 * ARGV: mode, prefix, life, slot, number, works: count, each its shape, now_ms, and the words of
 *       its steps and events, one after the other
 * mode: "work"; "look", which only checks; "settle", which asks for the outcome of the units of
 *       work and, if they have not arrived, makes sure that they are never done; "born", which
 *       registers the life (session id)
 *
 * shape: "CHECKS;OPERATIONS;EVENTS;WORDS". Most units of work of a call have the same one; it is
 *       parsed once: of each check and operation its letter and its number of words, as in "H3W2";
 *       then the number of events, and of their words.
 *   checks: K key kind | T key time_ms | H key size whole | R answer and its question |
 *       A key delta | W key kind
 *   operations: C a command | S key text keeps_time | L name: for the sweep, which removes keys
 *       that have ended by its clock | P hash order low high: all members of the order within, and
 *       their fields
 *   events: each key, fields of the stream's entry, rows
 *
 * answer: "gone": the life is not known (any more), and nothing was done. Or the number, and for
 *       each unit of work " done FIRST_POSITION" or " never 0"; beyond its end: never. Or, if one
 *       of them failed just now, for each one {"done", first position} | {"again"} |
 *       {"kind", key, is, wanted} | {"number", key} | {"sum", key} | {"right", command} | an error
 */
static const char reading[] =
"#!lua\n"
"local argv, call, can = ARGV, redis.call, redis.acl_check_cmd\n"
"local mode, prefix, slot, number = argv[1], argv[2], argv[4], tonumber(argv[5])\n"
"local works, recorded = prefix .. ':fh:work:' .. argv[3], {argv[5]}\n"
"local function told() return table.concat(recorded, ' ') end\n"
"local function keep() call('PEXPIRE', works, 2592000000) end\n"
"if mode == 'born' then call('HSET', works, '0', mode) keep() return mode end\n"
"local known = mode ~= 'look' and call('HGET', works, slot)\n"
"if not known and mode ~= 'look' and not call('HGET', works, '0') then return 'gone' end\n"
"local last = known and tonumber(string.match(known, '^%d+'))\n"
"if last and last >= number then return last == number and known or argv[5] end\n"
"local function record()\n"
"  call('HSET', works, slot, told())\n"
"  if not known or number % 64 == 0 then keep() end\n"
"end\n"
"if mode == 'settle' then record() return told() end\n"
"local base, now, wrote, served, names = 7, 0, false, prefix .. ':kv:', prefix .. ':fh:keys'\n"
/* For each step its letter, and the offsets of its first and last words in its unit of work. */
"local shapes = {}\n"
"local function shape_of(word)\n"
"  local shape = shapes[word]\n"
"  if shape then return shape end\n"
"  local checks, operations, events, words = string.match(word, '^(%w*);(%w*);(%d+);(%d+)$')\n"
"  local at = 1\n"
"  local function steps_of(letters)\n"
"    local steps = {}\n"
"    for letter, count in string.gmatch(letters, '(%a)(%d+)') do\n"
"      local i = #steps\n"
"      steps[i + 1], steps[i + 2], steps[i + 3] = letter, at + 1, at + tonumber(count)\n"
"      at = at + tonumber(count)\n"
"    end\n"
"    return steps\n"
"  end\n"
"  shape = {checks = steps_of(checks), operations = steps_of(operations), behind = at}\n"
"  shape.events, shape.size = tonumber(events), at + tonumber(words) + 1\n"
"  shapes[word] = shape\n"
"  return shape\n"
"end\n";

static const char checking[] =
/* A key's kind at `now`, its end time (`ends`), and whether it exists although it has ended
 * (`over`): asked once, since nothing is written before all is checked. */
"local kinds, ends, over, recordable\n"
"local function kind_of(key, known)\n"
"  local kind = kinds[key]\n"
"  if kind then return kind end\n"
"  kind = known or call('TYPE', key).ok\n"
"  if kind ~= 'none' then\n"
"    local time = call('PEXPIRETIME', key)\n"
"    if time >= 0 and time <= now then kind, over[key] = 'none', true else ends[key] = time end\n"
"  end\n"
"  kinds[key] = kind\n"
"  return kind\n"
"end\n"
/* The service's keys among those to be written, with their names, if their entries in the list of
 * all keys may have to change. */
"local listed\n"
"local function list(key)\n"
"  if string.sub(key, 1, #served) == served then listed[key] = string.sub(key, #served + 1) end\n"
"end\n"
"local text\n"
"local function work(shape)\n"
"  kinds, ends, over, listed, now = {}, {}, {}, {}, tonumber(argv[base + 1])\n"
"  local gone, why, checks = {}, nil, shape.checks\n"
"  for i = 1, #checks, 3 do\n"
"    local letter, first, holds = checks[i], base + checks[i + 1], true\n"
"    local key = argv[first]\n"
"    if letter == 'H' then\n"
"      local size, whole = tonumber(argv[first + 1]), argv[first + 2]\n"
"      local reply = redis.pcall('HGETALL', key)\n"
"      local refused = reply.err\n"
"      if refused and not string.find(refused, 'WRONGTYPE', 1, true) then error(reply) end\n"
"      holds = #reply == size and not refused\n"
"      if holds and table.concat(reply, '\\0') ~= whole then\n" /* the fields may be in another order */
"        local fields, words = {}, {}\n"
"        for j = 1, size, 2 do fields[reply[j]] = reply[j + 1] end\n"
"        for word in string.gmatch(whole .. '\\0', '([^%z]*)%z') do words[#words + 1] = word end\n"
"        for j = 1, size, 2 do holds = holds and fields[words[j]] == words[j + 1] end\n"
"      end\n"
"      if holds and size > 0 then holds = kind_of(key, 'hash') == 'hash' end\n"
"    elseif letter == 'W' then\n"
"      local kind, wanted = kind_of(key), argv[first + 1]\n"
"      if over[key] then gone[#gone + 1] = key end\n"
"      if kind == 'none' then\n"
"        list(key)\n"
"      elseif kind ~= wanted and wanted ~= 'any' then\n"
"        why = why or {'kind', key, kind, wanted}\n"
"      end\n"
"    elseif letter == 'K' then\n"
"      holds = kind_of(key) == argv[first + 1]\n"
"    elseif letter == 'R' then\n" /* `key` is the expected answer */
"      text = text or function(reply)\n"
"        local kind = type(reply)\n"
"        if kind == 'string' then return '$' .. #reply .. ':' .. reply end\n"
"        if kind == 'number' then return string.format(':%.0f;', reply) end\n"
"        if kind ~= 'table' then return '_' end\n"
"        if reply.ok then return '$' .. #reply.ok .. ':' .. reply.ok end\n"
"        local parts = {}\n"
"        for j = 1, #reply do parts[j] = text(reply[j]) end\n"
"        return '*' .. #parts .. ':' .. table.concat(parts)\n"
"      end\n"
"      local reply = redis.pcall(unpack(argv, first + 1, base + checks[i + 2]))\n"
"      holds = not (type(reply) == 'table' and reply.err) and text(reply) == key\n"
"    elseif letter == 'T' then\n"
"      holds = call('PEXPIRETIME', key) == tonumber(argv[first + 1])\n"
"    elseif letter == 'A' then\n"
"      local kind, delta = kind_of(key), tonumber(argv[first + 1])\n"
"      if kind == 'none' or kind == 'string' then\n" /* W reports other kinds */
"        local value = kind == 'none' and '0' or call('GET', key)\n"
"        if not string.match(value, '^-?%d+$') or #value > 17 then\n"
"          why = why or {'number', key}\n"
"        elseif math.abs(tonumber(value) + delta) > 9007199254740991 then\n"
"          why = why or {'sum', key}\n"
"        end\n"
"      end\n"
"    else\n"
"      error('no check')\n"
"    end\n"
"    if not holds then return {'again'} end\n"
"  end\n"
"  if why then return why end\n"
"  if mode == 'look' then return {'done', '0'} end\n";

/* Goes through the operations to check the rights; `writing` then does them. */
static const char judging[] =
"  local denied\n"
"  local function allowed(...)\n"
"    if not can(...) then denied = denied or select(1, ...) end\n"
"  end\n"
"  local sweeps, operations = false, shape.operations\n"
"  for i = 1, #operations, 3 do\n"
"    local letter, first = operations[i], base + operations[i + 1]\n"
"    if letter == 'C' then\n"
"      local command, key = argv[first], argv[first + 1]\n"
"      if not can(unpack(argv, first, base + operations[i + 2])) then\n"
"        denied = denied or command\n"
"      end\n"
"      local before = command == 'PEXPIREAT' and ends[key]\n"
"      if command == 'DEL' or command == 'HDEL' or command == 'ZREM' or\n"
"         before and (before < 0 or tonumber(argv[first + 2]) < before) then\n"
"        list(key)\n"
"      end\n"
"    elseif letter == 'S' then\n"
"      allowed('SET', argv[first], argv[first + 1])\n"
"    elseif letter == 'L' then\n"
"      sweeps = true\n"
"      list(served .. argv[first])\n"
"    else\n"
"      allowed('HDEL', argv[first], 'a')\n"
"      allowed('ZREM', argv[first + 1], 'a')\n"
"      allowed('ZRANGEBYLEX', argv[first + 1], '-', '+')\n"
"    end\n"
"  end\n"
"  for i = 1, #gone do allowed('DEL', gone[i]) end\n"
"  if not recordable then\n"
"    allowed('HSET', works, slot, '0')\n"
"    allowed('PEXPIRE', works, '1')\n"
"    recordable = not denied\n"
"  end\n"

"  local lists = next(listed) ~= nil\n"
"  if lists then\n"
"    call('ZCARD', names)\n"
"    allowed('ZADD', names, '0', 'a')\n"
"    allowed('ZREM', names, 'a')\n"
"  end\n"
"  if sweeps then allowed('DEL', (next(listed))) end\n";

static const char publishing[] =
"  local wanted, first = shape.events, 0\n"
"  if #operations == 0 and wanted == 0 then return {'done', '0'} end\n"
"  if wanted > 0 then\n"
"    local counter, outbox = prefix .. ':fh:counter', prefix .. ':fh:outbox'\n"
"    local place, events, rows, at = prefix .. ':fh:place', {}, {}, base + shape.behind\n"
"    local function take() at = at + 1 return argv[at] end\n"
"    local function count() return tonumber(take()) end\n"
"    first = tonumber(call('GET', counter) or '0') + 1\n"
"    call('HLEN', place)\n"
"    call('XLEN', outbox)\n"
"    allowed('SET', counter, '1')\n"
"    allowed('HSET', place, 'a', 'b')\n"
"    allowed('XADD', outbox, '1-0', 'a', 'b')\n"
"    for i = 1, wanted do\n"
"      local event = {key = take(), fields = {}}\n"
"      for j = 1, count() do event.fields[j] = take() end\n"
"      events[i] = event\n"
"      local position = string.format('%019.0f', first + i - 1)\n"
"      for j = 1, count() do\n"
"        local row = {}\n"
"        for k = 1, count() do\n"
"          local before, marked, behind = take(), take(), take()\n"
"          row[k] = before .. (marked == '1' and position or '') .. behind\n"
"        end\n"
"        allowed(unpack(row))\n"
"        rows[#rows + 1] = row\n"
"      end\n"
"    end\n"
"    if denied then return {'right', denied} end\n"
"    wrote = true\n"
"    for i = 1, wanted do\n"
"      local event, position = events[i], string.format('%.0f', first + i - 1)\n"
"      local fields = event.fields\n"
"      fields[#fields + 1] = 'prev'\n"
"      fields[#fields + 1] = call('HGET', place, event.key) or '0'\n"
"      call('XADD', outbox, position .. '-0', unpack(fields))\n"
"      call('HSET', place, event.key, position)\n"
"    end\n"
"    call('SET', counter, string.format('%.0f', first + wanted - 1))\n"
"    for i = 1, #rows do call(unpack(rows[i])) end\n"
"  end\n"
"  if denied then return {'right', denied} end\n";

static const char writing[] =
"  wrote = true\n"
"  for i = 1, #gone do call('DEL', gone[i]) end\n"
"  for i = 1, #operations, 3 do\n"
"    local letter, place, last = operations[i], base + operations[i + 1], base + operations[i + 2]\n"
"    if letter == 'C' then\n"
"      call(unpack(argv, place, last))\n"
"    elseif letter == 'S' then\n"
"      if argv[last] == '1' and call('TYPE', argv[place]).ok == 'string' then\n"
"        call('SET', argv[place], argv[place + 1], 'KEEPTTL')\n"
"      else\n"
"        call('SET', argv[place], argv[place + 1])\n"
"      end\n"
"    elseif letter == 'P' then\n"
"      local hash, order = argv[place], argv[place + 1]\n"
"      local members = call('ZRANGEBYLEX', order, argv[place + 2], argv[last])\n"
"      for j = 1, #members do\n"
"        call('HDEL', hash, members[j])\n"
"        call('ZREM', order, members[j])\n"
"      end\n"
"    end\n"
"  end\n"
"  if lists then\n"
"    for key, name in pairs(listed) do\n"
"      local time = call('PEXPIRETIME', key)\n"
"      if sweeps and time >= 0 and time <= now then call('DEL', key) time = -2 end\n"
"      if time == -2 then\n"
"        call('ZREM', names, name)\n"
"      else\n"
"        call('ZADD', names, time < 0 and 'inf' or string.format('%.0f', time), name)\n"
"      end\n"
"    end\n"
"  end\n"
"  return {'done', string.format('%.0f', first)}\n"
"end\n";

static const char calling[] =
"local answers, told_each = {}, false\n"
"for i = 1, tonumber(argv[6]) do\n"
"  local shape = shape_of(argv[base])\n"
"  local well, answer = pcall(work, shape)\n"
"  if not well and type(answer) ~= 'table' then answer = {err = 'ERR ' .. answer} end\n"
"  local done = answer[1] == 'done'\n"
"  answers[i] = answer\n"
"  recorded[i + 1] = done and 'done ' .. answer[2] or 'never 0'\n"
"  told_each = told_each or not done\n"
"  base = base + shape.size\n"
"end\n"
"if wrote then record() end\n"
"return told_each and answers or told()\n";
/* clang-format on */

const char *redis_script(void)
{
    static char script[sizeof reading + sizeof checking + sizeof judging + sizeof publishing +
                       sizeof writing + sizeof calling];
    if (!script[0])
        snprintf(script, sizeof script, "%s%s%s%s%s%s", reading, checking, judging, publishing,
                 writing, calling);
    return script;
}
