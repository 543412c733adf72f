#!/bin/sh
# Every option that a help shows: it is tested in the command's own script (or below, where many
# commands share it), and docs/cli.md has it. Options that all models' commands share are tried with
# each of them here.
. "$(dirname "$0")/lib.sh"
scripts=$(dirname "$0")
cli_md=$RZ_SOURCE_DIR/docs/cli.md
# Of the tables that several commands have: tried below, or by run.sh for all (cmd_run.c and
# cmd_chat.c read them by the same functions).
shared=' threads cpu-level no-packing no-gpu gpu no-cache cache cache-limit offline help '

run 0 help
commands=$(sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' "$out")
same "$(echo "$commands" | wc -l | tr -d ' ')" \
    "$(grep -c '^CLI_COMMAND' "$RZ_SOURCE_DIR/src/cli/commands.def")" 'commands in the help'
for command in $commands; do
    run 0 help "$command"
    options=$(sed -n 's/^ \{2,\}\(-[a-zA-Z], \)\{0,1\} *--\([a-z0-9-]*\).*/\2/p' "$out")
    if [ -n "$options" ]; then pass; else fail "no options in the help of $command"; fi
    if grep -q "^## .*apr $command\\b" "$cli_md"; then pass; else
        fail "docs/cli.md has no section on apr $command"
    fi
    for option in $options; do
        if grep -qE -- "\`--$option\\b" "$cli_md"; then pass; else
            fail "docs/cli.md lacks --$option of apr $command"
        fi
        case $shared in *" $option "*) continue ;; esac
        if grep -qE -- "--$option\\b" "$scripts/$command.sh"; then pass; else
            fail "tests/cli/$command.sh does not try --$option"
        fi
    done
done

# computing COMMAND ARGUMENT...: the shared options change nothing but the way, or are refused.
echo 'some text of a few words, and some more of it' >"$dir/text"
printf 'hi\n' >"$dir/lines"
computing() {
    run 0 "$@" --threads 1 --cpu-level scalar --no-gpu
    run 0 "$@" -t 2 --no-packing
    run 9 "$@" --gpu
    run 2 "$@" --threads 0
    run 2 "$@" --cpu-level sse
}
computing run demo --max-tokens 1 hi
computing eval demo --file "$dir/text"
computing logits demo --ids 1,2
computing imatrix demo -f "$dir/text" -o "$dir/m.dat" --ctx 4 -q
computing canary create demo -o "$dir/c.json" -n 1 -q
computing bench demo -p 4 -n 1 -r 1 -w 0 -q
computing profile demo --prompt-tokens 4 --tokens 1 --warmup 0 --measure 1 -q
computing check demo -q
computing chat demo -q --max-tokens 1
# The cache's, of the two commands that answer (cache.sh has what they do).
for answer in 'run demo hi' 'chat demo'; do
    # shellcheck disable=SC2086 # words
    run 0 $answer --max-tokens 1 -q --no-cache
    # shellcheck disable=SC2086
    run 0 $answer --max-tokens 1 -q --cache --cache-limit 1G
    # shellcheck disable=SC2086
    run 2 $answer --cache-limit many
done
# And the same bits, by the command that shows them.
run 0 logits demo --ids 1,2,3 --all -o "$dir/packed"
run 0 logits demo --ids 1,2,3 --all -o "$dir/plain" --no-packing -t 1
if cmp -s "$dir/packed" "$dir/plain"; then pass; else fail 'other bits without packing'; fi
finish
