#!/bin/sh
# Help, and the parsing of options: both are made from the same tables.
. "$(dirname "$0")/lib.sh"
here=$(dirname "$0")

run 0 help
out_has 'usage: apr COMMAND'
commands=$(sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' "$out")
run 0 --help
out_has 'usage: apr COMMAND'
run 0 -h
run 0 --version
same "$(sed 's/[0-9.]*$//' "$out")" 'apr ' 'the version'
run 0 -V
run 2
err_has 'a command is missing'
out_is_empty
run 2 --json
err_has 'a command is missing'

for command in run chat inspect check eval tokenize logits template; do
    case " $(echo "$commands" | tr '\n' ' ') " in
    *" $command "*) pass ;;
    *) fail "apr help does not list $command" ;;
    esac
done

# Every command's help in its three forms (flags.sh looks at the options).
for command in $commands; do
    run 0 help "$command"
    out_has "usage: apr $command "
    cp "$out" "$dir/help"
    run 0 "$command" --help
    same "$(cksum <"$dir/help")" "$(cksum <"$out")" "apr $command --help"
    run 0 "$command" -h
    same "$(cksum <"$dir/help")" "$(cksum <"$out")" "apr $command -h"
    widest=$(awk '{ if (length($0) > n) n = length($0) } END { print n }' "$out")
    if [ "$widest" -le 100 ]; then pass; else fail "apr help $command has a line of $widest"; fi
done

for command in check tokenize; do
    run 0 help $command
    if diff "$here/golden/help-$command.txt" "$out" >"$err"; then
        pass
    else
        fail "apr help $command has changed (tests/cli/golden/help-$command.txt)"
    fi
done

# Unknown words, with the nearest known.
run 2 rnu
err_has "did you mean 'run'?"
run 2 zebra
err_has 'apr help'
run 2 help tokenise
err_has "did you mean 'tokenize'?"
run 2 help run chat
run 2 run demo x --max-token 3
err_has 'did you mean --max-tokens?'
run 2 run demo x --tempreature=1
err_has 'did you mean --temperature?'
run 0 run demo x -n 1 --offline
run 2 run demo x -Z
err_has 'no option -Z'

# Values: both forms, ranges, the last one counts.
run 2 run demo x --top-k
err_has '--top-k needs a value'
run 2 run demo x -n
err_has '-n needs a value'
run 2 run demo x --raw=yes
err_has '--raw takes no value'
for value in -1 1.5 x '' ' 1' 0x10 99999999999999999999; do
    run 2 run demo x "--max-tokens=$value"
    err_has '--max-tokens takes a whole number'
done
for value in x '' nan 1e -0.5 101; do
    run 2 run demo x --temperature "$value"
    err_has '--temperature takes a number from 0 to 100'
done
run 2 run demo x --threads 0
err_has '--threads takes a whole number from 1 to 256'
run 2 run demo x --threads 257
run 2 run demo x --kv q8
err_has '--kv takes f16|f32|q8_0'
run 2 run demo x --cpu-level ''
run 2 run demo --file ''
err_has '--file needs the name of a file'
run 0 tokenize demo --no-special -- --special
run 0 run demo --raw -qn3 -n 1 'fn main'
run 0 run --json -n 2 --raw demo -- -x
json 'd["max_tokens"] == 2'

# Options may stand before the command.
run 0 --json run demo --raw -n 1 x
json 'd["tokens_generated"] == 1'

# Operands.
run 2 inspect
err_has 'inspect needs more arguments: apr inspect FILE'
run 2 inspect a b
err_has "does not know what to do with 'b'"

# With --json, usage errors are JSON too.
run 2 check --json
json 'd["error"]["code"] == 2 and "FILE" in d["error"]["message"]'
run 2 --json nothing
json 'd["error"]["code"] == 2'
finish
