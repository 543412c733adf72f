#!/bin/sh
# The cache of prepacked copies: the first answer of a SafeTensors model leaves one, the next start
# uses it; what changes is seen; what fails is a note. And `apr cache`.
. "$(dirname "$0")/lib.sh"
cache=$dir/cache
export XDG_CACHE_HOME="$cache"
packed=$cache/apr/packed
prompt='What is 4 times 5?'

# A level whose products take rows keeps no copy (docs/packed.md); this CPU or build has no other.
run 0 run -v demo x -n 1
if grep -q 'scalar kernels' "$err"; then
    echo 'skipped: prepacked copies need more than scalar kernels'
    finish
fi

# settle: a file changed this very moment is not kept, since a change after it could look the same.
settle() {
    sleep 0.1
}

# answer MODEL OPTION...: a run whose answer must be the model's, with nothing on stderr.
answer() {
    model=$1
    shift
    run 0 run "$model" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q "$@"
    same "$(cat "$out")" "$right" "$last"
    err_is_empty
}

copies() {
    find "$packed" -name '*.apr' 2>/dev/null | wc -l | tr -d ' '
}

run 0 convert demo -o "$dir/hf" --format safetensors --quantize bf16 -q
run 0 run "$dir/hf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q --no-cache
right=$(cat "$out")
same "$(copies)" 0 'copies with --no-cache'
run 0 cache list --json
json 'd["copies"] == [] and d["bytes"] == 0 and d["limit_bytes"] == 20000000000'
settle

# The first run leaves a copy, the second uses it and its weights are packed.
answer "$dir/hf"
same "$(copies)" 1 'copies after the first run'
run 0 run -v "$dir/hf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24
same "$(cat "$out")" "$right" 'the answer of the copy'
err_has "cache     $packed/"
same "$(find "$packed" -name '*.part' | wc -l | tr -d ' ')" 0 'unfinished copies'
run 0 cache list
out_has "$dir/hf"
err_has "1 copy in $packed"
run 0 cache list --json
json 'len(d["copies"]) == 1 and d["copies"][0]["source"].endswith("/hf")'
json 'd["copies"][0]["bytes"] == d["bytes"] > 4000000'
copy=$(find "$packed" -name '*.apr')
run 0 convert "$copy" -o "$dir/back" --format safetensors -q
cmp -s "$dir/hf/model.safetensors" "$dir/back/model.safetensors" || fail 'the copy differs'
printf 'What is 4 times 5?\n' >"$dir/line"
"$APR" chat "$dir/hf" -v <"$dir/line" >"$out" 2>"$err"
err_has "cache     $packed/"

# Options that a copy is not for.
run 0 run -v "$dir/hf" x -n 1 --no-packing
grep -q 'apr: cache ' "$err" && fail '--no-packing uses a copy'
run 0 run -v "$dir/hf" x -n 1 --cpu-level scalar
grep -q 'apr: cache ' "$err" && fail 'a scalar level uses a copy'

# The same bytes elsewhere, and touched: the same copy.
cp -r "$dir/hf" "$dir/hf2"
settle
answer "$dir/hf2"
same "$(copies)" 1 'copies of the same bytes'
touch "$dir/hf/config.json"
settle
answer "$dir/hf"
same "$(copies)" 1 'copies after a touch'
same "$(find "$packed" -name '*.ref' | wc -l | tr -d ' ')" 2 'refs after a touch'

# Another byte: another copy, and the old one stays for the folder that still has it.
printf ' ' >>"$dir/hf/config.json"
settle
answer "$dir/hf"
same "$(copies)" 2 'copies after a change'
# Nobody's copy goes when the next is made.
printf ' ' >>"$dir/hf/config.json"
settle
answer "$dir/hf"
same "$(copies)" 2 'copies after a second change'

run 0 convert demo -o "$dir/other" --format safetensors --quantize f16 -q
run 0 run "$dir/other" "$prompt" -q -n 4 --no-cache

