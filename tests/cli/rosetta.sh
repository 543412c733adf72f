#!/bin/sh
# apr rosetta: chains, round trips and comparisons that compute, and fail when something differs.
. "$(dirname "$0")/lib.sh"
export TMPDIR="$dir"
run 0 convert "$demo" -o "$dir/a.gguf" --quantize bf16 -q
run 0 rosetta inspect "$dir/a.gguf"
out_has 'qwen2'
run 0 rosetta inspect "$dir/a.gguf" --json
json 'd["tensor_count"] == 50 and d["format"] == "GGUF" and d["types"][0]["dtype"] == "F32"'
run 0 rosetta convert "$dir/a.gguf" "$dir/a.safetensors" --verify
run 0 rosetta convert "$dir/a.gguf" "$dir/a.apr" --quiet
run 5 rosetta convert "$dir/a.gguf" "$dir/a.apr"
run 0 rosetta convert "$dir/a.gguf" "$dir/a.apr" --force --json
json 'd["format"] == "apr"'
run 0 rosetta convert "$dir/a.gguf" "$dir/q.gguf" --quantize q4_0 -q --threads 1

# The three chains.
run 0 rosetta chain "$dir/a.safetensors" apr gguf safetensors --json
json 'd["success"] and d["total_steps"] == 3 and d["steps"][2]["same_bits"] == 50'
run 0 rosetta chain "$dir/a.gguf" apr safetensors gguf --json
json 'd["success"] and all(s["lossless"] and not s["warnings"] for s in d["steps"])'
json 'd["steps"][2]["same_bits"] == 50 == d["steps"][2]["target_tensors"]'
run 0 rosetta chain "$dir/a.apr" safetensors gguf apr --work-dir "$dir/kept"
out_has lossless
for n in 1.safetensors 2.gguf 3.apr; do
    if [ -e "$dir/kept/step-$n" ]; then pass; else fail "--work-dir kept no step-$n"; fi
done
run 0 rosetta chain "$dir/a.apr" gguf --quantize q8_0 --json
json 'not d["steps"][0]["lossless"] and d["steps"][0]["largest_difference"] > 0'
run 2 rosetta chain "$dir/a.apr" onnx
run 6 rosetta chain "$RZ_SOURCE_DIR/tests/golden/data/qwen3moe.gguf" safetensors gguf
for file in "$dir/a.gguf" "$dir/a.apr" "$dir/a.safetensors" "$dir/q.gguf" \
    "$RZ_SOURCE_DIR/tests/golden/data/llama.gguf"; do
    run 0 rosetta verify "$file"
    out_has 'PASS: largest difference 0'
    run 0 rosetta verify "$file" --intermediate apr --tolerance 0 --json
    json 'd["passed"] and d["largest_difference"] == 0'
done

# Differences are found.
run 0 rosetta diff-tensors "$dir/a.gguf" "$dir/a.apr" --mismatches-only --json
json 'd["same"] and d["compared"] == 50 and d["tensors"] == []'
run 5 rosetta diff-tensors "$dir/a.gguf" "$dir/q.gguf" --show-values --filter ffn_up
out_has 'Q4_0'
run 5 rosetta diff-tensors "$dir/a.gguf" "$dir/q.gguf" --json --show-values
json 'd["different"] == 29 and d["missing"] == 0'
json '"value_a" in [t for t in d["tensors"] if t["verdict"] == "differs"][0]'
run 5 rosetta diff-tensors "$dir/a.gguf" "$RZ_SOURCE_DIR/tests/golden/data/qwen2.gguf"
out_has 'shape'
run 3 rosetta diff-tensors "$dir/a.gguf" "$dir/q.gguf" --filter nothing
run 0 rosetta compare-inference "$dir/a.gguf" "$dir/a.safetensors" --prompt 'Hello' \
    --max-tokens 3 --json
json 'd["passed"] and d["largest_difference"] <= 1e-3 and d["positions"] == len(d["table"]) > 3'
run 5 rosetta compare-inference "$dir/a.gguf" "$dir/q.gguf" -p 'Hello, world' -n 2
out_has FAIL
run 0 rosetta compare-inference "$dir/a.gguf" "$dir/q.gguf" --tolerance 100 --json
run 5 rosetta compare-inference "$dir/a.gguf" "$RZ_SOURCE_DIR/tests/golden/data/qwen2.gguf"
run 0 rosetta fingerprint "$dir/a.gguf" "$dir/q.gguf" --json
json 'd["passed"] and d["total_tensors"] == 50 and "p95" in d["tensors"][0]'
run 0 rosetta fingerprint "$dir/a.gguf" --filter output_norm --output "$dir/f.json"
cp "$dir/f.json" "$out"
json 'd["total_tensors"] == 1 and d["tensors"][0]["nan_count"] == 0'
run 5 rosetta fingerprint "$dir/a.gguf" "$RZ_SOURCE_DIR/tests/golden/data/qwen2.gguf"
out_has ANOMALY
run 0 rosetta fingerprint "$dir/a.gguf" --filter 'blk.0.attn_q.weight' --threads 2 --quiet
out_has mean

run 2 rosetta
run 2 rosetta dance
err_has dance
run 2 rosetta inspect
run 2 rosetta inspect "$dir/a.gguf" --tolerance 1
err_has 'no option --tolerance'
same "$(find "$dir" -name 'apr-rosetta.*' | wc -l | tr -d ' ')" 0 'work folders left'
finish
