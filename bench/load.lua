-- SPDX-License-Identifier: Apache-2.0
-- What wrk sends: GETs; with the argument "order" or "product" one of these a request; with "cart" one of 5 products put into
-- one of 1,000 users' carts. At the end one line that bench/run reads: requests, microseconds, answers with an
-- error, broken ones.

local CARTS, PRODUCTS = 1000, 5
local MADE = 10000 -- requests made beforehand, so that making them takes nobody's processor

function init(args)
  if args[1] == "order" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"user_id": 7, "product_id": "p-1", "quantity": 2, "total": 5998}'
  elseif args[1] == "product" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"name": "One of many", "price": 2999}'
  elseif args[1] == "cart" then
    wrk.headers["Content-Type"] = "application/json"
    local made, next = {}, 0
    for i = 1, MADE do made[i] = put_item() end
    request = function()
      next = next % MADE + 1
      return made[next]
    end
  end
end

function put_item()
  local path = string.format("%s/%d/items/p-%d", wrk.path, math.random(CARTS), math.random(PRODUCTS))
  return wrk.format("PUT", path, nil, string.format('{"quantity": %d}', math.random(9)))
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("COUNTED %d %d %d %d\n", summary.requests, summary.duration,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
