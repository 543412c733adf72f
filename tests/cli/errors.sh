#!/bin/sh
# Exit codes: what is wrong with a file, an option or an output, and that it is said in a sentence.
. "$(dirname "$0")/lib.sh"

: >"$dir/empty.gguf"
echo 'this is not a model, only some text that is longer than a header' >"$dir/text.gguf"
head -c 200000 "$demo" >"$dir/cut.gguf"
head -c 20 "$demo" >"$dir/header.gguf"
mkdir "$dir/folder"
printf '[]' >"$dir/case.json"

# refused CODE ARGUMENT...: exit code, one line on stderr, nothing on stdout.
refused() {
    run "$@"
    err_has 'apr: '
    same "$(wc -l <"$err" | tr -d ' ')" 1 "$last: lines on stderr"
    out_is_empty
}
# with_model CODE FILE: every command that takes a model refuses this one with CODE.
with_model() {
    refused "$1" run "$2" hello
    refused "$1" chat "$2"
    refused "$1" inspect "$2"
    refused "$1" check "$2"
    refused "$1" tokenize "$2" hello
    refused "$1" logits "$2" hello
    refused "$1" eval "$2" --file "$dir/text.gguf"
    refused "$1" template "$2" --input "$dir/case.json"
}
with_model 3 "$dir/missing.gguf"
err_has missing.gguf
with_model 3 "$dir/folder"
err_has 'is a directory'
with_model 4 "$dir/empty.gguf"
with_model 4 "$dir/text.gguf"
with_model 4 "$dir/cut.gguf"
with_model 4 "$dir/header.gguf"

# A value that was taken for the command's name.
run 2 --threads 2 run demo hello
err_has "if it is the value of --threads"

# What this build does not take is said.
run 3 inspect hf://org/repo/file.gguf --offline
err_has '--offline forbids'
run 3 inspect https://example.org/x.gguf --offline
run 3 inspect org/repo --offline
run 3 inspect missing
err_has 'org/repo, hf://'
run 3 inspect folder/missing.gguf
err_has 'there is no file'
run 2 inspect hf://org
err_has 'hf:// is followed by'
run 9 run demo hello --gpu
err_has 'no GPU backend'
run 2 run demo hello --gpu --no-gpu
run 9 check demo --gpu
run 3 inspect ./demo

# The same in JSON, with the code.
run 4 inspect --json "$dir/cut.gguf"
json 'd["error"]["code"] == 4 and "cut.gguf" in d["error"]["message"]'
run 3 run --json "$dir/missing.gguf" hello
json 'd["error"]["code"] == 3'
run 9 run --json --gpu demo hello
json 'd["error"]["code"] == 9'

# The alias: where it is looked for is said when it is not there.
APR_DEMO_MODEL=$dir/nowhere.gguf
run 3 run demo hello
err_has nowhere.gguf
cp "$APR" "$dir/apr"
unset APR_DEMO_MODEL
if "$dir/apr" inspect demo >"$out" 2>"$err"; then
    pass # an installed one was found
else
    same $? 3 'a demo model that is not installed'
    err_has 'APR_DEMO_MODEL'
fi
# Beside the program, as installed: bin/apr and share/apr/models/demo.gguf.
mkdir -p "$dir/bin" "$dir/share/apr/models"
cp "$APR" "$dir/bin/apr"
cp "$demo" "$dir/share/apr/models/demo.gguf"
"$dir/bin/apr" inspect demo >"$out" 2>"$err"
same $? 0 'the installed demo model'
out_has "$dir/bin/../share/apr/models/demo.gguf"
rm "$dir/bin/apr" "$dir/apr"
export APR_DEMO_MODEL="$demo"

# Input that is empty, or not text.
run 2 run demo ''
err_has 'the prompt is empty'
run 2 run demo
err_has 'the prompt is empty'
pipe 2 '' run demo
pipe 2 '' run demo -
pipe 4 'abc\0377def' run demo
err_has 'offset 3'
run 4 run demo "$(printf 'a\355\240\200')"
err_has 'offset 1'
run 4 run demo --system "$(printf '\300')" hello
run 3 run demo --file "$dir/missing.txt"
run 3 run demo --file "$dir/folder"
run 2 run demo hello --prompt hello
err_has 'give one prompt'
run 2 run demo --prompt hello --file "$dir/text.gguf"

# Sampler options.
run 2 run demo x --logit-bias 5
err_has 'ID=BIAS'
for bias in 5=x =1 99999999=1 5=nan 5=inf 5=1e9 -1=1; do
    run 2 run demo x --logit-bias "$bias"
    err_has 'ID=BIAS'
