#!/bin/sh
# synth_model.sh - the tool that writes random models: what it writes is the same every time, of the
# published size, and a failure leaves nothing behind.
set -eu
tool=${SYNTH_MODEL:?}
dir=$(mktemp -d "${TMPDIR:-/tmp}/rz-synth-XXXXXX")
trap 'rm -rf "$dir"' EXIT INT TERM

fail()
{
    echo "synth_model.sh: $*" >&2
    exit 1
}

# Every type there is, for the small shapes.
for type in f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0 q2_k q3_k q3_k_s q3_k_m q3_k_l q4_k q4_k_s \
    q4_k_m q5_k q5_k_s q5_k_m q6_k iq4_nl iq4_xs; do
    "$tool" test $type "$dir/a.gguf" >"$dir/out" || fail "test $type: exit code $?"
    size=$(wc -c <"$dir/a.gguf")
    grep -q "26 tensors, $size bytes" "$dir/out" || fail "test $type: $(cat "$dir/out")"
    [ "$(head -c 4 "$dir/a.gguf")" = GGUF ] || fail "test $type: no GGUF file"
done
"$tool" test-moe q4_k_m "$dir/moe.gguf" | grep -q "37 tensors" || fail "test-moe"

# The same file twice, over an older one.
"$tool" test q4_k_m "$dir/a.gguf" >"$dir/out"
"$tool" test q4_k_m "$dir/b.gguf" >"$dir/out"
cmp "$dir/a.gguf" "$dir/b.gguf" || fail "two runs differ"

# What is wrong is refused, with the usage or a sentence, and leaves no file.
expect()
{
    want=$1
    shift
    code=0
    "$tool" "$@" >"$dir/out" 2>"$dir/err" || code=$?
    [ $code = "$want" ] || fail "$*: exit code $code, not $want"
    [ -s "$dir/err" ] || fail "$*: no message"
}
expect 2
expect 2 test q4_k_m
expect 2 nine q4_k_m "$dir/c.gguf"
expect 2 test q9_k "$dir/c.gguf"
expect 2 test q4_k_m "$dir/c.gguf" --unknown
expect 2 test q4_k_m "$dir"
expect 7 test q4_k_m "$dir/none/c.gguf"
expect 3 test q4_k_m "$dir/c.gguf" --tokenizer "$dir"
mkdir "$dir/tok"
echo '{"a": 0, "b": 1, "ab": 7}' >"$dir/tok/vocab.json"
echo 'a b' >"$dir/tok/merges.txt"
expect 4 test q4_k_m "$dir/c.gguf" --tokenizer "$dir/tok"
grep -q "id of ab" "$dir/err" || fail "an id out of range is not named"
echo '{"a": 0, "b": 1, "ab": 2}' >"$dir/tok/vocab.json"
printf '#version: 0.2\na b\na\n' >"$dir/tok/merges.txt"
expect 4 test q4_k_m "$dir/c.gguf" --tokenizer "$dir/tok"
grep -q "line 3" "$dir/err" || fail "a bad merge is not named"
[ ! -e "$dir/c.gguf" ] || fail "a failure left a file"
printf '#version: 0.2\r\na b\r\n' >"$dir/tok/merges.txt"
"$tool" test q4_k_m "$dir/c.gguf" --tokenizer "$dir/tok" >"$dir/out" || fail "a small vocabulary"
"$tool" --help | grep -q "usage: synth-model" || fail "--help"
[ -z "$(find "$dir" -name '*.part')" ] || fail "a temporary file was left"

# A limit on the size of files stands for a full disk.
(
    ulimit -f 100
    code=0
    "$tool" test f32 "$dir/d.gguf" >"$dir/out" 2>"$dir/err" || code=$?
    [ $code = 7 ] || fail "no space: exit code $code"
    grep -q "cannot write" "$dir/err" || fail "no space: $(cat "$dir/err")"
)
[ "$(find "$dir" -name 'd.gguf*')" = "" ] || fail "no space: something was left"

# Qwen2.5-0.5B's Q4_K_M, as published: 398 MB (the metadata differs by a few kB).
if [ -n "${RZ_SHARED:-}" ]; then
    "$tool" 0.5b q4_k_m "$dir/a.gguf" --tokenizer "$RZ_SHARED/fixtures/qwen2-tokenizer" >"$dir/out"
    size=$(wc -c <"$dir/a.gguf")
    if [ "$size" -lt 397700000 ] || [ "$size" -gt 397900000 ]; then
        fail "0.5b q4_k_m has $size bytes"
    fi
else
    echo "skipped: the published size needs the shared fixtures"
fi
echo "synth_model.sh: passed"
