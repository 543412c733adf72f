#!/bin/sh
# apr check: ten stages, passed by the demo model with every level of kernels.
. "$(dirname "$0")/lib.sh"
run 0 check demo
out_has '10 of 10 stages passed'
for stage in Tokenizer Embedding 'Positional Encoding' 'Q/K/V Projection' 'Attention Scores' \
    'Feed-Forward (MLP)' 'Layer Norm' 'LM Head' 'Logits to Probabilities' 'Sampler/Decode'; do
    out_has "$stage"
done
run 0 check --json demo --quiet
json 'd["all_passed"] and d["passed"] == d["total"] == len(d["stages"]) == 10'
json 'all(s["status"] == "PASS" and s["details"] and s["error"] <= s["bound"] for s in d["stages"])'
json 'd["architecture"] == "qwen2"'
run 0 check demo -q --cpu-level scalar --threads 1 --no-gpu

# Weights that are not numbers fail it, with exit code 5 in both forms. The last tensor's last
# bytes are the end of the file: Q8_0 blocks begin with a binary16 scale.
cp "$demo" "$dir/bad.gguf"
offset=$("$APR" inspect demo --tensors | awk '$NF == "blk.1.ffn_down.weight" { print $1 }')
printf '\000\176' | dd of="$dir/bad.gguf" bs=1 seek="$offset" conv=notrunc 2>/dev/null
run 5 check "$dir/bad.gguf"
out_has FAIL
err_is_empty
run 5 check --json "$dir/bad.gguf"
json 'not d["all_passed"] and d["passed"] < 10'
err_is_empty
finish
