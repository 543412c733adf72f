#!/bin/sh
# apr convert: all nine pairs of formats on the demo model with nothing lost, what is refused, and
# that a killed conversion leaves the old file or none.
. "$(dirname "$0")/lib.sh"
golden=$RZ_SOURCE_DIR/tests/golden/data
: "${SYNTH_MODEL:?}"

# part_files: temporary files that lie about.
part_files() {
    find "$dir" -name '*.part' | head -n 1
}

# ---- the nine pairs, from whatever the demo model is ----
run 0 convert "$demo" -o "$dir/a.gguf" --quantize bf16 --verify
out_has 'verified: 50 tensors'
out_has 'metadata the same'
err_is_empty
run 0 convert "$dir/a.gguf" -o "$dir/a.apr" -q
out_is_empty
run 0 convert "$dir/a.gguf" -o "$dir/a.safetensors" -q
if [ -d "$dir/a.safetensors" ]; then pass; else fail 'SafeTensors are no directory'; fi
prompt='What is 4 times 5?'
run 0 run "$dir/a.gguf" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q
answer=$(cat "$out")
for from in gguf apr safetensors; do
    for to in gguf apr safetensors; do
        run 0 convert "$dir/a.$from" -o "$dir/b.$to" --verify --force --json
        json 'd["verified"]["tensors"] == 50'
        json 'd["verified"]["logits"]["largest_difference"] <= 1e-3'
        json 'all(t["rmse"] == 0 for t in d["tensors"]) and not d["requantized"]'
        run 0 run "$dir/b.$to" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q
        same "$(cat "$out")" "$answer" "the greedy answer after $from -> $to"
        [ "$to" = safetensors ] && continue
        run 0 convert "$dir/a.$from" -o "$dir/q-$from-$to" --format $to --quantize q4_k -q
    done
    run 0 rosetta diff-tensors "$dir/q-gguf-gguf" "$dir/q-$from-gguf"
    run 0 rosetta diff-tensors "$dir/q-gguf-gguf" "$dir/q-$from-apr"
done
# A rewrite is the same file.
cp "$dir/a.gguf" "$dir/first.gguf"
run 0 convert "$dir/first.gguf" -o "$dir/second.gguf" -q
run 0 convert "$dir/second.gguf" -o "$dir/third.gguf" -q
if cmp -s "$dir/second.gguf" "$dir/third.gguf"; then pass; else fail 'a rewrite changed it'; fi
# The number of threads changes nothing.
run 0 convert "$dir/a.gguf" -o "$dir/t1.gguf" --quantize q4_k_m --threads 1 -q
run 0 convert "$dir/a.gguf" -o "$dir/t3.gguf" --quantize q4_k_m --threads 3 --quiet
if cmp -s "$dir/t1.gguf" "$dir/t3.gguf"; then pass; else fail '1 and 3 threads differ'; fi

# ---- packed matrices: also, or only ----
for packed in "--packed" "--packed-only"; do
    run 0 convert "$dir/a.gguf" -o "$dir/p.apr" $packed --verify --force
    out_has 'verified: 50 tensors, 50 with the same bits'
    run 0 run "$dir/p.apr" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q
    same "$(cat "$out")" "$answer" "the greedy answer of a $packed file"
    run 0 run "$dir/p.apr" "$prompt" --temperature 0 --repeat-penalty 1 -n 24 -q --no-packing
    same "$(cat "$out")" "$answer" "the greedy answer of a $packed file without packing"
    run 0 check "$dir/p.apr" -q
    run 0 convert "$dir/p.apr" -o "$dir/p.gguf" --verify --force -q
    cmp -s "$dir/second.gguf" "$dir/p.gguf" || fail "$packed and back is another file"
    run 5 convert "$dir/a.gguf" -o "$dir/p.apr" $packed
    run 2 convert "$dir/a.gguf" -o "$dir/p.safetensors" $packed --force
    err_has 'only .apr files hold packed weights'
done
for look in tensors tree 'validate' 'inspect'; do
    run 0 $look "$dir/p.apr"
done
run 0 diff "$dir/a.gguf" "$dir/p.apr"
run 0 rosetta diff-tensors "$dir/a.gguf" "$dir/p.apr"
run 0 canary create "$dir/p.apr" --tokens 1 -o "$dir/canary.json" --quiet
run 0 canary check "$dir/a.gguf" --canary "$dir/canary.json" --quiet

# ---- llama's heads: permuted in GGUF, not in Hugging Face's files; qwen's never ----
for name in llama llama-linear llama-llama3 llama-window qwen2 qwen2-untied qwen2-yarn qwen3; do
    run 0 convert "$golden/$name.gguf" -o "$dir/h-$name" --format safetensors --verify -q
    run 0 convert "$dir/h-$name" -o "$dir/h.apr" --verify --force -q
    run 0 convert "$dir/h.apr" -o "$dir/h.gguf" --verify --force -q
    run 0 rosetta diff-tensors "$golden/$name.gguf" "$dir/h.gguf" --filter blk --json
    json 'd["same_bits"] == d["compared"] > 10'