done
run 2 run demo x --stop ''
err_has '--stop takes a text'
set --
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do set -- "$@" --stop "s$i"; done
run 2 run demo x "$@"
err_has '--stop may be given 16 times'
run 2 run demo x --ctx 100000
err_has 2048

# An output that cannot be written.
if [ -c /dev/full ]; then
    for arguments in 'run demo hello' 'run --json demo hello' 'inspect demo' 'help' '--version' \
        'tokenize demo hello' 'logits demo hello -o -' 'inspect --json demo'; do
        last="apr $arguments >/dev/full"
        # shellcheck disable=SC2086 # words
        "$APR" $arguments >/dev/full 2>"$err"
        same $? 7 "$last"
        err_has 'cannot be written'
    done
else
    echo 'skipped: there is no /dev/full'
fi
# A report that can go nowhere is told of before the work: the model, which is not there, is not
# even looked for.
for arguments in 'imatrix -f text -o' 'profile -o' 'bench --csv' 'bench --svg' 'bench --png' \
    'canary create -o'; do
    # shellcheck disable=SC2086 # words
    set -- $arguments
    run 7 "$@" "$dir/none/report" "$dir/missing.gguf"
    err_has "$dir/none/report cannot be written"
    run 2 "$@" "$dir" "$dir/missing.gguf"
    err_has 'is a folder'
    run 2 "$@" '' "$dir/missing.gguf"
    err_has 'needs the name of a file'
    run 2 "$@" - "$dir/missing.gguf"
done
run 2 imatrix "$dir/missing.gguf" -f text -o /dev/null
err_has 'no regular file'
# A report through a link goes to what it points to, and a device takes one.
ln -s linked "$dir/link"
: >"$dir/linked"
run 0 profile demo -p 4 -n 2 -w 0 -m 1 --format json -q -o "$dir/link"
if [ -h "$dir/link" ] && [ -s "$dir/linked" ]; then pass; else fail 'the link was replaced'; fi
run 0 profile demo -p 4 -n 2 -w 0 -m 1 --format json -q -o /dev/null
if [ -c /dev/null ]; then pass; else fail '/dev/null was replaced'; fi
# A closed stdout is told, and its number is not the next file's: no text goes into that.
"$APR" logits demo 'The capital of France is Paris and that of Italy is Rome' --all \
    -o "$dir/right.f32" >"$out" 2>"$err"
"$APR" logits demo 'The capital of France is Paris and that of Italy is Rome' --all \
    -o "$dir/closed.f32" >&- 2>"$err"
same $? 7 'closed stdout: exit code'
last='apr logits with a closed stdout'
err_has 'cannot be written'
if cmp -s "$dir/right.f32" "$dir/closed.f32"; then pass; else fail "$last: text in the file"; fi
"$APR" run demo <&- >"$out" 2>"$err"
same $? 7 'closed stdin: exit code'

# A reader that goes away ends it quietly.
"$APR" inspect --json demo 2>"$err" | head -c 1 >"$out"
same "$(cat "$out")" '{' 'the first byte'
last='apr inspect --json demo | head -c 1'
err_is_empty

# A model file that is cut off while it is being read: a sentence and 7, not a crash.
end=$("$APR" tokenize demo '<|im_end|>')
eot=$("$APR" tokenize demo '<|endoftext|>')
cp "$demo" "$dir/shrinks.gguf"
: >"$out"
"$APR" run "$dir/shrinks.gguf" hello --max-tokens 0 -t 1 --cpu-level scalar \
    --logit-bias "$end=-inf" --logit-bias "$eot=-inf" >"$out" 2>"$err" &
pid=$!
wait_for test -s "$out"
: >"$dir/shrinks.gguf"
wait $pid
same $? 7 'exit code after the model file was cut off'
last='a model file that was cut off'
err_has 'cut off'

# A path that is no UTF-8 is told as well as JSON can.
odd=$(printf '%s/odd\377.gguf' "$dir")
cp "$demo" "$odd"
run 0 run "$odd" --json -n 1 hi
json '"odd" in d["model"]'
run 0 logits "$odd" --ids 1 --json
run 0 check "$odd" --json
printf 'a b c d e f g h' >"$dir/few"
run 0 eval "$odd" --file "$dir/few" --json
run 0 imatrix "$odd" -f "$dir/few" -o "$odd.dat" --ctx 4 --json -q
finish
