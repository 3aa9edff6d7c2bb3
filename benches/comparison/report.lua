-- wrk's summary as JSON: exact numbers in place of its rounded text.
function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"bytes":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"failed":%d}\n',
      summary.requests, summary.bytes, summary.duration / 1e6,
      latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
