#!/bin/sh
# run.sh - the recorded suite: `make bench`. Two made-up models of Qwen2.5's shapes, `apr bench` on
# each, the instructions of one decode step under callgrind, a row per model in bench/history.csv.
#
# usage: bench/run.sh BUILD_DIR
#   RUNS=7              measured runs of each figure
#   MODELS="0.5b 1.5b"  shapes; each is written once to a scratch folder (1.4 GB in all)
#   BENCH_DIR=DIR       keep the models there, for the next time
#   HISTORY=FILE        another file than bench/history.csv
set -eu
build=${1:?usage: bench/run.sh BUILD_DIR}
here=$(cd "$(dirname "$0")" && pwd)
history=${HISTORY:-$here/history.csv}
dir=${BENCH_DIR:-}
if [ -z "$dir" ]; then
    dir=$(mktemp -d "${TMPDIR:-/tmp}/apr-bench.XXXXXX")
    trap 'rm -rf "$dir"' EXIT
fi
mkdir -p "$dir"
commit=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git -C "$here" status --porcelain --untracked-files=no 2>/dev/null)" ] || commit=$commit+

# The instructions of one decode step of $1, at the highest level that valgrind knows.
count_instructions() {
    if ! command -v valgrind >/dev/null 2>&1; then
        echo "bench: valgrind is missing: no instruction count" >&2
        return
    fi
    if ! valgrind --quiet --tool=callgrind --toggle-collect=decode_step \
        --callgrind-out-file="$dir/callgrind" "$build/bench/decode_step" "$1" avx2 \
        >"$dir/level" 2>"$dir/valgrind.log"; then
        echo "bench: callgrind failed: $(tail -n 1 "$dir/valgrind.log")" >&2
        return
    fi
    sed -n 's/^\(summary\|totals\): *\([0-9]*\).*/\2/p' "$dir/callgrind" | head -n 1
}

for shape in ${MODELS:-0.5b 1.5b}; do
    model=$dir/$shape-q4_k_m.gguf
    if [ ! -s "$model" ]; then
        "$build/synth-model" "$shape" q4_k_m "$model"
    fi
    echo "== $shape q4_k_m"
    "$build/apr" bench "$model" --quiet --json -p 512 -n 64 --depth 0,2048 --batch 1,8 \
        --runs "${RUNS:-7}" --warmup 1 >"$dir/figures.json"
    instructions=$(count_instructions "$model")
    python3 "$here/record.py" "$dir/figures.json" "$shape q4_k_m" "$commit" \
        "${instructions:-}" "$history"
done
echo "bench: added to ${history##*/}; bench/plot draws it"
