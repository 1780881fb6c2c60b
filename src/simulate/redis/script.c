/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's own script, run by Lua 5.1 as the server does: EVALSHA's words are ARGV, redis.call
 * and redis.pcall run the model's commands, and what these change is one transaction. A script that
 * fails has changed what it had changed until then.
 *
 * As in Redis, nil and false come back as nothing, numbers lose what follows the point, and a
 * table is an error ({err}), a status ({ok}), or an array up to its first nil.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/lua.h"
#include "simulate/redis/model.h"

#define WORDS_MAX 8000 /* of one command in a script: what unpack gives */
#define PREAMBLE "#!lua\n"

/* ---- Answers in Lua ---- */

static void set_table_text(lua_State *lua, const char *name, const char *text)
{
    lua51.lua_createtable(lua, 0, 1);
    lua51.lua_pushlstring(lua, text, strlen(text));
    lua51.lua_setfield(lua, -2, name);
}

static void push_reply(lua_State *lua, const struct served_reply *reply)
{
    lua51.lua_checkstack(lua, 8);
    switch (reply->type) {
    case '+':
        set_table_text(lua, "ok", reply->text);
        break;
    case '-':
        set_table_text(lua, "err", reply->text);
        break;
    case ':':
        lua51.lua_pushnumber(lua, (lua_Number)reply->number);
        break;
    case '$':
        lua51.lua_pushlstring(lua, reply->text, reply->length);
        break;
    case '*':
        lua51.lua_createtable(lua, reply->count, 0);
        for (int i = 0; i < reply->count; i++) {
            push_reply(lua, reply->parts[i]);
            lua51.lua_rawseti(lua, -2, i + 1);
        }
        break;
    default:
        lua51.lua_pushboolean(lua, 0);
    }
}

static const char *table_field(lua_State *lua, const char *name)
{
    lua51.lua_getfield(lua, -1, name);
    const char *text =
        lua51.lua_type(lua, -1) == LUA_TSTRING ? lua51.lua_tolstring(lua, -1, NULL) : NULL;
    lua51.lua_settop(lua, -2); /* the table holds it */
    return text;
}

static struct served_reply *value_from_lua(lua_State *lua);

static struct served_reply *taken_table(lua_State *lua)
{
    const char *text = table_field(lua, "err");
    if (text)
        return served_error(text);
    text = table_field(lua, "ok");
    if (text)
        return served_status(text);
    struct served_reply *list = served_list();
    for (int i = 1;; i++) {
        lua51.lua_rawgeti(lua, -1, i);
        bool ends = lua51.lua_type(lua, -1) == LUA_TNIL;
        if (!ends)
            served_list_add(list, value_from_lua(lua));
        lua51.lua_settop(lua, -2);
        if (ends)
            return list;
    }
}

/* What is on the top, which stays there. */
static struct served_reply *value_from_lua(lua_State *lua)
{
    size_t length;
    const char *text;
    lua51.lua_checkstack(lua, 8);
    switch (lua51.lua_type(lua, -1)) {
    case LUA_TSTRING:
        text = lua51.lua_tolstring(lua, -1, &length);
        return served_string_of(text, length);
    case LUA_TNUMBER:
        return served_integer((int64_t)lua51.lua_tonumber(lua, -1));
    case LUA_TBOOLEAN:
        return lua51.lua_toboolean(lua, -1) ? served_integer(1) : served_string(NULL);
    case LUA_TTABLE:
        return taken_table(lua);
    default:
        return served_string(NULL);
    }
}

/* ---- redis. ---- */

static struct served *served_here(lua_State *lua)
{
    return lua51.lua_touserdata(lua, lua_upvalueindex(1));
}

/* Numbers are written as Redis does. The words are Lua's. NULL: they are no words. */
static const char **words_of(lua_State *lua, int count)
{
    const char **words = calloc((size_t)count + 1, sizeof *words);
    char number[32];
    FH_ASSERT(words != NULL && count <= WORDS_MAX);
    for (int i = 0; i < count; i++) {
        int kind = lua51.lua_type(lua, i + 1);
        if (kind == LUA_TNUMBER) {
            snprintf(number, sizeof number, "%.17g", lua51.lua_tonumber(lua, i + 1));
            words[i] = strdup(number);
        } else if (kind == LUA_TSTRING) {
            words[i] = strdup(lua51.lua_tolstring(lua, i + 1, NULL));
        } else {
            words[i] = strdup("");
            served_fail(served_here(lua), "The script gives a command a word that is none.");
        }
        FH_ASSERT(words[i] != NULL);
    }
    return words;
}

static void words_free(const char **words, int count)
{
    for (int i = 0; i < count; i++)
        free((void *)(uintptr_t)words[i]);
    free((void *)words);
}

