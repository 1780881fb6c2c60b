/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_REDIS_LUA_H
#define SIMULATE_REDIS_LUA_H

/* Lua 5.1, which Redis runs its scripts with: loaded when a system with Redis is simulated, so that
 * nothing else carries it. Its header's macros name functions that are not linked: here are none.
 */

#include <lua5.1/lauxlib.h>
#include <lua5.1/lua.h>
#include <lua5.1/lualib.h>

/* clang-format off */
#define LUA_FUNCTIONS(X) \
    X(luaL_newstate) X(luaL_openlibs) X(luaL_loadbuffer) X(luaL_ref) X(lua_pcall) X(lua_error) \
    X(lua_gettop) X(lua_settop) X(lua_pushvalue) X(lua_pushlstring) X(lua_pushnumber) \
    X(lua_pushboolean) X(lua_pushlightuserdata) X(lua_pushcclosure) X(lua_createtable) \
    X(lua_rawgeti) X(lua_rawseti) X(lua_getfield) X(lua_setfield) X(lua_tolstring) \
    X(lua_tonumber) X(lua_toboolean) X(lua_touserdata) X(lua_type) X(lua_checkstack)
/* clang-format on */

struct lua_library {
#define LUA_SLOT(name) __typeof__(name) *name;
    LUA_FUNCTIONS(LUA_SLOT)
#undef LUA_SLOT
};
extern struct lua_library lua51;

#endif
