#!/bin/sh
# apr diff: two model files, by meaning.
. "$(dirname "$0")/lib.sh"
edit=$(dirname "$0")/gguf_edit.py

run 0 diff demo demo
out_is 'metadata: 0 differences\n50 tensors: 50 identical\n'
run 0 diff demo demo --threshold 0
out_has 'PASS: 0 of 50 tensors'
run 2 diff demo
run 3 diff demo "$dir/none.gguf"
run 3 diff demo demo --filter zebra
run 2 diff demo demo --threshold -1
if ! command -v python3 >/dev/null 2>&1; then
    echo 'skipped: planting differences needs python3'
    run 0 diff demo demo --json --values --transpose-aware --limit 1 --threads 1
    finish
fi

# The same values in another type are no difference of values, but of bytes.
"$edit" "$demo" "$dir/f32.gguf" f32:blk.0.ffn_up.weight u32:qwen2.context_length:4096 \
    u32:extra.key:7
run 0 diff demo "$dir/f32.gguf"
out_has '50 tensors: 49 identical, 1 differs'
out_has 'differs    qwen2.context_length: 2048 / 4096'
out_has 'only_in_b  extra.key: - / 7'
run 0 diff demo "$dir/f32.gguf" --values
out_has '50 tensors: 49 identical, 1 same_values'

"$edit" "$demo" "$dir/b.gguf" set:blk.1.ffn_up.weight:300:9 add:blk.2.attn_norm.weight:0.5 \
    rename:blk.0.attn_q.bias:blk.0.new.bias transpose:blk.0.ffn_up.weight \
    transpose:blk.3.attn_q.weight set:blk.3.ffn_norm.weight:5:nan
run 0 diff demo "$dir/b.gguf" --values --json
json 'd["counts"] == {"identical": 44, "same_values": 0, "differs": 4, "transposed": 0, "shape": 1,
"only_in_a": 1, "only_in_b": 1} and d["passed"] is None'
cat >"$dir/by_name" <<'PY'
(lambda t: t["blk.1.ffn_up.weight"]["values"]["max_at"] == 300 and
 t["blk.1.ffn_up.weight"]["values"]["equal_elements"] == 768 * 256 - 1 and
 abs(t["blk.2.attn_norm.weight"]["values"]["rmse"] - 0.5) < 1e-6 and
 abs(t["blk.2.attn_norm.weight"]["values"]["max_abs"] - 0.5) < 1e-6 and
 t["blk.3.ffn_norm.weight"]["values"]["not_finite_b"] == 1 and
 t["blk.3.ffn_norm.weight"]["values"]["rmse"] == 0 and
 t["blk.0.new.bias"]["status"] == "only_in_b" and t["blk.0.new.bias"]["a"] is None and
 t["blk.0.attn_q.bias"]["status"] == "only_in_a" and t["blk.3.attn_q.weight"]["status"] == "differs"
)({t["name"]: t for t in d["tensors"]})
PY
json "$(cat "$dir/by_name")"
cp "$out" "$dir/threads"
run 0 diff demo "$dir/b.gguf" --values --json --threads 1
if cmp -s "$dir/threads" "$out"; then pass; else fail 'differences depend on the threads'; fi
run 0 diff demo "$dir/b.gguf" --json
json 'all("values" not in t for t in d["tensors"])'

run 0 diff demo "$dir/b.gguf" --json --transpose-aware
json '{t["name"] for t in d["tensors"] if t["status"] == "transposed" and
t["values"]["identical"]} == {"blk.0.ffn_up.weight", "blk.3.attn_q.weight"}'
json 'd["counts"]["shape"] == 0'
run 0 diff demo "$dir/b.gguf" --limit 2 --values
same "$(grep -c '^       [a-z_]*  *blk' "$out")" 2 'the tensors that --limit 2 lists'
run 0 diff demo "$dir/b.gguf" --filter '*.attn_q.bias'
out_has '4 tensors: 3 identical, 1 only_in_a'
run 0 diff demo "$dir/b.gguf" --filter new.bias
out_has '1 tensors: 1 only_in_b'

# The threshold: missing tensors, shapes, NaN and errors above it fail, and nothing else.
run 5 diff demo "$dir/b.gguf" --threshold 1000
out_has 'FAIL only_in_a'
out_has 'FAIL shape'
out_has 'FAIL: 4 of 51 tensors'
err_is_empty
run 5 diff demo "$dir/b.gguf" --threshold 1000 --json
json 'd["passed"] is False and sorted(t["status"] for t in d["tensors"] if t["failed"]) ==
["differs", "only_in_a", "only_in_b", "shape"]'
"$edit" "$demo" "$dir/c.gguf" scale:blk.1.ffn_up.weight:1.01
run 5 diff demo "$dir/c.gguf" --threshold 0.0099
run 0 diff demo "$dir/c.gguf" --threshold 0.0101
out_has 'largest relative RMSE: 1 % in blk.1.ffn_up.weight'
"$edit" "$demo" "$dir/z1.gguf" fill:output_norm.weight:0
run 5 diff "$dir/z1.gguf" demo --threshold 1000 --json
json 'd["tensors"][0]["values"]["relative_rmse"] is None'
# What files mean: llama's Q and K rows stand in another order in Hugging Face's files.
llama=$RZ_SOURCE_DIR/tests/golden/data/llama.gguf
run 0 convert "$llama" -o "$dir/llama" --format safetensors --quantize f32 -q
run 0 diff "$llama" "$dir/llama" --values --threshold 0
out_has 'PASS: 0 of '
run 0 rosetta diff-tensors "$llama" "$dir/llama"
out_has ' 0 different, 0 of another shape, 0 in one file only'
finish
