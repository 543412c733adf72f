#!/bin/sh
# apr export: GGUF and SafeTensors for other programs.
. "$(dirname "$0")/lib.sh"
run 0 export --list-formats
for format in gguf safetensors apr; do out_has "$format"; done
run 0 export --list-formats --json
json '[f["format"] for f in d] == ["gguf", "safetensors", "apr"]'
run 0 export "$demo" --format safetensors --quantize bf16 -o "$dir/hf" --verify
for doc in config.json tokenizer.json tokenizer_config.json generation_config.json \
    model.safetensors; do
    if [ -s "$dir/hf/$doc" ]; then pass; else fail "no $doc"; fi
done
for doc in config tokenizer tokenizer_config generation_config; do
    cp "$dir/hf/$doc.json" "$out"
    json 'isinstance(d, dict)'
done
cp "$dir/hf/config.json" "$out"
json 'd["model_type"] == "qwen2" and d["num_key_value_heads"] == 2 and d["rope_theta"] == 1e6'
json 'd["tie_word_embeddings"] is True and d["torch_dtype"] == "bfloat16"'
json 'd["rms_norm_eps"] == 1e-6'
cp "$dir/hf/tokenizer.json" "$out"
json 'd["model"]["type"] == "BPE" and d["normalizer"] == {"type": "NFC"}'
json '[t["content"] for t in d["added_tokens"]][:2] == ["<|endoftext|>", "<|im_start|>"]'
run 0 export "$dir/hf" --format gguf -o "$dir/x.gguf" --quiet --threads 2
run 0 export "$dir/x.gguf" --format apr -o "$dir/x.apr" --compression none -q
run 0 export "$dir/x.gguf" -o "$dir/y.safetensors" --shard-size 5M -q
run 0 export "$dir/x.gguf" -o "$dir/y.safetensors" --force --json
json 'd["format"] == "safetensors"'
run 5 export "$dir/x.gguf" -o "$dir/y.safetensors"
run 2 export "$dir/x.gguf"
run 2 export -o "$dir/z.gguf"
run 2 export "$dir/x.gguf" --format onnx -o "$dir/z"
run 3 export "$dir/x.gguf" -o "$dir/z.gguf" --quantize q4_k --imatrix "$dir/nothing"
if [ -e "$dir/z.gguf" ]; then fail 'z.gguf was left'; else pass; fi
run 0 export "$demo" --format apr --output "$dir/p.apr" --packed -f -q
run 0 export "$demo" --output "$dir/p.apr" --packed-only -f -t 1 -q
run 2 export "$demo" --output "$dir/p.safetensors" --quantize f16 --packed-only
finish
