#!/bin/sh
# apr validate: every check passes on a good model and fails on a planted fault.
. "$(dirname "$0")/lib.sh"
edit=$(dirname "$0")/gguf_edit.py

run 0 validate demo
out_has 'PASS layers       4 layers, as declared'
out_has 'N/A  checksum'
out_has 'VALID: 12 checks passed, 0 warned, 0 failed, 0 skipped, 3 not applicable'
err_is_empty
run 0 validate demo --strict
run 0 validate demo -q
out_is 'VALID: 12 checks passed, 0 warned, 0 failed, 0 skipped, 3 not applicable\n'
run 0 validate demo --quiet --threads 1
run 0 validate --json demo
json 'd["valid"] and len(d["checks"]) == 15 and d["findings"] == [] and d["num_tensors"] == 50'
json 'd["passed"] == sum(c["verdict"] == "PASS" for c in d["checks"]) == 12'
run 4 validate "$RZ_SOURCE_DIR/README.md"
if ! command -v python3 >/dev/null 2>&1; then
    echo 'skipped: planting faults needs python3'
    finish
fi

# fault CHECK WORDS EDIT...: this check alone fails, the one on binding apart, and says WORDS.
fault() {
    check=$1
    words=$2
    shift 2
    "$edit" "$demo" "$dir/fault.gguf" "$@"
    run 5 validate "$dir/fault.gguf"
    out_has "$words"
    out_has "FAIL $check"
    out_has 'INVALID:'
    run 5 validate --json "$dir/fault.gguf"
    json 'not d["valid"] and {"binding", "'"$check"'"} ==
{c["check"] for c in d["checks"] if c["verdict"] == "FAIL"} | {"binding"}'
}
m=blk.2.attn_output.weight
fault nan "$m: 1 NaN, the first is element 777" set:$m:777:nan
fault inf "$m: 1 infinite, the first is element 5" set:$m:5:-inf
fault all_zero "$m: all 65536 elements are zero" fill:$m:0
fault all_zero 'output_norm.weight: all 256 elements are zero' fill:output_norm.weight:0
fault constant "$m: all 65536 elements are 0.25" fill:$m:0.25
fault l2 "$m: the L2 norm is" scale:$m:1e-9
fault dead_rows "$m: 1 of 256 rows are all zero, the first is row 31" fillrow:$m:31:0
fault density 'of the elements are zero, more than 80 %' thin:$m:10
fault density 'token_embd.weight: 67.0 %' thin:token_embd.weight:3
fault layers 'tensors of layer 3 but none of layer 2' 'drop:blk.2.*'
fault layers 'tensors of 4 layers, the metadata declares 5' u32:qwen2.block_count:5
fault vocabulary 'the embedding has 4096 rows, vocab_size is 4095' u32:qwen2.vocab_size:4095
fault vocabulary 'rows, the tokenizer 4096 tokens' transpose:token_embd.weight \
    u32:qwen2.embedding_length:4096
fault width 'the embedding is 256 wide, embedding_length is 512' u32:qwen2.embedding_length:512
fault head 'output.weight is 128 x 256' rename:blk.0.attn_k.weight:output.weight
fault special_ids 'eos_token_id is 4096, there are 4096 tokens' u32:tokenizer.ggml.eos_token_id:4096
fault binding 'attn_v' drop:blk.1.attn_v.weight

# The checksum of an .apr: one bit of a weight, or of the checksum itself.
flip() {
    python3 -c 'import sys
d = bytearray(open(sys.argv[1], "rb").read())
d[int(sys.argv[2])] ^= 1
open(sys.argv[3], "wb").write(d)' "$dir/good.apr" "$1" "$dir/bad.apr"
}
for form in lz4 zstd; do
    run 0 convert demo -o "$dir/good.apr" --compression $form -f -q
    run 0 validate "$dir/good.apr" --strict
    out_has 'PASS checksum     CRC-32 of the header is right'
done
run 0 convert demo -o "$dir/good.apr" -f -q
run 0 validate "$dir/good.apr" --strict
out_has 'PASS checksum     CRC-32 of the header and of the file is right'
flip -1
run 5 validate "$dir/bad.apr"
out_has 'FAIL checksum     CRC-32 of the file is'
flip -1000
run 5 validate "$dir/bad.apr"
out_has 'FAIL checksum     CRC-32 of the file is'
run 4 hex "$dir/bad.apr" --limit 1
out_has WRONG

# Matrices that are there twice.
run 0 convert demo -o "$dir/good.apr" --packed-only -f -q
run 0 validate "$dir/good.apr" --strict
out_has 'N/A  packed       no matrix is there both packed and plain'
run 0 convert demo -o "$dir/good.apr" --packed -f -q
run 0 validate "$dir/good.apr" --strict
out_has 'PASS packed       29 matrices have the same weights packed and plain'
run 0 hex "$dir/good.apr"
data=$(awk '/ data at / { print $NF }' "$out")
first=$(awk '/ offset .* from the data/ { print $(NF - 4); exit }' "$out")
flip $((data + first + 9 * 16 * 8 * 34 + 2 * 5)) # of Q8_0's strip 9 the scale of row 5
run 5 validate "$dir/bad.apr"
out_has 'FAIL packed       row 149 of token_embd.weight has other weights packed than plain'
head -c -1 "$dir/good.apr" >"$dir/bad.apr"
run 0 validate "$dir/bad.apr"
out_has 'WARN checksum     the last 3 bytes are neither the end of a section nor a checksum'
run 5 validate "$dir/bad.apr" --strict
flip 45
run 4 validate "$dir/bad.apr"
run 4 hex "$dir/bad.apr" --limit 1
err_has 'CRC-32 of the header is'

# What is odd but may be meant: a warning, which fails with --strict only.
warning() {
    check=$1
    words=$2
    shift 2
    "$edit" "$demo" "$dir/odd.gguf" "$@"
    run 0 validate "$dir/odd.gguf"
    out_has "WARN $check"
    out_has "$words"
    run 0 validate -q "$dir/odd.gguf"
    out_has 'VALID: 11 checks passed, 1 warned'
    run 5 validate "$dir/odd.gguf" --strict
}
warning all_zero 'blk.0.attn_k.bias: all 128 elements are zero' fill:blk.0.attn_k.bias:0
warning constant 'blk.0.ffn_norm.weight: all 256 elements are 1' fill:blk.0.ffn_norm.weight:1
warning dead_rows 'token_embd.weight: 1 of 4096 rows' fillrow:token_embd.weight:4095:0
warning l2 'blk.0.attn_k.bias: the L2 norm is' scale:blk.0.attn_k.bias:1e-12

# What cannot be checked is no pass: with --strict it fails.
"$edit" "$demo" "$dir/arch.gguf" arch:mamba9
run 5 validate "$dir/arch.gguf"
out_has 'the metadata lacks block_count'
"$edit" "$demo" "$dir/arch.gguf" arch:mamba9 u32:mamba9.block_count:4 \
    u32:mamba9.embedding_length:256
run 0 validate "$dir/arch.gguf"
out_has 'SKIP binding'
out_has mamba9
run 5 validate "$dir/arch.gguf" --strict

"$edit" "$demo" "$dir/more.gguf" copy:output_norm.weight:surplus.weight
run 0 validate "$dir/more.gguf"
out_has 'SKIP binding'
out_has surplus.weight
run 5 validate "$dir/more.gguf" --strict

# A separate head is compared with the embedding.
"$edit" "$demo" "$dir/fewer.gguf" drop:token_embd.weight
run 5 validate "$dir/fewer.gguf"
out_has 'SKIP vocabulary   there is no token_embd.weight'
finish
