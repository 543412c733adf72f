#!/bin/sh
# Ctrl-C while an answer is being made: what there is of it stays, and the exit code is 130.
. "$(dirname "$0")/lib.sh"
end=$("$APR" tokenize demo '<|im_end|>')
eot=$("$APR" tokenize demo '<|endoftext|>')

# start ARGUMENT...: an answer that only ends with the context, made slowly.
start() {
    : >"$out"
    "$APR" "$@" --max-tokens 0 -t 1 --cpu-level scalar --logit-bias "$end=-inf" \
        --logit-bias "$eot=-inf" >"$out" 2>"$err" </dev/null &
    pid=$!
}
# True when the process is apr and catches SIGINT (bit 1 of SigCgt): it is past loading.
# shellcheck disable=SC2317 # called by wait_for
catches() {
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$(basename "$APR")" ] || return 1
    mask=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
    [ -n "$mask" ] && [ $((0x$(printf '%s' "$mask" | tail -c 1) & 2)) -ne 0 ]
}

# Its beginning is there while the rest is still being made: it streams.
start run demo hello
wait_for test -s "$out"
kill -INT $pid
wait $pid
same $? 130 'exit code after Ctrl-C'
last='apr run, interrupted'
same "$(tail -c 1 "$out" | od -An -tx1 | tr -d ' ')" 0a 'the last byte of a partial answer'
err_is_empty

start run --json demo hello
if wait_for catches; then
    kill -INT $pid
    wait $pid
    same $? 130 'exit code after Ctrl-C with --json'
fi
# In the prompt's feed there is no answer yet, and so no document.
if [ -s "$out" ]; then
    last='apr run --json, interrupted'
    json 'd["finish_reason"] == "cancel"'
fi

# From a pipe, chat ends too.
: >"$out"
printf 'hello\nhello\n' | "$APR" chat demo --max-tokens 0 -t 1 --cpu-level scalar \
    --logit-bias "$end=-inf" --logit-bias "$eot=-inf" >"$out" 2>"$err" &
pid=$!
wait_for test -s "$out"
kill -INT $pid
wait $pid
same $? 130 'exit code of chat after Ctrl-C'
finish
