#!/bin/sh
# apr quantize: every type and mix, errors that are told and true, an importance matrix.
. "$(dirname "$0")/lib.sh"
run 0 convert "$demo" -o "$dir/a.gguf" --quantize f32 -q
run 0 convert "$dir/a.gguf" -o "$dir/s.safetensors" --quantize bf16 -q

# From the help, so that none is forgotten there.
run 0 help quantize
types=$(sed -n '/^TYPE is/,/^q4_k_s/p' "$out" | tr ' ' '\n' | grep -E '^(i?q[0-9]|bf|f)[0-9a-z_]*$')
same "$(echo "$types" | wc -l | tr -d ' ')" 19 'types in the help'
last_error=0
for type in $types q3_k q4_k q5_k; do
    run 0 quantize "$dir/a.gguf" "$dir/q.gguf" "$type" --force --json
    json 'len(d["tensors"]) == 50 and d["to_bytes"] <= d["from_bytes"]'
    json 'all(t["to"] == "F32" and t["rmse"] == 0 for t in d["tensors"] if "norm" in t["name"])'
    json 'all(t["rmse"] <= 0.4 * t["rms"] for t in d["tensors"])'
    run 0 inspect "$dir/q.gguf"
done
# Finer types have smaller errors.
for type in q2_k q3_k q4_k q5_k q6_k q8_0; do
    run 0 quantize "$dir/a.gguf" "$dir/q.gguf" $type --force --json
    error=$(python3 -c 'import json,sys
for t in json.load(open(sys.argv[1]))["tensors"]:
    if t["name"] == "blk.1.ffn_up.weight":
        print(t["rmse"] / t["rms"])' "$out" 2>/dev/null || echo 0)
    if [ "$last_error" != 0 ] && [ "$error" != 0 ]; then
        if awk "BEGIN { exit !($error < $last_error) }"; then pass; else
            fail "$type: error $error, the coarser type's $last_error"
        fi
    fi
    last_error=$error
done

run 0 quantize "$dir/a.gguf" "$dir/q.gguf" q4_k_m --force --verify --threads 2
out_has 'blk.0.attn_v.weight'
out_has 'verified: 50 tensors'
out_has 'logits of a fixed prompt'
run 0 quantize "$dir/s.safetensors" "$dir/q.apr" q4_k_m --compression zstd --verify -q
out_is_empty
run 0 quantize "$dir/s.safetensors" "$dir/x" q8_0 --format gguf --quiet
run 2 quantize "$dir/a.gguf" "$dir/y.gguf" q4_k_m --shard-size 1M
run 2 quantize "$dir/a.gguf" "$dir/y.gguf" q7
run 2 quantize "$dir/a.gguf" "$dir/y.gguf"
run 5 quantize "$dir/a.gguf" "$dir/q.gguf" q8_0
err_has '--force'
# Twice is said.
run 0 quantize "$dir/q.gguf" "$dir/y.gguf" q4_0
out_has 'quantized already'

# An importance matrix changes blocks, and must fit the model.
printf 'The quick brown fox jumps over the lazy dog. %.0s' 1 2 3 4 5 6 7 8 9 10 >"$dir/text"
if "$APR" help imatrix >/dev/null 2>&1; then
    run 0 imatrix "$dir/a.gguf" --file "$dir/text" -o "$dir/im.gguf"
    run 0 quantize "$dir/a.gguf" "$dir/w.gguf" q4_k --imatrix "$dir/im.gguf" -q
    run 0 quantize "$dir/a.gguf" "$dir/v.gguf" q4_k -q
    if cmp -s "$dir/w.gguf" "$dir/v.gguf"; then fail 'the imatrix changed nothing'; else pass; fi
    run 5 quantize "$RZ_SOURCE_DIR/tests/golden/data/qwen2.gguf" "$dir/z.gguf" q8_0 \
        --imatrix "$dir/im.gguf"
fi
run 4 quantize "$dir/a.gguf" "$dir/z.gguf" q4_k --imatrix "$dir/text"
if [ -e "$dir/z.gguf" ]; then fail 'z.gguf was left'; else pass; fi
run 0 quantize "$dir/a.gguf" "$dir/p.apr" q4_k_m --packed -q
run 0 quantize "$dir/a.gguf" "$dir/p.apr" q4_k_m --packed-only -f -t 1 --verify
out_has 'verified: 50 tensors'
run 2 quantize "$dir/a.gguf" "$dir/p.gguf" q8_0 --packed
finish
