#!/bin/sh
# apr eval: perplexity of a text or of ids.
. "$(dirname "$0")/lib.sh"
printf 'The capital of France is Paris. The capital of Italy is Rome.\n' >"$dir/text"

run 0 eval demo --file "$dir/text" --kv f16
out_has 'perplexity '
out_has ' +/- '
run 0 eval --json demo -f "$dir/text" --ctx 64 --kv q8_0
json '1 < d["perplexity"]'
run 0 eval --json demo -f "$dir/text" --ctx 64 --kv f32
json 'd["perplexity"] > 1 and d["standard_error"] > 0 and d["windows"] == 1 and d["ctx"] == 64'
json 'abs(d["perplexity"] - __import__("math").exp(d["mean_nll"])) < 1e-6 * d["perplexity"]'
n=$("$APR" tokenize demo - <"$dir/text" | wc -w | tr -d ' ')
json "d['tokens_scored'] == $n - 1"
scored=$(grep perplexity "$out")
pipe 0 'The capital of France is Paris. The capital of Italy is Rome.\n' eval --json demo \
    --file - --ctx 64 --kv f32 --quiet --threads 1 --no-gpu
same "$(grep perplexity "$out")" "$scored" 'perplexity of standard input'
echo "[$("$APR" tokenize demo - <"$dir/text" | tr ' ' ',')]" >"$dir/ids.json"
run 0 eval --json demo --ids-file "$dir/ids.json" --ctx 64 --kv f32
same "$(grep perplexity "$out")" "$scored" 'perplexity of ids'
run 0 eval --json demo --ids-file "$dir/ids.json" --ctx 8 --kv f32
json "d['windows'] == -(-$n // 8)"
run 0 eval --json demo --ids-file "$dir/ids.json" --cpu-level scalar -q
json 'd["perplexity"] > 1'

run 2 eval demo
run 2 eval demo --file "$dir/text" --ids-file "$dir/ids.json"
run 3 eval demo --file "$dir/missing"
pipe 4 'a\0377' eval demo --file -
pipe 2 '' eval demo --file -
pipe 2 '[1]' eval demo --ids-file -
for bad in '{}' '[1, "x"]' '[1, -1]' '[1, 99999999]' '[1, 2' ''; do
    pipe 4 "$bad" eval demo --ids-file -
done
run 2 eval demo --file "$dir/text" --ctx 1
err_has 'at least 2'
run 9 eval demo --file "$dir/text" --gpu
finish
