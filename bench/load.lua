-- SPDX-License-Identifier: Apache-2.0
-- What wrk sends: GETs, or with the argument "order" one order a request. At the end one line that
-- bench/run reads: requests, microseconds, answers with an error, broken ones.

function init(args)
  if args[1] == "order" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"user_id": 7, "product_id": "p-1", "quantity": 2, "total": 5998}'
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("COUNTED %d %d %d %d\n", summary.requests, summary.duration,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