done
for name in qwen2moe qwen3moe; do
    run 6 convert "$golden/$name.gguf" -o "$dir/moe" --format safetensors
    err_has 'mixture of experts'
    run 0 convert "$golden/$name.gguf" -o "$dir/moe.apr" --verify -q --force
    run 0 convert "$dir/moe.apr" -o "$dir/moe.gguf" --verify -q --force
done
if [ -n "${RZ_SHARED:-}" ]; then
    hf=$RZ_SHARED/fixtures/demo/hf
    run 0 convert "$hf" -o "$dir/s.gguf" --verify -q
    run 0 convert "$dir/s.gguf" -o "$dir/s.safetensors" --verify -q
    if cmp -s "$hf/model.safetensors" "$dir/s.safetensors/model.safetensors"; then
        pass
    else
        fail 'SafeTensors -> GGUF -> SafeTensors changed the file'
    fi
fi

# ---- shards, compression ----
run 0 convert "$dir/a.gguf" -o "$dir/shards" --format safetensors --shard-size 2M --verify -q
same "$(find "$dir/shards" -name 'model-0*-of-00005.safetensors' | wc -l | tr -d ' ')" 5 'shards'
run 0 convert "$dir/shards" -o "$dir/u.gguf" --verify -q
if cmp -s "$dir/u.gguf" "$dir/second.gguf"; then pass; else
    run 0 rosetta diff-tensors "$dir/u.gguf" "$dir/second.gguf"
fi
for kind in none lz4 zstd; do
    run 0 convert "$dir/a.gguf" -o "$dir/c.apr" --compression $kind --verify --force -q
done
run 2 convert "$dir/a.gguf" -o "$dir/c.apr" --packed --packed-only
run 2 convert "$dir/a.gguf" -o "$dir/c.gguf" --compression lz4
err_has 'no compression'
run 2 convert "$dir/a.gguf" -o "$dir/c.gguf" --shard-size 1M
err_has 'shards'
run 2 convert "$dir/a.gguf" -o "$dir/c" --format safetensors --shard-size 1Q
err_has '--shard-size'

# ---- what is refused leaves nothing ----
run 2 convert "$dir/a.gguf"
err_has 'needs -o'
run 2 convert "$dir/a.gguf" -o "$dir/noending"
err_has 'does not say which format'
run 2 convert "$dir/a.gguf" -o "$dir/n.gguf" --quantize q9_z
err_has 'q9_z'
run 2 convert "$dir/a.gguf" -o "$dir/n.safetensors" --quantize q4_0
err_has 'cannot hold'
run 3 convert "$dir/nothing.gguf" -o "$dir/n.gguf"
run 3 convert "$dir/a.gguf" -o "$dir/n.gguf" --quantize q4_k --imatrix "$dir/nothing"
run 0 imatrix demo -f "$RZ_SOURCE_DIR/README.md" -o "$dir/i.gguf" --chunks 1 -q
run 2 convert "$dir/a.gguf" -o "$dir/n.gguf" --imatrix "$dir/i.gguf"
err_has 'no tensor is quantized'
run 2 convert "$dir/a.gguf" -o "$dir/n.gguf" --quantize keep --imatrix "$dir/i.gguf"
run 5 convert "$dir/a.gguf" -o "$dir/a.apr"
err_has '--force'
run 7 convert "$dir/a.gguf" -o "$dir/no/such/folder.gguf"
for left in n.gguf n.safetensors c.gguf c noending; do
    if [ -e "$dir/$left" ]; then fail "$left was left"; else pass; fi
done
# A directory with other things in it is not replaced, nor a file by a directory.
mkdir "$dir/home"
echo precious >"$dir/home/letter.txt"
run 2 convert "$dir/a.gguf" -o "$dir/home" --format safetensors --force
err_has 'letter.txt'
same "$(cat "$dir/home/letter.txt")" precious 'a file in the way'
mv "$dir/home/letter.txt" "$dir/home/accounts.json"
run 2 convert "$dir/a.gguf" -o "$dir/home" --format safetensors --force
err_has 'accounts.json'
mv "$dir/home/accounts.json" "$dir/home/my.part-time.json"
run 2 convert "$dir/a.gguf" -o "$dir/home" --format safetensors --force
mv "$dir/home/my.part-time.json" "$dir/home/my.safetensors"
run 2 convert "$dir/a.gguf" -o "$dir/home" --format safetensors --force
run 2 convert "$dir/a.gguf" -o "$dir/a.apr" --format safetensors --force
err_has 'no directory'
run 0 convert "$dir/a.gguf" --output "$dir/shards" --format safetensors --force -q -t 1
same "$(find "$dir/shards" -name '*.safetensors' | wc -l | tr -d ' ')" 1 \
    'the directory was replaced'
