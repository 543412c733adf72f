# lib.sh - sourced by the tests of the command `apr`. Needs APR (the executable) and RZ_SOURCE_DIR.
# Each test ends with `finish`, which prints "N passed, N failed" and sets the exit status.
# shellcheck shell=sh disable=SC2034
: "${APR:?set APR to the apr executable}" "${RZ_SOURCE_DIR:?set RZ_SOURCE_DIR to the source tree}"
[ -x "$APR" ] || {
    echo "there is no executable $APR"
    exit 1
}
export LC_ALL=C.UTF-8
export TERM=dumb
unset XDG_STATE_HOME XDG_CACHE_HOME
# Nothing is asked of the network: the tests of downloads have a hub of their own.
unset HF_TOKEN HF_TOKEN_PATH HF_HOME HF_HUB_CACHE HF_HUB_OFFLINE SSL_CERT_FILE
unset http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY
export HF_ENDPOINT=http://127.0.0.1:1
# The executable may have been built outside the tree, where the alias would not find its file.
demo=$RZ_SOURCE_DIR/models/demo.gguf
export APR_DEMO_MODEL="$demo"
n_passed=0
n_failed=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/apr-cli-test.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
export HOME="$dir"
out=$dir/out
err=$dir/err

pass() {
    n_passed=$((n_passed + 1))
}

fail() {
    n_failed=$((n_failed + 1))
    printf 'FAILED: %s\n' "$1"
    if [ -s "$out" ]; then printf -- '--- stdout\n' && head -c 2000 "$out"; fi
    if [ -s "$err" ]; then printf -- '--- stderr\n' && head -c 2000 "$err"; fi
}

# What hangs is ended and told by name (exit code 124), long before the whole test's limit.
apr() {
    timeout --foreground -k 5 240 "$APR" "$@"
}

# run WANTED_EXIT_CODE ARGUMENT...: runs apr, stdout to $out, stderr to $err.
run() {
    wanted=$1
    shift
    last="apr $*"
    apr "$@" >"$out" 2>"$err" </dev/null
    got=$?
    if [ "$got" -eq "$wanted" ]; then pass; else fail "$last: exit code $got, wanted $wanted"; fi
}

# pipe WANTED_EXIT_CODE INPUT ARGUMENT...: the same with INPUT (printf's escapes) as stdin.
pipe() {
    wanted=$1
    input=$2
    shift 2
    last="apr $* (reading '$input')"
    printf '%b' "$input" | apr "$@" >"$out" 2>"$err"
    got=$?
    if [ "$got" -eq "$wanted" ]; then pass; else fail "$last: exit code $got, wanted $wanted"; fi
}

# After a run: what stdout or stderr holds.
out_has() {
    if grep -qF -- "$1" "$out"; then pass; else fail "$last: stdout lacks '$1'"; fi
}
out_lacks() {
    if grep -qF -- "$1" "$out"; then fail "$last: stdout has '$1'"; else pass; fi
}
err_has() {
    if grep -qF -- "$1" "$err"; then pass; else fail "$last: stderr lacks '$1'"; fi
}
err_is_empty() {
    if [ -s "$err" ]; then fail "$last: stderr is not empty"; else pass; fi
}
out_is_empty() {
    if [ -s "$out" ]; then fail "$last: stdout is not empty"; else pass; fi
}
# out_is TEXT: the whole of stdout, TEXT in printf's escapes.
out_is() {
    printf '%b' "$1" >"$dir/wanted"
    if cmp -s "$dir/wanted" "$out"; then pass; else fail "$last: stdout is not '$1'"; fi
}
# same A B WHAT: two strings are equal.
same() {
    if [ "$1" = "$2" ]; then pass; else fail "$3: '$1' is not '$2'"; fi
}
differ() {
    if [ "$1" = "$2" ]; then fail "$3: both are '$1'"; else pass; fi
}

# json EXPRESSION: stdout is one JSON document d, and the Python expression holds for it.
json() {
    if ! command -v python3 >/dev/null 2>&1; then
        echo "skipped: '$1' needs python3 to read JSON"
        return
    fi
    if python3 -c 'import json,sys
d = json.load(open(sys.argv[1]))
sys.exit(0 if eval("(" + sys.argv[2] + ")") else 1)' "$out" "$1" 2>"$dir/python"; then
        pass
    else
        fail "$last: in JSON, not: $1"
        tail -n 1 "$dir/python"
    fi
}

# wait_for COMMAND...: until it succeeds, a minute at most.
wait_for() {
    tries=600
    until "$@"; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            fail "waiting for: $*"
            return 1
        fi
        sleep 0.1
    done
}

finish() {
    echo "$n_passed passed, $n_failed failed"
    [ "$n_failed" -eq 0 ]
    exit
}
