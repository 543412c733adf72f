#!/bin/sh
# apr canary: a record of a model, and what it notices.
. "$(dirname "$0")/lib.sh"
edit=$(dirname "$0")/gguf_edit.py
c=$dir/canary.json

run 0 canary create demo -o "$c"
out_is '50 tensors and 1 prompts recorded\n'
run 0 canary create demo --output "$dir/again.json" --quiet
out_is_empty
if cmp -s "$c" "$dir/again.json"; then pass; else fail 'two canaries of a model differ'; fi
run 0 canary check demo --canary "$c"
out_has '[PASS] tensor    blk.0.attn_q.weight: unchanged'
out_has '[PASS] tokens'
out_has 'largest difference 0 at step 1'
out_has 'PASS: 53 of 53 items as recorded'
run 0 canary check demo --canary "$c" --exact -q
out_is 'PASS: 53 of 53 items as recorded\n'
run 0 canary check demo --canary "$c" --cpu-level scalar --threads 1 --quiet
run 0 canary check demo --canary "$c" --json
json 'd["passed"] and d["total"] == 53 == len(d["items"]) and d["failed"] == 0'

printf 'What is 2 + 2?\n\nWrite a haiku.\n' >"$dir/prompts"
run 0 canary create demo --input "$dir/prompts" -n 3 -o "$dir/two.json" --json
json 'd["prompts"] == 2 and d["tensors"] == 50'
cp "$dir/two.json" "$out"
last='the canary'
json 'd["canary_version"] == 1 and d["tensor_count"] == len(d["tensors"]) == 50'
json '[p["prompt"] for p in d["prompts"]] == ["What is 2 + 2?", "Write a haiku."]'
json 'all(len(p["steps"]) == 3 and len(s["top"]) == 5 and s["token"] == s["top"][0]["id"] for p in
d["prompts"] for s in p["steps"])'
json 'all({"shape","dtype","count","mean","std","min","max"} <= set(t) for t in
d["tensors"].values())'
run 0 canary create demo --tokens 2 --input "$dir/prompts" -o "$dir/two.json" --no-gpu
run 0 canary check demo --canary "$dir/two.json"
out_has 'PASS: 56 of 56'

# Wrong use.
run 2 canary create demo
err_has 'needs -o FILE'
run 2 canary check demo
err_has 'needs --canary FILE'
run 2 canary delete demo
run 2 canary check demo --canary "$c" -o x
run 2 canary create demo -o "$dir/x" --exact
run 9 canary create demo -o "$dir/x" --gpu
: >"$dir/nothing"
run 2 canary create demo -o "$dir/x" --input "$dir/nothing"
run 3 canary create demo -o "$dir/x" --input "$dir/none"
printf 'a\377b\n' >"$dir/bytes"
run 4 canary create demo -o "$dir/x" --input "$dir/bytes"
if [ -e "$dir/x" ]; then fail 'a canary that failed left a file'; else pass; fi
run 7 canary create demo -o "$dir/no/such/folder"
run 4 canary check demo --canary "$RZ_SOURCE_DIR/README.md"
printf '{"canary_version": 2, "tensors": {}, "prompts": []}' >"$dir/v2"
run 4 canary check demo --canary "$dir/v2"
err_has 'not a canary of version 1'
printf '{"canary_version": 1, "tensors": {"output_norm.weight": 5}, "prompts": [{"prompt": "a",
"ids": [-1, "x"], "steps": [{"token": 99999999, "top": 3}]}, 7]}' >"$dir/odd"
run 5 canary check demo --canary "$dir/odd"
out_has 'the record is malformed'
out_has 'FAIL'

if command -v python3 >/dev/null 2>&1; then
    # noticed WORDS EDIT...: the check fails, with WORDS.
    noticed() {
        words=$1
        shift
        "$edit" "$demo" "$dir/b.gguf" "$@"
        run 5 canary check "$dir/b.gguf" --canary "$c" -q
        out_has "$words"
    }
    noticed 'output_norm.weight: mean 2.46583, recorded 1.46583' add:output_norm.weight:1
    noticed 'blk.1.ffn_up.weight: std' scale:blk.1.ffn_up.weight:1.5
    noticed 'blk.1.ffn_norm.weight: nan_count 1, recorded 0' set:blk.1.ffn_norm.weight:0:nan
    noticed 'surplus: in the file, and not recorded' rename:blk.1.attn_v.bias:surplus
    noticed 'blk.1.attn_v.bias: recorded, and not in the file' rename:blk.1.attn_v.bias:surplus
    noticed 'blk.0.ffn_up.weight: the shape is another' transpose:blk.0.ffn_up.weight
    # What no statistics show: two square matrices transposed. The answers do.
    noticed '[FAIL] logits' transpose:blk.0.attn_q.weight transpose:blk.1.attn_q.weight
    "$edit" "$demo" "$dir/b.gguf" scale:blk.1.ffn_up.weight:1.0001
    run 0 canary check "$dir/b.gguf" --canary "$c"
    run 5 canary check "$dir/b.gguf" --canary "$c" --exact
    out_has 'blk.1.ffn_up.weight: the elements have changed (checksum)'
    run 5 canary check "$dir/b.gguf" --canary "$c" --logit-tolerance 0
    run 5 canary check "$dir/b.gguf" --canary "$c" --std-tolerance 0
    "$edit" "$demo" "$dir/b.gguf" add:blk.1.attn_norm.weight:0.001
    run 0 canary check "$dir/b.gguf" --canary "$c"
    run 5 canary check "$dir/b.gguf" --canary "$c" --mean-tolerance 0.001
    # A logit that is no number, before others that are as recorded.
    python3 - "$c" "$dir/null.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
d["prompts"][0]["steps"][0]["top"][0]["logit"] = None
json.dump(d, open(sys.argv[2], "w"))
PY
    run 5 canary check demo --canary "$dir/null.json" -q
    out_has 'step 1: a logit is no number'
    # A model that this build cannot run: statistics alone, and a check of answers fails.
    "$edit" "$demo" "$dir/odd.gguf" arch:mamba9
    run 0 canary create "$dir/odd.gguf" -o "$dir/odd.json"
    out_has '50 tensors and 0 prompts recorded'
    err_has 'statistics only'
    run 0 canary check "$dir/odd.gguf" --canary "$dir/odd.json" -q
    run 5 canary check "$dir/odd.gguf" --canary "$c" -q
else
    echo 'skipped: planting faults needs python3'
fi
finish
