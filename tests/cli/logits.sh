#!/bin/sh
# apr logits: raw numbers and the likeliest tokens, which agree.
. "$(dirname "$0")/lib.sh"
text='The capital of France is'
ids=$("$APR" tokenize demo "$text" | tr ' ' ',')
n=$(echo "$ids" | tr ',' '\n' | wc -l | tr -d ' ')
vocab=$("$APR" inspect demo | awk '$1 == "vocab_size" { print $2 }')

run 0 logits demo "$text"
same "$(wc -l <"$out" | tr -d ' ')" 11 'lines of the top ten'
first=$(sed -n '2s/^ *\([0-9]*\) .*/\1/p' "$out")
cp "$out" "$dir/text"
run 0 logits demo --ids "$ids"
same "$(cat "$out")" "$(cat "$dir/text")" 'the top ten of text and of ids'

run 0 logits demo "$text" --json -o "$dir/last.f32"
json 'd["n_vocab"] == '"$vocab"' and d["tokens"] == ['"$ids"']'
json 'len(d["positions"]) == 1 and d["positions"][0]["position"] == '"$n"' - 1'
json '[t["id"] for t in d["positions"][0]["top"]][0] == '"$first"
json 'all(set(t) == {"id","piece","logit","probability"} for t in d["positions"][0]["top"])'
json 'sorted((-t["logit"], t["id"]) for t in d["positions"][0]["top"]) ==
[(-t["logit"], t["id"]) for t in d["positions"][0]["top"]]'
json '0 < sum(t["probability"] for t in d["positions"][0]["top"]) <= 1'
same "$(wc -c <"$dir/last.f32" | tr -d ' ')" $((4 * vocab)) 'bytes of one position'
cp "$out" "$dir/last.json"
cat >"$dir/agree.py" <<'PY'
import json, math, struct, sys
d = json.load(open(sys.argv[1]))
raw = open(sys.argv[2], "rb").read()
x = struct.unpack("<%df" % (len(raw) // 4), raw)
total = math.log(math.fsum(math.exp(v) for v in x))
top = d["positions"][-1]["top"]
order = sorted(range(len(x)), key=lambda i: (-x[i], i))[:10]
assert [t["id"] for t in top] == order
for t in top:
    assert abs(t["logit"] - x[t["id"]]) < 1e-6 * abs(x[t["id"]])
    assert abs(t["probability"] - math.exp(x[t["id"]] - total)) < 1e-6
PY
if command -v python3 >/dev/null 2>&1; then
    if python3 "$dir/agree.py" "$dir/last.json" "$dir/last.f32" 2>"$err"; then
        pass
    else
        fail 'the top ten in JSON are not those of the raw numbers'
    fi
fi

# All positions; the last of them is what is given without --all.
run 0 logits demo --all --ids "$ids" --output "$dir/all.f32" --json
json "len(d['positions']) == $n"
same "$(wc -c <"$dir/all.f32" | tr -d ' ')" $((4 * vocab * n)) 'bytes of all positions'
json 'd["positions"][-1]["top"][0]["id"] == '"$first"
run 0 logits demo --all "$text"
same "$(wc -l <"$out" | tr -d ' ')" $((11 * n)) 'lines of all positions'
# More positions than are held at a time.
long=$(yes 5 | head -n 50 | tr '\n' ',' | sed 's/,$//')
run 0 logits demo --all --ids "$long" -o "$dir/long.f32" --kv f32 --ctx 64
same "$(wc -c <"$dir/long.f32" | tr -d ' ')" $((4 * vocab * 50)) 'bytes of 50 positions'
run 0 logits demo --ids "$long" -o "$dir/one.f32" --kv f32 --ctx 64

# To standard output: the numbers and nothing else. The number of threads changes no bit.
run 0 logits demo --ids "$ids" -o - --kv f16
same "$(cksum <"$out")" "$(cksum <"$dir/last.f32")" 'numbers on standard output'
run 0 logits demo --ids "$ids" -o - --kv q8_0
same "$(wc -c <"$out" | tr -d ' ')" $((4 * vocab)) 'bytes with an 8-bit cache'
for threads in 1 2 3; do
    run 0 logits demo --ids "$ids" -o - --threads $threads
    same "$(cksum <"$out")" "$(cksum <"$dir/last.f32")" "logits with $threads threads"
done
run 0 logits demo --ids "$ids" --cpu-level scalar --no-gpu
same "$(sed -n '2s/^ *\([0-9]*\) .*/\1/p' "$out")" "$first" 'the likeliest token by scalar kernels'

# An output file is complete or not there, and keeps what it was on failure.
run 7 logits demo --ids 1 -o "$dir/nowhere/x.f32"
err_has 'cannot be written'
echo keep >"$dir/kept.f32"
run 8 logits demo --ids 1,2,3 --ctx 2 -o "$dir/kept.f32"
same "$(cat "$dir/kept.f32")" keep 'a file that a failure leaves alone'
same "$(find "$dir" -name 'kept.f32*' | wc -l | tr -d ' ')" 1 'files after a failure'
run 0 logits demo --ids 1 -o /dev/null

# What is wrong is said.
run 8 logits demo --ids 1,2,3 --ctx 2
err_has 'has 3 tokens and the context holds 2'
run 8 logits demo --all --ids 1,2,3 --ctx 2
err_has 'has 3 tokens and the context holds 2'
run 2 logits demo
run 2 logits demo --ids 1 text
run 2 logits demo --ids ''
run 2 logits demo ''
run 2 logits demo --ids 1,x
for bad in '1,,2' '1,' ',1'; do
    run 2 logits demo --ids "$bad"
    err_has 'token id'
done
run 2 logits demo --ids "$vocab"
err_has 'outside the vocabulary'
run 2 logits demo --ids 1 -o - --json
run 9 logits demo --ids 1 --gpu

# No report takes the name of a model, be it another one.
run 0 convert demo -o "$dir/m.gguf" -q
run 0 convert demo -o "$dir/m" --format safetensors --quantize bf16 -q
for model in m.gguf m/model.safetensors; do
    cp "$dir/$model" "$dir/before"
    run 5 logits demo --ids 1 -o "$dir/$model"
    err_has 'is a model'
    run 5 canary create demo --tokens 1 -q -o "$dir/$model"
    run 5 profile demo -p 4 -n 1 -m 1 -w 0 -q --format json -o "$dir/$model"
    if cmp -s "$dir/$model" "$dir/before"; then pass; else fail "$model was changed"; fi
done
run 0 logits demo --ids 1 -o "$dir/last.f32"

# What gets its name when it is complete cannot go to stdout, and is no file "-" either.
cd "$dir" || exit 1
run 2 canary create demo --tokens 1 -q -o -
err_has 'name a file'
run 2 profile demo -p 4 -n 1 -m 1 -w 0 -q --format json -o -
run 2 convert demo -o - --format gguf -q
run 2 imatrix demo -f "$dir/text" -o -
run 2 rosetta fingerprint demo -o -
run 2 bench demo -p 4 -n 1 -r 1 -w 0 -q --csv -
if [ -e ./- ]; then fail 'a file named -'; else pass; fi
cd - >/dev/null || exit 1
finish
