#!/bin/sh
# apr inspect: the page and the JSON document tell the same about a model file.
. "$(dirname "$0")/lib.sh"

run 0 inspect demo
for word in 'GGUF version 3' qwen2 num_kv_heads rope_type neox 'bits per weight' 'pre-tokenizer' \
    'chat template' 'KV cache' scratch; do
    out_has "$word"
done
out_lacks blk.0.attn_q.weight
out_lacks general.architecture
err_is_empty
run 0 inspect "$demo" --tensors
out_has blk.0.attn_q.weight
out_has token_embd.weight
run 0 inspect demo --metadata
out_has 'general.architecture (string) = qwen2'
out_has ', ...]'

run 0 inspect --json demo
json 'd["format"] == "GGUF" and d["version"] == 3 and d["shards"] == 1 and d["supported"]'
json 'd["architecture"] == "qwen2" and d["file_bytes"] == '"$(wc -c <"$demo")"
json 'd["hyperparameters"]["num_heads"] % d["hyperparameters"]["num_kv_heads"] == 0'
json 'd["hyperparameters"]["rope_type"] == "neox" and d["hyperparameters"]["qkv_bias"] is True'
json 'sum(q["bytes"] for q in d["quantization"]) == d["weight_bytes"]'
json 'sum(q["tensors"] for q in d["quantization"]) == d["num_tensors"] == len(d["tensors"])'
json 'abs(sum(q["share"] for q in d["quantization"]) - 1) < 1e-6'
json 'abs(d["bits_per_weight"] - 8 * d["weight_bytes"] / d["parameters"]) < 1e-6'
json 'd["tokenizer"]["vocab_size"] == d["hyperparameters"]["vocab_size"]'
json 'd["tokenizer"]["eos"]["text"] == "<|im_end|>" and "im_start" in d["chat_template"]'
json 'd["memory"]["total_bytes"] == d["memory"]["weights_bytes"] + d["memory"]["kv_bytes"] +
d["memory"]["scratch_bytes"]'
json 'next(m for m in d["metadata"] if m["key"] == "tokenizer.ggml.tokens")["count"] ==
d["tokenizer"]["vocab_size"]'
json 'all(set(t) == {"name","dtype","shape","bytes","offset"} for t in d["tensors"])'
json 'next(t for t in d["tensors"] if t["name"] == "blk.0.attn_k.weight")["shape"] ==
[d["hyperparameters"]["num_kv_heads"] * d["hyperparameters"]["head_dim"],
d["hyperparameters"]["hidden_size"]]'

# The KV cache grows with the context and with its type.
run 0 inspect --json demo --ctx 512 --kv f16
kv='2 * d["hyperparameters"]["num_layers"] * d["hyperparameters"]["num_kv_heads"] *
d["hyperparameters"]["head_dim"]'
json 'd["memory"]["ctx"] == 512 and d["memory"]["kv_bytes"] == 512 * 2 * '"$kv"
run 0 inspect --json demo --ctx 512 --kv q8_0
json 'd["memory"]["kv_type"] == "Q8_0" and d["memory"]["kv_bytes"] * 32 == 512 * 34 * '"$kv"
run 0 inspect --json demo --ctx 1024 --kv f32
json 'd["memory"]["ctx"] == 1024 and d["memory"]["kv_bytes"] == 1024 * 4 * '"$kv"
run 0 inspect demo --ctx 1000000
out_has 1000000

# A file that this build cannot run: what the file tells stays, the reason is given.
LC_ALL=C sed 's/qwen2\.block_count/qwen9.block_count/' "$demo" >"$dir/odd.gguf"
run 0 inspect "$dir/odd.gguf"
out_has 'not supported'
out_has 'bits per weight'
run 0 inspect --json "$dir/odd.gguf"
json 'd["supported"] is False and d["why_not_supported"] and d["memory"] is None'
json 'd["hyperparameters"]["num_heads"] > 0 and d["hyperparameters"]["rope_type"] is None'

# Control characters in a file's strings do not reach the terminal.
LC_ALL=C sed "s/apr demo/ap$(printf '\033')[31mo/" "$demo" >"$dir/escape.gguf"
run 0 inspect "$dir/escape.gguf" --metadata
if LC_ALL=C grep -q "$(printf '\033')" "$out"; then
    fail 'an escape sequence in a name is printed as it is'
else
    pass
fi
out_has 'ap\x1B[31mo'
# A long string is told whole.
if command -v python3 >/dev/null 2>&1; then
    long=$(printf '%070000d' 0)
    python3 "$RZ_SOURCE_DIR/tests/cli/gguf_edit.py" "$demo" "$dir/long.gguf" "arch:$long"
    run 0 inspect --json "$dir/long.gguf"
    json 'len(d["metadata"][0]["value"]) == 70000'
fi
finish
