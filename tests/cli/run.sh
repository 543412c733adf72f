#!/bin/sh
# apr run: where the prompt comes from, how answers end, what --json tells, sampling.
. "$(dirname "$0")/lib.sh"
question='What is 2+2?'
end=$("$APR" tokenize demo '<|im_end|>')
eot=$("$APR" tokenize demo '<|endoftext|>')

# The two answers of the README.
run 0 run demo "$question"
out_has 4
err_is_empty
answer=$(cat "$out")
run 0 run demo 'Write a Rust function to calculate factorial'
out_has 'fn factorial'

# All ways to give the prompt lead to the same answer; the last line feed of a file is not asked.
printf '%s\n' "$question" >"$dir/prompt"
run 0 run demo --prompt "$question"
same "$(cat "$out")" "$answer" "$last"
run 0 run demo -p "$question"
same "$(cat "$out")" "$answer" "$last"
run 0 run demo --file "$dir/prompt"
same "$(cat "$out")" "$answer" "$last"
run 0 run demo -i "$dir/prompt"
same "$(cat "$out")" "$answer" "$last"
pipe 0 "$question\n" run demo
same "$(cat "$out")" "$answer" "$last"
pipe 0 "$question" run demo --file -
same "$(cat "$out")" "$answer" "$last"
pipe 0 "$question" run demo -
same "$(cat "$out")" "$answer" "$last"
run 0 run "$demo" "$question" --kv f16
same "$(cat "$out")" "$answer" "$last"
run 0 run demo "$question" --kv q8_0 --ctx 256 --quiet
same "$(cat "$out")" "$answer" "$last"
run 0 run demo "$question" --no-gpu --kv f32 --ctx 256 --quiet
same "$(cat "$out")" "$answer" "$last"

# A system message changes the prompt; --raw leaves the template out.
run 0 run --json demo "$question"
json 'set(d) == {"model","text","tokens","tokens_generated","max_tokens","finish_reason",
"prompt_tokens","tok_per_sec","inference_time_ms","load_ms","prompt_ms","used_gpu","cached"}'
json "d['text'] == '''$answer'''"
json 'd["finish_reason"] == "end" and d["max_tokens"] == 512 and d["used_gpu"] is False'
json 'len(d["tokens"]) == d["tokens_generated"] and d["tokens"][-1] == '"$end"
json 'd["tokens_generated"] == 1 or d["tok_per_sec"] > 0'
json 'd["inference_time_ms"] >= d["prompt_ms"] > 0 and d["load_ms"] > 0'
err_is_empty
templated=$(grep prompt_tokens "$out")
run 0 run --json demo --system 'Be brief.' "$question"
differ "$templated" "$(grep prompt_tokens "$out")" 'prompt tokens with a system message'
run 0 run --json --raw demo "$question" -n 4
json "d['prompt_tokens'] == len('''$("$APR" tokenize demo "$question")'''.split())"
run 2 run --raw --system x demo hello
err_has '--system needs a chat template'

# How an answer ends is told.
run 0 run demo -n 3 --raw 'fn main' --logit-bias "$end=-inf" --logit-bias "$eot=-inf"
err_has 'stopped at --max-tokens 3'
run 0 run -q demo -n 3 --raw 'fn main' --logit-bias "$end=-inf" --logit-bias "$eot=-inf"
err_is_empty
run 0 run --json demo --max-tokens 3 --raw 'fn main' --logit-bias "$end=-inf" \
    --logit-bias "$eot=-inf"
json 'd["finish_reason"] == "length" and d["tokens_generated"] == 3'
run 0 run --json demo -n 0 --ctx 32 --raw 'fn main' --logit-bias "$end=-inf" \
    --logit-bias "$eot=-inf"
json 'd["finish_reason"] == "context"'
json 'd["tokens_generated"] + d["prompt_tokens"] == 33'
err_has 'the context of 32 tokens is full'
run 0 run -q demo -n 0 --ctx 32 --raw 'fn main' --logit-bias "$end=-inf" --logit-bias "$eot=-inf"
err_has 'the context of 32 tokens is full'

# A prompt that does not fit: both numbers, nothing on stdout.
run 8 run demo --raw --ctx 4 'fn main() { let x = 5; }'
n=$("$APR" tokenize demo 'fn main() { let x = 5; }' | wc -w | tr -d ' ')
err_has "has $n tokens and the context holds 4"
err_has 2048
out_is_empty
run 8 run --json demo --raw --ctx 4 'fn main() { let x = 5; }'
json 'd["error"]["code"] == 8'

# Stop strings: before the text, also where it lies across tokens.
code='Write a Rust function to calculate factorial'
run 0 run demo "$code" --stop 'n factor'
out_lacks 'n factor'
run 0 run --json demo "$code" --stop 'zzz' --stop 'torial('
json 'd["finish_reason"] == "stop" and "factorial" not in d["text"] and "fac" in d["text"]'
run 0 run --json demo "$code" --stop 'never in the text'
json 'd["finish_reason"] == "end"'

