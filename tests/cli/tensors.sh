#!/bin/sh
# apr tensors: names, shapes, sizes and statistics of any model file.
. "$(dirname "$0")/lib.sh"
edit=$(dirname "$0")/gguf_edit.py

run 0 tensors demo
out_has 'blk.0.attn_q.weight'
out_has '50 of 50 tensors'
err_is_empty
out_lacks 'mean'
run 0 tensors demo --filter attn_norm
out_has '4 of 50 tensors, 1024 parameters'
run 0 tensors demo --filter 'blk.[12].attn_?.bias'
out_has '6 of 50 tensors'
run 3 tensors demo --filter nothing.like.that
err_has "fits 'nothing.like.that'"
run 0 tensors demo --limit 2
out_has '50 of 50 tensors (2 shown)'
run 2 tensors demo --limit 0
run 2 tensors demo --sort shape
run 3 tensors "$dir/no-such-file"

run 0 tensors --json demo
json 'd["num_tensors"] == d["matched"] == d["shown"] == len(d["tensors"]) == 50'
json 'd["bytes"] == sum(t["bytes"] for t in d["tensors"])'
json 'all(set(t) == {"name","dtype","shape","elements","bytes","offset"} for t in d["tensors"])'
json 'next(t for t in d["tensors"] if t["name"] == "token_embd.weight")["shape"] == [4096, 256]'
for order in bytes elements; do
    run 0 tensors --json demo --sort $order
    json '[t["'$order'"] for t in d["tensors"]] ==
sorted([t["'$order'"] for t in d["tensors"]], reverse=True)'
done
run 0 tensors --json demo --sort name
json '[t["name"] for t in d["tensors"]] == sorted(t["name"] for t in d["tensors"])'
run 0 tensors --json demo --sort dtype
json 'len({(a["dtype"], b["dtype"]) for a, b in zip(d["tensors"], d["tensors"][1:])
if a["dtype"] != b["dtype"]}) == len({t["dtype"] for t in d["tensors"]}) - 1'
run 0 tensors --json demo --sort file
json '[t["offset"] for t in d["tensors"]] == sorted(t["offset"] for t in d["tensors"])'

# Statistics: the same for any number of threads; sums that Python does from the file's bytes.
run 0 tensors --json demo --stats --threads 1
cp "$out" "$dir/one"
run 0 tensors --json demo --stats -t 3
if cmp -s "$dir/one" "$out"; then pass; else fail 'statistics depend on the threads'; fi
json 'all(t["stats"]["count"] == t["elements"] for t in d["tensors"])'
run 0 tensors demo --stats --filter output_norm
out_has 'mean 1.4658'
out_has 'zeros 0.00 %'
if command -v python3 >/dev/null 2>&1; then
    cat >"$dir/check.py" <<'PY'
import json, math, sys
sys.path.insert(0, sys.argv[1])
import gguf_edit
tensors = gguf_edit.load(sys.argv[2])[1]
for t in json.load(open(sys.argv[3]))["tensors"]:
    x, s = sorted(gguf_edit.floats(tensors[t["name"]])), t["stats"]
    n, l2 = len(x), math.sqrt(math.fsum(v * v for v in x))
    mean = math.fsum(x) / n
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in x) / n)
    assert abs(s["mean"] - mean) <= 1e-7 * std + 1e-8 * abs(mean), t["name"]
    assert abs(s["std"] - std) <= 1e-7 * std and abs(s["l2"] - l2) <= 1e-7 * l2, t["name"]
    assert abs(s["min"] - x[0]) <= 1e-8 and abs(s["max"] - x[-1]) <= 1e-7, t["name"]
    assert s["zero_count"] == sum(v == 0 for v in x), t["name"]
    assert abs(s["p50"] - (x[n // 2] + x[(n - 1) // 2]) / 2) <= abs(x[n // 2]) / 256, t["name"]
PY
    run 0 tensors --json demo --stats --filter 'blk.1.*'
    if python3 "$dir/check.py" "$(dirname "$edit")" "$demo" "$out" 2>"$err"; then
        pass
    else
        fail 'statistics are not what Python computes'
    fi
    # NaN and infinities are counted, not spread; JSON stays JSON.
    "$edit" "$demo" "$dir/nan.gguf" set:blk.0.ffn_norm.weight:3:nan \
        set:blk.0.ffn_norm.weight:9:inf fill:blk.1.ffn_norm.weight:nan fill:blk.2.ffn_norm.weight:0
    run 0 tensors "$dir/nan.gguf" --stats --filter ffn_norm
    out_has '1 NaN, the first at 3'
    out_has '1 infinite, the first at 9'
    out_has 'no finite element'
    out_has '1 of 1 rows all zero'
    run 0 tensors --json "$dir/nan.gguf" --stats --filter ffn_norm
    json '[t["stats"]["nan_count"] for t in d["tensors"]] == [1, 256, 0, 0]'
    json 'd["tensors"][0]["stats"]["first_inf"] == 9 and d["tensors"][0]["stats"]["mean"] < 2'
    json 'd["tensors"][1]["stats"]["mean"] is None and d["tensors"][2]["stats"]["constant"]'
    # A model that this build cannot run.
    "$edit" "$demo" "$dir/odd.gguf" arch:mamba9 drop:output_norm.weight
    run 0 tensors "$dir/odd.gguf" --stats
    out_has '49 of 49 tensors'
    # Names are the file's own words.
    "$edit" "$demo" "$dir/name.gguf" 'rename:output_norm.weight:a"b\c<script>.weight'
    run 0 tensors --json "$dir/name.gguf" --filter script
    json 'd["tensors"][0]["name"] == "a\"b\\c<script>.weight"'
else
    echo 'skipped: planting faults needs python3'
fi
finish
