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
 * - Nobody copies the store (hold.c).
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
 * ARGV: mode, prefix, life, slot, number, works: count, each its shape, now_ms, its keys, and the
 *       words of its steps and events, one after the other
 * mode: "work"; "look", which only checks; "settle", which asks for the outcome of the units of
 *       work and, if they have not arrived, makes sure that they are never done; "born", which
 *       registers the life (session id)
 *
 * shape: "KEYS;CHECKS;OPERATIONS;EVENTS;WORDS". Most units of work of a call have the same one; it
 *       is parsed once: the number of keys; of each check and operation its letter, the number of
 *       its key, and of its words behind that, as in "H1.1W0.2", where 0 is none of the keys; then
 *       the number of events, and of their words.
 *   checks: K: key kind | T: key time_ms | H KEY: whole | R: answer and its question |
 *       A: key delta | W: key kind
 *   operations: F KEY: field text | E KEY: time_ms, when it ends | C: a command, which sets no end |
 *       S: key text keeps_time | L: name, for the sweep, which removes keys that have ended by its
 *       clock | P: hash order low high, all members of the order within, and their fields
 *   events: each key, fields of the stream's entry, rows
 *
 * answer: "gone": the life is not known (any more), and nothing was done. "held": another process
 *       holds the store (hold.c), and nothing was done. Or the number, and for
 *       each unit of work " done FIRST_POSITION" or " never 0"; beyond its end: never. Or, if one
 *       of them failed just now, for each one {"done", first position} | {"again"} |
 *       {"kind", key, is, wanted} | {"number", key} | {"sum", key} | {"right", command} | an error
 */
static const char reading[] =
"#!lua\n"
"local argv, call, attempt, can = ARGV, redis.call, redis.pcall, redis.acl_check_cmd\n"
"local match, gmatch, concat = string.match, string.gmatch, table.concat\n"
"local mode, prefix, slot, number = argv[1], argv[2], argv[4], tonumber(argv[5])\n"
"local works, recorded = prefix .. ':fh:work:' .. argv[3], {argv[5]}\n"
"local function keep() call('PEXPIRE', works, 2592000000) end\n"
"if mode == 'born' then call('HSET', works, '0', mode) keep() return mode end\n"
"local known = mode ~= 'look' and call('HGET', works, slot)\n"
"if not known and mode ~= 'look' and not call('HGET', works, '0') then return 'gone' end\n"
"local last = known and tonumber(match(known, '^%d+'))\n"
"if last and last >= number then return last == number and known or argv[5] end\n"
"local function record(told)\n"
"  call('HSET', works, slot, told)\n"
"  if not known or number % 64 == 0 then keep() end\n"
"end\n"
"if mode == 'settle' then record(argv[5]) return argv[5] end\n"
"local hold = mode == 'work' and prefix .. ':fh:hold'\n"
"if hold and call('GET', hold) then\n"
"  if call('GET', prefix .. ':fh:holder') then return 'held' end\n"
"  call('DEL', hold)\n"
"end\n"
"local base, now, wrote, served, names = 7, 0, false, prefix .. ':kv:', prefix .. ':fh:keys'\n"
/* Times, of which most units of work of a call have the same: reading such a number is slow. */
"local numbers = {}\n"
"local function number_of(word)\n"
"  local value = numbers[word]\n"
"  if not value then\n"
"    value = tonumber(word)\n"
"    numbers[word] = value\n"
"  end\n"
"  return value\n"
"end\n"
/* For each step its letter, and the offsets of its key, and of its first and last words, in its
 * unit of work. */
"local shapes = {}\n"
"local function shape_of(word)\n"
"  local shape = shapes[word]\n"
"  if shape then return shape end\n"
"  local keys, checks, operations, events, words = match(word, '^(%d+);([%w.]*);([%w.]*);(%d+);(%d+)$')\n"
"  local at = 1 + tonumber(keys)\n"
"  local function steps_of(letters)\n"
"    local steps = {}\n"
"    for letter, key, count in gmatch(letters, '(%a)(%d+)%.(%d+)') do\n"
"      local i = #steps\n"
"      steps[i + 1], steps[i + 2] = letter, 1 + tonumber(key)\n"
"      steps[i + 3], steps[i + 4] = at + 1, at + tonumber(count)\n"
"      at = at + tonumber(count)\n"
"    end\n"
"    return steps\n"
"  end\n"
"  shape = {keys = 1 + tonumber(keys), checks = steps_of(checks), operations = steps_of(operations)}\n"
"  shape.behind, shape.events, shape.size = at, tonumber(events), at + tonumber(words) + 1\n"
"  shapes[word] = shape\n"
"  return shape\n"
"end\n";