same "$(part_files)" '' 'temporary files'

# Damage.
damage() { # FILE WHAT: element 777 of a BF16 tensor becomes WHAT
    python3 - "$1" "$2" "$APR" <<'PY'
import json, subprocess, sys
path, what, apr = sys.argv[1:]
text = subprocess.run([apr, "inspect", "--json", "--tensors", path], capture_output=True).stdout
d = json.loads(text)
t = [t for t in d["tensors"] if t["name"] == "blk.1.ffn_up.weight"][0]
with open(path, "r+b") as f:
    f.seek(t["offset"] + 2 * 777)
    f.write({"nan": b"\xc0\x7f", "inf": b"\x80\xff"}[what])
PY
}
if command -v python3 >/dev/null 2>&1; then
    for what in nan inf; do
        cp "$dir/a.gguf" "$dir/bad.gguf"
        damage "$dir/bad.gguf" $what
        for to in bad2.gguf bad2.apr bad2.safetensors; do
            run 5 convert "$dir/bad.gguf" -o "$dir/$to"
            err_has 'blk.1.ffn_up.weight (BF16), element 777'
            if [ -e "$dir/$to" ]; then fail "$to was left"; else pass; fi
        done
        run 5 convert "$dir/bad.gguf" -o "$dir/bad2.gguf" --quantize q4_k_m
        err_has 'element 777'
    done
    same "$(part_files)" '' 'temporary files'
else
    echo "skipped: damaged weights need python3"
fi

# ---- killed half-way: the old file or none, whichever writer; the next run cleans up ----
"$SYNTH_MODEL" 0.5b bf16 "$dir/big.gguf" >/dev/null

# begin OUT OPTION...: starts to convert the big model; returns when its temporary file is there.
begin() {
    "$APR" convert "$dir/big.gguf" --force -q -o "$@" >/dev/null 2>&1 &
    pid=$!
    n=0
    while [ -z "$(part_files)" ] && [ $n -lt 1000 ] && kill -0 $pid 2>/dev/null; do
        sleep 0.01
        n=$((n + 1))
    done
}

for to in gguf apr safetensors; do
    for old in no yes; do
        rm -rf "$dir/k.$to"
        [ $old = yes ] && cp -r "$dir/a.$to" "$dir/k.$to"
        begin "$dir/k.$to"
        [ $old = yes ] && sleep 0.1
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        if [ ! -e "$dir/k.$to" ]; then
            if [ $old = yes ]; then fail "the old k.$to has gone"; else pass; fi
        else
            # What has the name is whole: the old model, or the new one if it was done already.
            "$APR" inspect --json "$dir/k.$to" >"$out" 2>"$err" ||
                fail "k.$to is damaged after kill -9"
            json 'd["num_tensors"] in (50, 290, 291)'
        fi
        # What the killed one left is gone after the next, which is not hindered by it.
        run 0 convert "$dir/a.gguf" -o "$dir/k.$to" --force --verify -q
        same "$(part_files)" '' "temporary files of k.$to"
    done
done
# A file that is being written is nobody else's to remove.
rm -rf "$dir/k.gguf"
begin "$dir/k.gguf" --quantize q4_k_m --threads 1
run 0 convert "$dir/a.gguf" -o "$dir/k.gguf" --force -q
if wait $pid; then pass; else fail 'a conversion was disturbed by another to the same name'; fi
same "$(part_files)" '' 'temporary files of two conversions at once'
run 0 inspect "$dir/k.gguf"
# Ctrl-C removes what there is.
rm -rf "$dir/k.gguf"
if command -v python3 >/dev/null 2>&1; then
    if python3 - "$APR" "$dir" <<'PY'
import os, signal, subprocess, sys, time
apr, d = sys.argv[1:]
p = subprocess.Popen([apr, "convert", d + "/big.gguf", "-o", d + "/k.gguf", "--quantize", "q4_k_m",
                      "-q"], stderr=subprocess.DEVNULL)
while p.poll() is None and not [f for f in os.listdir(d) if f.endswith(".part")]:
    time.sleep(0.01)
time.sleep(0.2)
p.send_signal(signal.SIGINT)
sys.exit(0 if p.wait(60) == 130 and not os.path.exists(d + "/k.gguf") else 1)
PY
    then pass; else fail 'Ctrl-C during a conversion'; fi
    same "$(part_files)" '' 'temporary files after Ctrl-C'
fi
finish
