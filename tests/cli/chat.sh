#!/bin/sh
# apr chat from a pipe and on a terminal: turns, commands, the cache that is kept.
. "$(dirname "$0")/lib.sh"

pipe 0 'Hello\nWhat is 2+2?\n' chat demo --verbose
same "$(grep -c '^apr: turn' "$err")" 2 'turns told about'
reused=$(sed -n 's/^apr: turn *\([0-9]*\) tokens reused, \([0-9]*\) fed.*/\1 \2/p' "$err")
first=$(echo "$reused" | head -n 1)
second=$(echo "$reused" | tail -n 1)
same "${first%% *}" 0 'tokens reused by the first turn'
# All that the first turn fed is kept for the second.
if [ "${second%% *}" -ge "${first##* }" ] && [ "${second##* }" -lt "${first##* }" ]; then
    pass
else
    fail "the second turn reuses and feeds $second, the first $first"
fi
# A first turn is what apr run answers.
run 0 run demo Hello
hello=$(cat "$out")
pipe 0 'Hello\n' chat demo
same "$(cat "$out")" "$hello" 'chat and run'
err_is_empty
pipe 0 'Hello' chat demo -q
same "$(cat "$out")" "$hello" 'a last line without its end'
pipe 0 '' chat demo
out_is_empty
pipe 0 '\n\n/exit\nHello\n' chat demo
out_is_empty

# Several lines as one message.
run 0 run demo "$(printf 'one\ntwo')"
both=$(cat "$out")
pipe 0 'one\\\ntwo\n' chat demo
same "$(cat "$out")" "$both" 'lines joined by a backslash'
pipe 0 '"""\none\ntwo\n"""\n' chat demo
same "$(cat "$out")" "$both" 'lines between quotes'
pipe 0 '"""one\ntwo"""\n' chat demo
same "$(cat "$out")" "$both" 'lines between quotes, closer'
pipe 0 '"""\none\ntwo\n' chat demo
same "$(cat "$out")" "$both" 'a block that the end of input closes'

# Save, load, clear, system, regen.
pipe 0 "/system Be brief.\nHello\n/save $dir/c.json\n" chat demo
cp "$dir/c.json" "$out"
json '[m["role"] for m in d["messages"]] == ["system", "user", "assistant"]'
json 'd["messages"][0]["content"] == "Be brief." and d["messages"][1]["content"] == "Hello"'
pipe 0 "Hi\n/load $dir/c.json\n/save $dir/c2.json\n" chat demo
same "$(cksum <"$dir/c.json")" "$(cksum <"$dir/c2.json")" 'a conversation loaded and saved'
err_has '3 messages loaded'
pipe 0 "/load $dir/c.json\n/clear\n/save $dir/c3.json\n/system\n" chat demo
cp "$dir/c3.json" "$out"
json '[m["role"] for m in d["messages"]] == ["system"]'
err_has 'Be brief.'
pipe 0 '/system ""\n/system\n' chat demo --system 'Be brief.'
err_has 'no system message'
pipe 0 "Hello\n/regen\n/save $dir/c4.json\n" chat demo -q
same "$(cat "$out")" "$(printf '%s\n%s' "$hello" "$hello")" 'a greedy answer made again'
cp "$dir/c4.json" "$out"
json 'len(d["messages"]) == 2'
pipe 0 'def\n/regen\n' chat demo --temperature 5 --seed 3 -n 16 -q --top-k 100
differ "$(head -n 1 "$out")" "$(tail -n 1 "$out")" 'a sampled answer made again'
pipe 0 '/help\n' chat demo
for command in help clear system save load regen exit; do err_has "/$command"; done

# A file that is no conversation changes nothing, and a script ends with it.
for bad in '[]x' '{' '{"messages": 3}' '[{"role": "user"}]' '[{"role": "robot", "content": "x"}]' \
    '[{"role": "user", "content": 3}]' '[3]' '"x"' \
    '[{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]'; do
    printf '%s' "$bad" >"$dir/bad.json"
    pipe 4 "/load $dir/bad.json\n" chat demo
    err_has bad.json
done
pipe 3 "/load $dir/missing.json\n" chat demo
pipe 7 "/save $dir/nowhere/x.json\n" chat demo
pipe 2 '/save\n' chat demo
pipe 2 '/nope\n' chat demo
err_has '/help lists them'
pipe 2 '/regen\n' chat demo
pipe 2 '/clear now\n' chat demo
pipe 4 'a\0377\n' chat demo
err_has 'offset 1'

# Options that it shares with run.
pipe 8 'Hello\n' chat demo --ctx 8
err_has 'the context holds 8'
pipe 0 'Hello\n' chat demo -n 1 --kv f16
err_has 'stopped at --max-tokens 1'
pipe 0 'Hello\n' chat demo --stop 'nothing like it' --threads 1 --cpu-level scalar --kv f32 --no-gpu
same "$(cat "$out")" "$hello" 'chat with scalar kernels'
pipe 0 'Hello\n' chat demo --kv q8_0
same "$(cat "$out")" "$hello" 'chat with an 8-bit cache'
pipe 0 'Hello\n' chat demo -q --no-cache
same "$(cat "$out")" "$hello" 'chat without the cache'
pipe 0 'Hello\n' chat demo -q --cache --cache-limit 1K
same "$(cat "$out")" "$hello" 'chat with a model too large for the cache'
run 9 chat demo --gpu

# On a terminal.
if ! command -v python3 >/dev/null 2>&1; then
    echo 'skipped: a terminal needs python3'
    finish
fi
if python3 "$(dirname "$0")/terminal.py" "$APR" "$dir" >"$out" 2>"$err"; then
    pass
else
    fail 'chat on a terminal'
fi
if [ -f "$dir/state/apr/history" ]; then
    same "$(stat -c %a "$dir/state/apr/history")" 600 'the mode of the history'
    last='the history'
    cp "$dir/state/apr/history" "$out"
    out_has Hello
else
    echo 'skipped: built without libedit, no history'
fi

# The sampling options are read, and a seed repeats.
sampled() {
    pipe 0 'Hello\n' chat demo --quiet --max-tokens 8 --temperature 1.5 --top-p 0.95 --min-p 0.01 \
        --repeat-penalty 1.1 --frequency-penalty 0.1 --presence-penalty 0.1 --repeat-last-n 32 \
        --top-k 50 --logit-bias 5=-inf --seed "$1"
}
sampled 7
cp "$out" "$dir/first"
sampled 7
if cmp -s "$out" "$dir/first"; then pass; else fail 'the same seed says something else'; fi
for bad in '--top-p 2' '--min-p -1' '--repeat-last-n x' '--frequency-penalty nan'; do
    # shellcheck disable=SC2086 # an option and its value
    pipe 2 'Hello\n' chat demo $bad
done
finish