# A damaged copy is told, removed and made again.
run 0 cache clear --json
json 'd["freed_bytes"] > 8000000'
same "$(copies)" 0 'copies after clear'
answer "$dir/hf"
copy=$(find "$packed" -name '*.apr')
printf 'APR' >"$copy"
run 0 run "$dir/hf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q
same "$(cat "$out")" "$right" 'the answer beside a damaged copy'
err_has 'the prepacked copy is removed'
answer "$dir/hf"
run 0 run -v "$dir/hf" x -n 1
err_has "cache     $packed/"

# GGUF and .apr: only where asked for.
run 0 convert demo -o "$dir/m.gguf" -q
run 0 cache clear --dir "$packed"
settle
run 0 run "$dir/m.gguf" "$prompt" -q -n 8
gguf_answer=$(cat "$out")
same "$(copies)" 0 'copies of GGUF'
run 0 run "$dir/m.gguf" "$prompt" -q -n 8 --cache
same "$(copies)" 1 'copies of GGUF with --cache'
run 0 run "$dir/m.gguf" "$prompt" -v -n 8 --cache
same "$(cat "$out")" "$gguf_answer" 'the answer of the copy of GGUF'
err_has "cache     $packed/"

# The bound: too large a model is not kept; the least used makes room.
run 0 cache clear
run 0 run "$dir/hf" x -n 1 -q --cache-limit 1M
same "$(copies)" 0 'copies beyond the bound'
APR_CACHE_LIMIT=0 "$APR" run "$dir/hf" x -n 1 -q >/dev/null 2>&1
same "$(copies)" 0 'copies with APR_CACHE_LIMIT=0'
answer "$dir/hf"
run 0 run "$dir/other" x -n 1 -q --cache-limit 12M
same "$(copies)" 1 'copies within the bound'
run 0 cache list --json
json 'd["copies"][0]["source"].endswith("/other")'
run 2 run "$dir/hf" x --cache-limit much
err_has '--cache-limit takes bytes'

# A home that cannot be written, a folder that is none, a full disk: a note, and the answer.
run 0 cache clear
rm -rf "$cache"
printf 'x' >"$cache"
run 0 run "$dir/hf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q
same "$(cat "$out")" "$right" 'the answer without a cache'
err_has 'no prepacked copy is kept'
rm -f "$cache"
# The limit of a file's size stands in for a full disk.
(
    ulimit -f 1000
    trap '' XFSZ
    "$APR" run "$dir/hf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q >"$out" 2>"$err"
)
same "$(cat "$out")" "$right" 'the answer with a full disk'
err_has 'no prepacked copy is kept'
same "$(find "$cache" -name '*.part' | wc -l | tr -d ' ')" 0 'what a full disk leaves'

# First runs at the same time: one copy, whole, and all answers right.
for i in 1 2 3 4; do
    "$APR" run "$dir/hf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q -t 1 \
        >"$dir/at-once.$i" 2>&1 &
done
wait
for i in 1 2 3 4; do
    same "$(cat "$dir/at-once.$i")" "$right" "answer $i of four at once"
done
same "$(copies)" 1 'copies of four at once'
answer "$dir/hf"
# A writer that was killed leaves nothing that counts.
touch "$packed/0123.apr.1-0.part"
run 0 run "$dir/other" x -n 1 -q
same "$(find "$packed" -name '*.part' | wc -l | tr -d ' ')" 0 'what a killed writer leaves'
# The reader of a pipe need not wait for the copy: what comes behind the answer's end is its time.
run 0 cache clear
piped=$("$APR" run "$dir/hf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q | cat)
same "$piped" "$right" 'the answer through a pipe'
same "$(copies)" 1 'copies after a pipe'
run 2 cache
run 2 cache forget
err_has 'cache takes list or clear'
run 2 run demo x --no-cache=1
run 2 run demo x --offline=1
err_has '--offline takes no value'
run 2 run demo x --cache-limit ''
run 2 run demo x --cache --no-cache
err_has 'contradict'
run 2 run demo x --cache --cpu-level scalar
err_has '--cpu-level scalar does not use'
run 2 run demo x --cache --no-packing
finish
