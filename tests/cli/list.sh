#!/bin/sh
# apr list: what is in the cache, and in Hugging Face's.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hub.sh"

run 0 list
out_is_empty
err_has 'no models in'
run 0 list --json
json 'd["models"] == [] and d["unfinished_bytes"] == 0 and d["cache_dir"].endswith("/apr/hub")'
run 2 list org/repo

run 0 pull org/repo -q
run 0 pull org/repo:q8_0 -q
run 0 pull "$HF_ENDPOINT/org/repo/README.md" -q
mkdir -p "$cache/org--repo/partial" "$cache/not-a-repo" "$cache/a--b/$commit"
head -c 1000 "$demo" >"$cache/org--repo/partial/0123.partial"
snapshot=$dir/cache/huggingface/hub/models--other--thing/snapshots/$commit
mkdir -p "$snapshot" "$snapshot/../../refs"
printf '%s' "$commit" >"$snapshot/../../refs/main"
cp "$demo" "$snapshot/thing-f16.gguf"
run 0 list
out_has NAME
out_has 'org/repo'
out_has "$cache/org--repo/$commit/demo-q8_0.gguf"
out_has '97.7 KiB'
out_has "(Hugging Face's cache)"
err_has 'unfinished downloads: 1000 B'
same "$(wc -l <"$out" | tr -d ' ')" 5 'lines of the list'
run 0 list --json
json 'sorted((m["name"], m["quant"]) for m in d["models"] if m["quant"]) == [
    ("org/repo", "Q4_K_M"), ("org/repo", "Q8_0"), ("other/thing", "F16")]'
json '[m["cache"] for m in d["models"] if m["name"] == "other/thing"] == ["huggingface"]'
json 'all(m["date"].endswith("Z") and m["bytes"] > 0 for m in d["models"])'
json 'd["unfinished_bytes"] == 1000'
run 0 inspect other/thing --offline

# A cache that cannot be read is told.
XDG_CACHE_HOME='' HOME='' run 2 list
err_has 'XDG_CACHE_HOME'
finish
