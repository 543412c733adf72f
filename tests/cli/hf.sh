#!/bin/sh
# apr with a Hugging Face directory as MODEL: the same answers as from GGUF, and what is refused.
. "$(dirname "$0")/lib.sh"
if [ -z "${RZ_SHARED:-}" ]; then
    echo "skipped: a Hugging Face directory needs the shared fixtures"
    exit 0
fi
hf=$RZ_SHARED/fixtures/demo/hf

# copy: a directory of its own, to change.
copy() {
    rm -rf "$dir/hf"
    mkdir "$dir/hf"
    cp "$hf"/* "$dir/hf"
    chmod u+w "$dir/hf"/*
}

for model in "$hf" "$hf/" "$hf/model.safetensors"; do
    run 0 inspect "$model"
    for word in 'SafeTensors, ' 'qwen2' 'BF16' 'neox' 'pre-tokenizer qwen2' '<|im_end|>'; do
        out_has "$word"
    done
    out_lacks 'version 0'
    err_is_empty
done
run 0 inspect --json "$hf"
json 'd["format"] == "SafeTensors" and d["supported"] and d["num_tensors"] == 50'
json 'd["hyperparameters"]["tied_head"] is True and d["hyperparameters"]["sliding_window"] == 0'
json 'd["hyperparameters"]["rope_theta"] == 1e6 and d["tokenizer"]["vocab_size"] == 4096'
json 'set(q["dtype"] for q in d["quantization"]) == {"BF16"}'

# Tokens and greedy text as from the GGUF file that was made of the same weights.
gguf=$RZ_SHARED/fixtures/demo/gguf/demo-q8_0.gguf
for text in 'Hello, world' 'fn main() { 12345 }' '<|im_start|>user' 'naïve — 你好'; do
    run 0 tokenize "$gguf" "$text"
    from_gguf=$(cat "$out")
    run 0 tokenize "$hf" "$text"
    same "$(cat "$out")" "$from_gguf" "tokens of '$text'"
done
run 0 run "$gguf" 'What is 4 times 5?' --temperature 0 --repeat-penalty 1 -n 24 -q
from_gguf=$(cat "$out")
run 0 run "$hf" 'What is 4 times 5?' --temperature 0 --repeat-penalty 1 -n 24 -q
same "$(cat "$out")" "$from_gguf" 'the greedy answer'
run 0 check "$hf"

# What is missing, or says something that this build would compute wrongly.
mkdir "$dir/empty"
run 3 run "$dir/empty" hello
err_has 'is a directory'
copy
rm "$dir/hf/config.json"
run 3 run "$dir/hf" hello
err_has config.json
run 6 run "$dir/hf/model.safetensors" hello
err_has 'config.json is missing'
# Without it the file is no model, but what it holds can be looked at, under its own names.
alone=$dir/hf/model.safetensors
for command in tensors tree inspect validate 'rosetta fingerprint'; do
    # shellcheck disable=SC2086 # a command of two words
    run 0 $command "$alone"
done
run 0 diff "$alone" "$alone"
run 0 tensors "$alone"
out_has 'model.embed_tokens.weight'
run 5 convert "$alone" -o "$dir/x.gguf"
copy
rm "$dir/hf/tokenizer.json"
run 3 run "$dir/hf" hello
err_has 'tokenizer.json is missing'
copy
rm "$dir/hf/model.safetensors"
run 3 run "$dir/hf" hello
err_has 'neither model.safetensors nor'
copy
sed -i 's/"silu"/"gelu"/' "$dir/hf/config.json"
run 6 run "$dir/hf" hello
err_has 'hidden_act: "gelu" is not supported'
copy
sed -i 's/{1,3}/{1,9}/;s/"NFC"/"NFKC"/' "$dir/hf/tokenizer.json"
run 6 run "$dir/hf" hello
err_has 'NFKC'
copy
head -c 100000 "$hf/model.safetensors" >"$dir/hf/model.safetensors"
run 4 run "$dir/hf" hello
err_has 'data_offsets end at'
copy
printf 'x' >>"$dir/hf/model.safetensors"
run 4 run "$dir/hf" hello
err_has 'the last tensor ends at byte'
finish
