-- SPDX-License-Identifier: Apache-2.0
-- What wrk sends: GETs; with the argument "order" or "product" one of these a request; with "cart" one of 5 products put into
-- one of 1,000 users' carts; with "keyed" orders, and the second argument names a header whose value is another one for
-- each. Otherwise a second argument names a file of headers: a line for each request, in turn, with tabs
-- between them; with "cart" a line for each user. At the end one line that bench/run reads: requests, microseconds, answers with an
-- error, broken ones.

local CARTS, PRODUCTS = 1000, 5
local MADE = 10000 -- requests made beforehand, so that making them takes nobody's processor

function init(args)
  if args[1] == "order" or args[1] == "keyed" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"user_id": 7, "product_id": "p-1", "quantity": 2, "total": 5998}'
  elseif args[1] == "product" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"name": "One of many", "price": 2999}'
  elseif args[1] == "cart" then
    wrk.method = "PUT"
    wrk.headers["Content-Type"] = "application/json"
  end
  if args[1] == "keyed" then
    request = keyed(args[2])
    return
  end
  local given, made, next = args[2] and headers_of(args[2]) or {}, {}, 0
  if args[1] ~= "cart" and #given < 2 then -- always the same request, which wrk makes once
    wrk.headers = given[1] or wrk.headers
    return
  end
  for i = 1, MADE do made[i] = args[1] == "cart" and put_item(given) or wrk.format(nil, nil, given[i % #given + 1]) end
  request = function()
    next = next % MADE + 1
    return made[next]
  end
end

-- Requests with one header more, `name`, whose value is another one each time: nobody has used such a key before.
function keyed(name)
  wrk.headers[name] = "@"
  local before, behind = wrk.format():match("^(.*: )@(.*)$")
  local run, next = os.time() .. "-" .. tostring(wrk.thread):match("0x(%x+)") .. "-", 0
  return function()
    next = next + 1
    return before .. run .. next .. behind
  end
end

function put_item(given)
  local user = math.random(CARTS)
  local path = string.format("%s/%d/items/p-%d", wrk.path, user, math.random(PRODUCTS))
  return wrk.format("PUT", path, given[user], string.format('{"quantity": %d}', math.random(9)))
end

-- The tables of headers that a file has, a line each.
function headers_of(path)
  local found = {}
  for line in io.lines(path) do
    local headers = {}
    for name, value in pairs(wrk.headers) do headers[name] = value end
    for name, value in line:gmatch("([^\t:]+): ([^\t]+)") do headers[name] = value end
    found[#found + 1] = headers
  end
  return found
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("COUNTED %d %d %d %d\n", summary.requests, summary.duration,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