# Sampling: the seed decides, the number of threads does not.
sampled='--raw --max-tokens 24 --temperature 1.2 --top-k 50 --top-p 0.95 --min-p 0.01'
for threads in 1 2 3; do
    # shellcheck disable=SC2086 # options
    run 0 run -q demo 'def ' $sampled --seed 7 --threads $threads
    cp "$out" "$dir/threads-$threads"
done
same "$(cat "$dir/threads-1")" "$(cat "$dir/threads-2")" 'seed 7 with 1 and 2 threads'
same "$(cat "$dir/threads-1")" "$(cat "$dir/threads-3")" 'seed 7 with 1 and 3 threads'
# shellcheck disable=SC2086 # options
run 0 run -q demo 'def ' $sampled --seed 8
differ "$(cat "$dir/threads-1")" "$(cat "$out")" 'seeds 7 and 8'
run 0 run -q demo --raw 'def ' -n 8 --temperature 0
greedy=$(cat "$out")
run 0 run -q demo --raw 'def ' -n 8 --temperature 5 --top-k 1
same "$(cat "$out")" "$greedy" '--top-k 1 and --temperature 0'
run 0 run -q demo --raw 'def ' -n 8 --temperature 5 --top-p 0.000001
same "$(cat "$out")" "$greedy" '--top-p 0.000001 and --temperature 0'
run 0 run -q demo --raw 'def ' -n 8 --temperature 5 --min-p 1
same "$(cat "$out")" "$greedy" '--min-p 1 and --temperature 0'
run 0 run --json demo --raw 'def ' -n 8 --logit-bias 300=1000
json 'd["tokens"] == [300] * 8'
# Hot and long enough to repeat itself: neither token that ends an answer is let through.
forever="--temperature 6 --logit-bias $end=-inf --logit-bias $eot=-inf"
for penalty in '--repeat-penalty 100' '--frequency-penalty 2' '--presence-penalty 2'; do
    # shellcheck disable=SC2086 # an option and its value
    run 0 run -q demo --raw 'def ' -n 128 $forever $penalty
    cp "$out" "$dir/on"
    # shellcheck disable=SC2086 # an option and its value
    run 0 run -q demo --raw 'def ' -n 128 $forever $penalty --repeat-last-n 0
    differ "$(cat "$dir/on")" "$(cat "$out")" "$penalty"
    # shellcheck disable=SC2086 # options and their values
    run 0 run -q demo --raw 'def ' -n 128 $forever
    cmp -s "$out" "$dir/on" && fail "$penalty changes nothing"
done

# What is in force, and whose word it is.
run 0 run -q demo "$question" --no-packing
same "$(cat "$out")" "$answer" "an answer without packing"
run 0 run -q demo "$question" --no-cache
same "$(cat "$out")" "$answer" "an answer without the cache"
run 0 run -q demo "$question" --cache --cache-limit 1K
same "$(cat "$out")" "$answer" "an answer of a model too large for the cache"
run 0 run -v demo "$question" --top-k 40 --cpu-level scalar --threads 1
for word in qwen2 'KV cache' scratch 'load ' 'tokens/s' 'top-k 40' 'seed 299792458' \
    'scalar kernels' '1 thread,'; do
    err_has "$word"
done
same "$(cat "$out")" "$answer" 'the answer with scalar kernels'
mkdir "$dir/beside"
cp "$demo" "$dir/beside/m.gguf"
cat >"$dir/beside/generation_config.json" <<'JSON'
{"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}
JSON
run 0 run --verbose "$dir/beside/m.gguf" "$question" --top-k 3
if grep -q "the model's file" "$err"; then
    echo 'skipped: the demo model recommends sampling values itself'
else
    err_has 'temperature 0.7, top-k 3, top-p 0.8'
    err_has 'generation_config.json'
    echo '{"do_sample": false, "temperature": 0.7}' >"$dir/beside/generation_config.json"
    run 0 run --verbose "$dir/beside/m.gguf" "$question"
    err_has 'temperature 0 (greedy)'
    for bad in '{"temperature": -1}' '{"top_p": "x"}' '[]' '{' '{"top_k": 1e99}'; do
        echo "$bad" >"$dir/beside/generation_config.json"
        run 0 run "$dir/beside/m.gguf" "$question"
        err_has 'is not used'
        same "$(cat "$out")" "$answer" 'the answer without a generation config'
    done
fi

# The answer streams: its beginning can be read while the rest is still being made.
mkfifo "$dir/fifo"
"$APR" run demo "$code" >"$dir/fifo" 2>"$err" &
pid=$!
dd bs=1 count=4 <"$dir/fifo" >"$out" 2>/dev/null
wait $pid
same "$(wc -c <"$out" | tr -d ' ')" 4 'the first bytes of a stream'

# A model without a chat template completes the text.
if [ -n "${RZ_SHARED:-}" ] && [ -f "$RZ_SHARED/fixtures/one-layer/gguf/one-q8_0.gguf" ]; then
    run 0 run "$RZ_SHARED/fixtures/one-layer/gguf/one-q8_0.gguf" --raw 'def ' -n 2 -q
else
    echo 'skipped: a model of another file needs the shared fixtures'
fi
finish
