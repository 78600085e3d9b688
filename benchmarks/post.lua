-- Posts wishes for faces to a server, each with seeds of its own, and tells as one line of JSON what
-- came of them: wrk's own summary has no machine-readable form.

local images = tonumber(os.getenv("IMAGES"))
local extra = os.getenv("EXTRA")
local headers = {["Content-Type"] = "application/json", ["Accept"] = os.getenv("REPLY_TYPE")}
local seed = 0

function request()
  local seeds = {}
  for index = 1, images do
    seed = (seed + 1) % 1000003
    seeds[index] = seed
  end
  return wrk.format("POST", nil, headers, '{"seeds":[' .. table.concat(seeds, ",") .. "]" .. extra .. "}")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"answers":%d,"refused":%d,"broken":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
