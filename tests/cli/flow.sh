#!/bin/sh
# apr flow: the steps of the model that was bound.
. "$(dirname "$0")/lib.sh"

run 0 flow demo
out_has 'qwen2: 4 layers, 256 wide, 4 heads of 64, 2 KV heads'
out_has 'blk.0.attn_q.bias  F32 [256]'
out_has '2 heads to a KV head (grouped-query)'
out_has 'theta 1000000, pairs (i, i + half), 64 of 64 dimensions turned'
out_has 'the embedding again'
out_lacks 'multiply-adds'
err_is_empty
run 0 flow demo --layer 3
out_has blk.3.ffn_down.weight
out_lacks blk.0.
run 2 flow demo --layer 4
err_has 'layers 0 to 3'
run 0 flow demo -v
out_has 'a token reads 820 KiB and makes 786432 multiply-adds'
run 0 flow demo --verbose --json
json 'd["num_heads"] == 4 and d["num_kv_heads"] == 2 and d["qkv_bias"] and d["tied_head"]'
json 'sum(s["multiply_adds_per_token"] for s in d["steps"] if s["stage"] == "layer") == 786432'
json 'd["steps"][0]["op"] == "embedding" and d["steps"][0]["bytes_per_token"] == 256 // 32 * 34'
json 'd["steps"][-1]["output"] == "n x 4096"'
json '{w["name"] for s in d["steps"] for w in s["weights"]} ==
{"token_embd.weight", "output_norm.weight"} | {"blk.0." + n for n in ("attn_norm.weight",
"attn_q.weight", "attn_q.bias", "attn_k.weight", "attn_k.bias", "attn_v.weight", "attn_v.bias",
"attn_output.weight", "ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")}'
run 0 flow demo --json
json '"bytes_per_token" not in d["steps"][0] and d["layer"] == 0'
LC_ALL=C sed 's/qwen2\.block_count/qwen9.block_count/' "$demo" >"$dir/odd.gguf"
run 4 flow "$dir/odd.gguf"

# Experts: a token reads and computes with those that it uses.
if [ -n "${SYNTH_MODEL:-}" ] && "$SYNTH_MODEL" test-moe q4_k_m "$dir/moe.gguf" >"$err" 2>&1; then
    run 0 flow "$dir/moe.gguf" -v
    out_has 'softmax over 4 experts, the best 2'
    out_has 'blk.0.ffn_gate_exps.weight  Q4_K [4 x 256 x 256]'
    run 0 flow "$dir/moe.gguf" -v --json
    json 'next(s for s in d["steps"] if s["op"] == "experts")["multiply_adds_per_token"] ==
2 * 3 * 256 * 256'
    json 'next(s for s in d["steps"] if s["op"] == "shared expert")["multiply_adds_per_token"] ==
3 * 512 * 256 + 256'
else
    echo 'skipped: experts need synth-model'
fi
finish