static const char checking[] =
/* A key's kind at `now`, its end time (`ends`), and whether it exists although it has ended
 * (`over`): asked once, since nothing is written before all is checked. `gone`: those of them that
 * are to be written. Of a key whose whole hash was compared `times` has the end time, by the key's
 * offset. Each unit of work has tables of its own, but one that has `used` none leaves them to the
 * next: many need none, and making them is slow. */
"local kinds, ends, over, gone, times, used = {}, {}, {}, {}, {}, false\n"
"local function kind_of(key)\n"
"  local kind = kinds[key]\n"
"  if kind then return kind end\n"
"  used, kind = true, call('TYPE', key).ok\n"
"  if kind ~= 'none' then\n"
"    local time = call('PEXPIRETIME', key)\n"
"    if time >= 0 and time <= now then kind, over[key] = 'none', true else ends[key] = time end\n"
"  end\n"
"  kinds[key] = kind\n"
"  return kind\n"
"end\n"
/* The service's keys among those to be written, with their names, if their entries in the list of
 * all keys may have to change. */
"local listed = {}\n"
"local function list(key)\n"
"  if string.sub(key, 1, #served) == served then\n"
"    used, listed[key] = true, string.sub(key, #served + 1)\n"
"  end\n"
"end\n"
/* The first command that the user has no right to; the rights to record calls and to change the
 * list of all keys, which were checked for an earlier unit of work. */
"local denied, recordable, listable\n"
"local function allow(...)\n"
"  if not can(...) then denied = denied or select(1, ...) end\n"
"end\n"
/* Behind the last word of a hash: how many words it has. So no others, which may contain NULs, make
 * the same text. */
"local sizes = {}\n"
"local function is_whole(key, place, whole)\n"
"  local reply = attempt('HGETALL', key)\n"
"  local refused, size = reply.err, #reply\n"
"  if refused then\n"
"    if not string.find(refused, 'WRONGTYPE', 1, true) then error(reply) end\n"
"    return false\n"
"  end\n"
"  local tail = sizes[size]\n"
"  if not tail then\n"
"    tail = '\\0' .. size\n"
"    sizes[size] = tail\n"
"  end\n"
"  if concat(reply, '\\0') .. tail ~= whole then\n" /* the fields may be in another order */
"    local fields, words = {}, {}\n"
"    for j = 1, size, 2 do fields[reply[j]] = reply[j + 1] end\n"
"    for word in gmatch(whole, '([^%z]*)%z') do words[#words + 1] = word end\n"
"    if #words ~= size then return false end\n"
"    for j = 1, size, 2 do\n"
"      if fields[words[j]] ~= words[j + 1] then return false end\n"
"    end\n"
"  end\n"
"  if size == 0 then return true end\n"
"  local time = call('PEXPIRETIME', key)\n"
"  times[place] = time\n"
"  return time < 0 or time > now\n"
"end\n"
"local text\n"
"local function work(shape)\n"
"  if used then kinds, ends, over, listed, gone, used = {}, {}, {}, {}, {}, false end\n"
"  for i = 2, shape.keys do times[i] = false end\n"
"  now, denied = number_of(argv[base + 1]), nil\n"
"  local why, checks = nil, shape.checks\n"
"  for i = 1, #checks, 4 do\n"
"    local letter, first, holds = checks[i], base + checks[i + 2], true\n"
"    local key = argv[first]\n"
"    if letter == 'H' then\n"
"      local place = checks[i + 1]\n"
"      holds = is_whole(argv[base + place], place, key)\n"
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
"      local reply = attempt(unpack(argv, first + 1, base + checks[i + 3]))\n"
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
"  if mode == 'look' then return 'done 0' end\n";

