#!/bin/sh
# apr hex: a file's bytes and what they mean, also of files that no reader opens.
. "$(dirname "$0")/lib.sh"
edit=$(dirname "$0")/gguf_edit.py

run 0 hex demo
out_has 'metadata entries       27'
out_has '"general.architecture"'
cp "$out" "$dir/default"
run 0 hex demo --header
if cmp -s "$dir/default" "$out"; then pass; else fail '--header is not the default'; fi
run 0 hex demo --header --limit 1000
out_has '"blk.3.ffn_up.weight"'
out_has 'ggml type            8'
out_lacks 'more tensors'

# Raw bytes, as od shows them.
run 0 hex demo --raw --offset 5 --limit 20
out_has '0000000005  00 00 00 32 00 00 00 00  00 00 00 1b 00 00 00 00  |...2............|'
run 0 hex demo --raw --limit 8 --width 4
out_has '0000000004  03 00 00 00  |....|'
out_has 'more bytes'
run 2 hex demo --raw --offset 999999999
err_has 'beyond the end'
run 2 hex demo --raw --width 65
size=$(wc -c <"$demo")
run 0 hex demo --raw --offset $((size - 3)) --limit 100
same "$(wc -l <"$out")" 1 'the rows at the end of the file'
run 0 hex demo --raw --entropy --limit 1
out_has "bits a byte over $size bytes"
printf '\001\002\001\002' >"$dir/two"
run 0 hex "$dir/two" --entropy
out_has 'entropy: 1.0000 bits a byte over 4 bytes, 2 distinct bytes'

# A tensor: bytes, blocks, values, and what they are like.
run 0 hex demo --tensor output_norm.weight
out_has 'F32 [256], 1024 bytes from byte'
run 0 hex demo --tensor token_embd.weight --blocks --offset 9 --limit 2
out_has 'block 9: row 1, columns 32-63, byte 306'
out_has '(scale)'
out_has '(a signed byte an element)'
out_has 'codes'
run 0 hex demo --tensor token_embd.weight --values --offset 256 --limit 5 --width 3
out_has '[1, 0]'
out_has '[1, 3]'
out_has 'more elements'
run 0 hex demo --tensor output_norm.weight --distribution --entropy
out_has '256 elements, mean 1.46583'
out_has 'entropy'
same "$(awk '/%/ && $1 ~ /^[0-9.]+$/ { n += $2 } END { print n }' "$out")" 256 'the sum of the bars'
run 3 hex demo --tensor output_nrom.weight
err_has 'did you mean output_norm.weight?'
run 2 hex demo --blocks
err_has 'needs --tensor'
run 2 hex demo --values
run 2 hex demo --distribution
run 2 hex demo --tensor output_norm.weight --raw
run 2 hex demo --raw --header
run 2 hex demo --tensor output_norm.weight --offset 1024

if command -v python3 >/dev/null 2>&1; then
    # Values are those that the bytes decode to; a K block's factors are whole numbers.
    python3 - "$(dirname "$edit")" "$demo" >"$dir/want" <<'PY'
import sys
sys.path.insert(0, sys.argv[1])
import gguf_edit
x = gguf_edit.floats(gguf_edit.load(sys.argv[2])[1]["blk.2.attn_k.weight"])
print("[1, 0]", *("%.9g" % v for v in x[256:264]))
PY
    run 0 hex demo --tensor blk.2.attn_k.weight --values --offset 256 --limit 8
    out_has "$(cat "$dir/want")"
else
    echo 'skipped: values need python3 to compare with'
fi
if [ -n "${SYNTH_MODEL:-}" ] && "$SYNTH_MODEL" test q4_k_m "$dir/k.gguf" 2>"$err"; then
    run 0 hex "$dir/k.gguf" --tensor blk.0.ffn_gate.weight --blocks
    out_has '(6 bits scale, 6 bits min of each 32 elements)'
    if grep -Eq 'scale .* \(d x [0-9]+\)  min .* \(dmin x [0-9]+\)' "$out"; then
        pass
    else
        fail 'no factors of a K block'
    fi
else
    echo 'skipped: K blocks need synth-model'
fi

# An option that would do nothing is refused, not ignored.
run 2 hex demo --offset 1
err_has '--offset has no effect here: give --raw or --tensor NAME'
run 2 hex demo --header --width 8
run 2 hex demo --entropy --limit 3
run 2 hex demo --tensor output_norm.weight --entropy --offset 1
run 2 hex demo --tensor output_norm.weight --distribution --limit 1
run 0 hex demo --tensor output_norm.weight --distribution --values --limit 1

# Damaged files: what can be read is shown, then where the damage is.
head -c 1000 "$demo" >"$dir/cut.gguf"
run 4 hex "$dir/cut.gguf" --header --limit 100
out_has '"general.architecture"'
err_has 'is damaged'
run 0 hex "$dir/cut.gguf" --raw --limit 16
run 4 tensors "$dir/cut.gguf"
{
    head -c 24 "$demo"
    printf '\377\377\377\377\377\377\377\377general'
} >"$dir/long.gguf"
run 4 hex "$dir/long.gguf"
err_has '18446744073709551615 bytes'
{
    head -c 52 "$demo"
    printf '\143\0\0\0'
    tail -c +57 "$demo" | head -c 500
} >"$dir/type.gguf"
run 4 hex "$dir/type.gguf"
err_has 'type at byte 52 is 99'
: >"$dir/empty"
run 4 hex "$dir/empty"
printf 'hello, this is no model' >"$dir/text"
run 4 hex "$dir/text" --header
out_has '|hello, this is n|'
run 0 hex "$dir/text" --raw
printf '\020\0\0\0\0\0\0\0{"a":1}         1234' >"$dir/x.safetensors"
run 0 hex "$dir/x.safetensors"
out_has 'header length          16 bytes'
out_has '4 bytes of tensors'
printf '\020\020\0\0\0\0\0\0{"a":1}' >"$dir/y.safetensors"
run 4 hex "$dir/y.safetensors"
err_has 'the header at byte 8 takes 4112 bytes, 7 are left'
if [ -n "${RZ_SHARED:-}" ]; then
    apr1=$RZ_SHARED/fixtures/apr/mnist_784x2.apr
    run 0 hex "$apr1"
    out_has 'CRC-32 of the file: f38814fe, right'
    { head -c 100 "$apr1" && printf 'x' && tail -c +102 "$apr1"; } >"$dir/bad.apr"
    run 4 hex "$dir/bad.apr"
    out_has WRONG
    err_has 'CRC-32 of the file is'
fi
finish
