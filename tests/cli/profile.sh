#!/bin/sh
# apr profile: operations, layers, assertions. No test looks at how large a time is.
. "$(dirname "$0")/lib.sh"
small='--prompt-tokens 8 --tokens 4 --measure 2 --warmup 1 --quiet'

# shellcheck disable=SC2086 # several options
run 0 profile demo $small --energy
for word in embed norm qkv rope kv_store attention output gate_up silu down head sample other \
    prefill: decode: timers cycles page_faults energy 'bound by'; do
    out_has "$word"
done
err_is_empty

# shellcheck disable=SC2086
run 0 profile demo $small --format json --kv q8_0
# shellcheck disable=SC2086
run 0 profile demo $small --format json --kv f16
# shellcheck disable=SC2086
run 0 profile demo $small --format json --granular --depth 20 --threads 2 --kv f32 --energy
json 'd["threads"] == 2 and d["decode"]["tokens"] == 8 and d["prefill"]["tokens"] == 16'
json 'abs(sum(o["seconds"] for o in d["decode"]["operations"]) / d["decode"]["seconds"] - 1) < 1e-6'
json 'all(o["bound"] in ("memory", "matrix", "-") for o in d["decode"]["operations"])'
json '{o["name"] for o in d["decode"]["operations"]} >= {"embed", "norm", "qkv", "rope", "kv_store",
    "attention", "output", "gate_up", "silu", "down", "head", "sample"}'
json 'd["decode"]["layers"][-1]["layer"] is None and d["decode"]["layers"][0]["layer"] == 0'
json 'sum(o["calls"] for l in d["decode"]["layers"] for o in l["operations"])
    == sum(o["calls"] for o in d["decode"]["operations"])'
json 'd["timers"]["timer_s"] > 0 and "overhead_ab" in d["timers"]'
json 'd["decode"]["p50_ms"] <= d["decode"]["p99_ms"] and d["assertions"] == []'
json 'd["decode"]["joules_per_token"] is not None or "not readable" in d["why_no_energy"]'
json 'all(isinstance(v, float) or "not readable here" in v
    for v in d["decode"]["counters"].values())'

# A flame graph, to a file and to stdout.
# shellcheck disable=SC2086
run 0 profile demo $small --format flamegraph -g -o "$dir/flame.svg"
out_is_empty
for word in 'layer 0' 'outside layers' attention: 'one prefill and one decode step'; do
    if grep -qF "$word" "$dir/flame.svg"; then pass; else fail "the flame graph lacks '$word'"; fi
done
if command -v python3 >/dev/null 2>&1; then
    if python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
        "$dir/flame.svg"; then pass; else fail 'the flame graph is not well-formed'; fi
fi
run 0 profile demo -p 4 -n 1 -m 1 -w 0 -q --format flamegraph
out_has '</svg>'
run 0 profile demo -p 4 -n 1 -m 1 -w 0 -q --format human --output "$dir/table"
if grep -q 'decode: ' "$dir/table"; then pass; else fail 'the table is not in its file'; fi

# Assertions: bounds that everything or nothing fulfils.
# shellcheck disable=SC2086
run 0 profile demo $small --ci --assert-throughput 1e-9 --assert-p50 1e12 --assert-p99 1e12
out_has 'PASS throughput'
out_has 'PASS p50'
out_has 'PASS p99'
out_lacks qkv
# shellcheck disable=SC2086
run 5 profile demo $small --ci --assert-throughput 1e12
out_has 'FAIL throughput'
err_is_empty
# shellcheck disable=SC2086
run 5 profile demo $small --ci --assert-p50 1e-9 --assert-p99 1e12
out_has 'FAIL p50'
out_has 'PASS p99'
# shellcheck disable=SC2086
run 5 profile demo $small --assert-p99 0 --format json
json 'not d["all_passed"] and d["assertions"][0]["name"] == "p99"'
# shellcheck disable=SC2086
run 0 profile demo $small --assert-p99 1e12 --cpu-level scalar
out_has 'PASS p99'
out_has qkv

run 2 profile demo --ci
err_has '--ci needs'
run 2 profile demo --ci --assert-p50 1 --format flamegraph
run 2 profile demo --format svg
run 2 profile demo --tokens 0
run 2 profile demo --assert-p50 x
run 2 profile demo -p 8 -n 4 -q --depth 1000000
err_has 'trained for'
run 3 profile "$dir/none.gguf"
run 9 profile demo --gpu
run 7 profile demo -p 4 -n 1 -m 1 -w 0 -q -o "$dir/none/file"
finish
