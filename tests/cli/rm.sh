#!/bin/sh
# apr rm: takes out of the cache what is named, and nothing else.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hub.sh"

run 3 rm org/repo
err_has 'is not in the cache'
run 0 pull org/repo -q
run 0 pull org/repo:q8_0 -q
run 0 rm org/repo --quant Q8_0 --dry-run
out_is 'would be: 97.7 KiB freed (100000 bytes in 1 file)\n'
run 0 rm org/repo --quant Q8_0 --json --dry-run
json 'd == {"bytes": 100000, "files": 1, "dry_run": True}'
run 0 pull org/repo:q8_0 --offline
run 0 rm org/repo:Q8_0
out_is '97.7 KiB freed (100000 bytes in 1 file)\n'
run 3 pull org/repo:q8_0 --offline
run 3 rm org/repo:Q8_0
run 0 pull org/repo --offline
run 0 pull org/repo --revision old -q
run 0 rm org/repo --revision old
run 3 rm org/repo --revision old
run 0 pull org/repo --offline

# What links lead to stays.
mkdir "$dir/precious"
echo 'x' >"$dir/precious/file"
ln -s "$dir/precious" "$cache/org--repo/$commit/out"
run 0 rm org/repo --quiet
out_is_empty
if [ -f "$dir/precious/file" ]; then pass; else fail 'rm followed a link'; fi
same "$(find "$cache" -type f | wc -l | tr -d ' ')" 0 'files left in the cache'
run 0 pull "$HF_ENDPOINT/org/repo/README.md" -q
run 0 pull hf://org/repo/README.md -q
run 0 rm hf://org/repo/README.md
out_has '(9 bytes in 1 file)'

for ref in .. ../x /etc . org/.. "$dir/precious" demo; do
    run 2 rm "$ref"
done
if [ -f "$dir/precious/file" ]; then pass; else fail 'rm removed what it should not'; fi
snapshot=$dir/cache/huggingface/hub/models--other--thing
mkdir -p "$snapshot/snapshots/$commit" "$snapshot/refs"
printf '%s' "$commit" >"$snapshot/refs/main"
cp "$demo" "$snapshot/snapshots/$commit/thing.gguf"
run 3 rm other/thing
err_has "Hugging Face's cache"
if [ -f "$snapshot/snapshots/$commit/thing.gguf" ]; then pass; else fail 'rm touched it'; fi
finish