/* Goes through the operations to check the rights; `writing` then does them. */
static const char judging[] =
"  local sweeps, lists, operations = false, false, shape.operations\n"
"  for i = 1, #operations, 4 do\n"
"    local letter, first = operations[i], base + operations[i + 2]\n"
"    if letter == 'F' then\n"
"      allow('HSET', argv[base + operations[i + 1]], 'a', 'b')\n"
"    elseif letter == 'E' then\n"
"      local place = operations[i + 1]\n"
"      local key = argv[base + place]\n"
"      local before = times[place] or ends[key]\n"
"      allow('PEXPIREAT', key, '1')\n"
"      if before and (before < 0 or number_of(argv[first]) < before) then list(key) end\n"
"    elseif letter == 'C' then\n"
"      local command, key = argv[first], argv[first + 1]\n"
"      allow(unpack(argv, first, base + operations[i + 3]))\n"
"      if command == 'DEL' or command == 'HDEL' or command == 'ZREM' then list(key) end\n"
"    elseif letter == 'S' then\n"
"      allow('SET', argv[first], argv[first + 1])\n"
"    elseif letter == 'L' then\n"
"      sweeps = true\n"
"      list(served .. argv[first])\n"
"    else\n"
"      allow('HDEL', argv[first], 'a')\n"
"      allow('ZREM', argv[first + 1], 'a')\n"
"      allow('ZRANGEBYLEX', argv[first + 1], '-', '+')\n"
"    end\n"
"  end\n"
"  for i = 1, #gone do allow('DEL', gone[i]) end\n"
"  if not recordable then\n"
"    allow('HSET', works, slot, '0')\n"
"    allow('PEXPIRE', works, '1')\n"
"    recordable = not denied\n"
"  end\n"
"  if used and next(listed) ~= nil then\n"
"    lists = true\n"
"    if not listable then\n"
"      call('ZCARD', names)\n"
"      allow('ZADD', names, '0', 'a')\n"
"      allow('ZREM', names, 'a')\n"
"      listable = not denied\n"
"    end\n"
"  end\n"
"  if sweeps then allow('DEL', (next(listed))) end\n";

static const char publishing[] =
"  local wanted, first = shape.events, 0\n"
"  if #operations == 0 and wanted == 0 then return 'done 0' end\n"
"  if wanted > 0 then\n"
"    local counter, outbox = prefix .. ':fh:counter', prefix .. ':fh:outbox'\n"
"    local place, events, rows, at = prefix .. ':fh:place', {}, {}, base + shape.behind\n"
"    local function take() at = at + 1 return argv[at] end\n"
"    local function count() return tonumber(take()) end\n"
"    first = tonumber(call('GET', counter) or '0') + 1\n"
"    call('HLEN', place)\n"
"    call('XLEN', outbox)\n"
"    allow('SET', counter, '1')\n"
"    allow('HSET', place, 'a', 'b')\n"
"    allow('XADD', outbox, '1-0', 'a', 'b')\n"
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
"        allow(unpack(row))\n"
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
"  for i = 1, #operations, 4 do\n"
"    local letter, place, last = operations[i], base + operations[i + 2], base + operations[i + 3]\n"
"    if letter == 'F' then\n"
"      call('HSET', argv[base + operations[i + 1]], argv[place], argv[last])\n"
"    elseif letter == 'E' then\n"
"      call('PEXPIREAT', argv[base + operations[i + 1]], argv[place])\n"
"    elseif letter == 'C' then\n"
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
"  return first == 0 and 'done 0' or string.format('done %.0f', first)\n"
"end\n";

static const char calling[] =
"local answers, told_each = {}, false\n"
"for i = 1, tonumber(argv[6]) do\n"
"  local shape = shape_of(argv[base])\n"
"  local well, answer = pcall(work, shape)\n"
"  local done = well and type(answer) == 'string'\n"
"  if not well and type(answer) ~= 'table' then answer = {err = 'ERR ' .. answer} end\n"
"  answers[i] = answer\n"
"  recorded[i + 1] = done and answer or 'never 0'\n"
"  told_each = told_each or not done\n"
"  base = base + shape.size\n"
"end\n"
"local told = concat(recorded, ' ')\n"
"if wrote then record(told) end\n"
"if not told_each then return told end\n"
"for i = 1, #answers do\n"
"  local answer = answers[i]\n"
"  if type(answer) == 'string' then answers[i] = {'done', match(answer, '%d+')} end\n"
"end\n"
"return answers\n";
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
