# hub.sh - sourced after lib.sh by the tests of pull, list and rm: a hub of our own in the
# background. Sets hub (folder of repositories), log, port, cache, commit. Ends the test as skipped
# where it cannot run.
# shellcheck shell=sh disable=SC2034,SC2154
if ! command -v python3 >/dev/null 2>&1; then
    echo 'skipped: the hub of the tests needs python3'
    exit 0
fi
hub=$dir/hub
log=$dir/log
cache=$dir/cache/apr/hub
commit=cccccccccccccccccccccccccccccccccccccccc
mkdir -p "$hub/org/repo"
cp "$demo" "$hub/org/repo/demo-q4_k_m.gguf"
head -c 100000 "$demo" >"$hub/org/repo/demo-q8_0.gguf"
echo '# readme' >"$hub/org/repo/README.md"
: >"$log"
pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null; done; rm -rf "$dir"' EXIT

# start_hub PORT_FILE [CERT KEY REDIRECT]: sets port.
start_hub() {
    port_file=$1
    shift
    python3 "$RZ_SOURCE_DIR/tests/cli/hub.py" "$port_file" "$log" "$hub" "$@" \
        2>"$dir/hub_errors" &
    pids="$pids $!"
    wait_for test -s "$port_file" || finish
    port=$(cat "$port_file")
}

# How often the hub was asked for something that holds this text.
asked() {
    grep -cF -- "$1" "$log"
}

start_hub "$dir/port"
export HF_ENDPOINT="http://127.0.0.1:$port" XDG_CACHE_HOME="$dir/cache"
"$APR" pull --dry-run org/repo --quiet >"$out" 2>"$err"
if grep -q 'no libcurl' "$err"; then
    echo 'skipped: this build has no libcurl'
    exit 0
fi
: >"$log"