static bool call_command(lua_State *lua)
{
    int count = lua51.lua_gettop(lua);
    const char **words = words_of(lua, count);
    struct served_reply *reply = served_do(served_here(lua), count, words);
    words_free(words, count);
    push_reply(lua, reply);
    bool failed = reply->type == '-';
    served_reply_free(reply);
    return !failed;
}

static int redis_call(lua_State *lua)
{
    return call_command(lua) ? 1 : lua51.lua_error(lua);
}

static int redis_pcall(lua_State *lua)
{
    call_command(lua);
    return 1;
}

static int redis_may(lua_State *lua)
{
    const char *name = lua51.lua_tolstring(lua, 1, NULL);
    lua51.lua_pushboolean(lua, served_command(name) != NULL);
    return 1;
}

static void give_function(struct served *served, lua_State *lua, const char *name,
                          lua_CFunction function)
{
    lua51.lua_pushlightuserdata(lua, served);
    lua51.lua_pushcclosure(lua, function, 1);
    lua51.lua_setfield(lua, -2, name);
}

static lua_State *lua_of(struct served *served)
{
    if (served->lua)
        return served->lua;
    lua_State *lua = lua51.luaL_newstate();
    FH_ASSERT(lua != NULL);
    lua51.luaL_openlibs(lua);
    lua51.lua_createtable(lua, 0, 4);
    give_function(served, lua, "call", redis_call);
    give_function(served, lua, "pcall", redis_pcall);
    give_function(served, lua, "acl_check_cmd", redis_may);
    lua51.lua_setfield(lua, LUA_GLOBALSINDEX, "redis");
    served->lua = lua;
    return lua;
}

/* ---- Scripts ---- */

/* Only as long as the real one: nobody but the server knows what it is of. */
static void digest_of(const char *text, char ret[SERVED_DIGEST_SIZE])
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *at = text; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    snprintf(ret, SERVED_DIGEST_SIZE, "%016llx%016llx%08x", (unsigned long long)hash,
             (unsigned long long)hash * 31, (unsigned)(hash >> 7));
}

void served_script_load(struct served *served, const char *text, char ret[SERVED_DIGEST_SIZE])
{
    digest_of(text, ret);
    if (map_get(&served->scripts, ret))
        return;
    lua_State *lua = lua_of(served);
    size_t skipped = strncmp(text, PREAMBLE, strlen(PREAMBLE)) == 0 ? strlen(PREAMBLE) : 0;
    if (lua51.luaL_loadbuffer(lua, text + skipped, strlen(text) - skipped, "@user_script") != 0) {
        served_fail(served, "Lua: %.200s", lua51.lua_tolstring(lua, -1, NULL));
        lua51.lua_settop(lua, 0);
        return;
    }
    int reference = lua51.luaL_ref(lua, LUA_REGISTRYINDEX);
    map_put(&served->scripts, ret, (void *)(intptr_t)reference); // NOLINT: a number in a map
}

void served_scripts_forget(struct served *served)
{
    map_release(&served->scripts);
    map_init(&served->scripts);
}

static void set_words(lua_State *lua, const char *name, int count, const char *const *words,
                      const size_t *lengths)
{
    lua51.lua_createtable(lua, count, 0);
    for (int i = 0; i < count; i++) {
        lua51.lua_pushlstring(lua, words[i], lengths[i]);
        lua51.lua_rawseti(lua, -2, i + 1);
    }
    lua51.lua_setfield(lua, LUA_GLOBALSINDEX, name);
}

/* EVALSHA digest 0 word ... */
struct served_reply *served_script_run(struct served *served, int count, const char *const *words,
                                       const size_t *lengths)
{
    void *script = count > 2 ? map_get(&served->scripts, words[1]) : NULL;
    if (count < 3 || strcmp(words[2], "0") != 0) {
        served_fail(served, "A script was called with keys, which the model does not give it.");
        return served_error("ERR keys");
    }
    if (!script)
        return served_error("NOSCRIPT No matching script. Please use EVAL.");
    lua_State *lua = lua_of(served);
    set_words(lua, "KEYS", 0, NULL, NULL);
    set_words(lua, "ARGV", count - 3, words + 3, lengths + 3);
    lua51.lua_rawgeti(lua, LUA_REGISTRYINDEX, (int)(intptr_t)script);
    bool well = lua51.lua_pcall(lua, 0, 1, 0) == 0;
    struct served_reply *reply = value_from_lua(lua);
    if (!well && reply->type != '-') { /* a mistake in it, not a command's error */
        served_fail(served, "The script fails: %.200s", reply->text ? reply->text : "");
        served_reply_free(reply);
        reply = served_error("ERR the script fails");
    }
    lua51.lua_settop(lua, 0);
    return reply;
}
