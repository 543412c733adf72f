#!/bin/sh
# apr imatrix: what is run, both formats, and what is refused.
. "$(dirname "$0")/lib.sh"
i=0
while [ $i -lt 40 ]; do
    echo "Line $i: the capital of France is Paris, and $i plus $i is $((i + i))."
    i=$((i + 1))
done >"$dir/text"
n=$("$APR" tokenize demo - <"$dir/text" | wc -w | tr -d ' ')

run 0 imatrix demo --file "$dir/text" --output "$dir/a.gguf"
out_has "$dir/a.gguf: 28 matrices from "
same "$(head -c 4 "$dir/a.gguf")" GGUF 'the magic of the file'
run 0 imatrix --json demo -f "$dir/text" -o "$dir/b.dat" --ctx 100 --quiet --threads 1
json "d['tokens'] == $n // 100 * 100 and d['chunks'] == $n // 100 and d['ctx'] == 100"
json 'd["format"] == "dat" and d["matrices"] == 28 and d["unused_experts"] == 0'
json "d['file'] == '$dir/b.dat' and d['seconds'] > 0"
# The ending chooses the format unless --format does; a .dat starts with the number of matrices.
same "$(od -An -tu1 -N4 "$dir/b.dat" | tr -s ' ')" ' 28 0 0 0' 'the start of a .dat'
run 0 imatrix demo -f "$dir/text" -o "$dir/c" --format dat --ctx 100 --threads 2 -q
if cmp -s "$dir/b.dat" "$dir/c"; then pass; else fail 'threads or --format change the file'; fi
run 0 imatrix demo -f "$dir/text" -o "$dir/d.dat" --format gguf --ctx 100
same "$(head -c 4 "$dir/d.dat")" GGUF '--format gguf'

run 0 imatrix demo -f "$dir/text" -o "$dir/e.gguf" --ctx 64 --chunks 2 --json
json 'd["chunks"] == 2 and d["tokens"] == 128'
# The head too: one more matrix, which sees every token.
run 0 imatrix demo -f "$dir/text" -o "$dir/e.gguf" --ctx 64 --chunks 2 --output-weight --json
json 'd["matrices"] == 29'
run 0 imatrix demo -f "$dir/text" -o "$dir/f.gguf" --cpu-level scalar --no-gpu --chunks 1
# A text shorter than a chunk is run whole.
pipe 0 'Good morning, how are you?' imatrix demo --file - -o "$dir/f.gguf" --json
json 'd["chunks"] == 1 and 0 < d["tokens"] < 20'
# Experts each have their own sums.
run 0 imatrix "$RZ_SOURCE_DIR/tests/golden/data/qwen2moe.gguf" -f "$dir/text" \
    -o "$dir/m.gguf" --ctx 32

run 2 imatrix demo
run 2 imatrix demo --file "$dir/text"
run 2 imatrix demo --output "$dir/x.gguf"
run 2 imatrix demo -f "$dir/text" -o "$dir/x.gguf" --ctx 0
run 2 imatrix demo -f "$dir/text" -o "$dir/x.gguf" --ctx 1000000
run 2 imatrix demo -f "$dir/text" -o "$dir/x.gguf" --chunks 0
run 2 imatrix demo -f "$dir/text" -o "$dir/x.gguf" --format csv
run 2 imatrix demo -f "$dir/text" -o "$dir"
run 3 imatrix demo -f "$dir/missing" -o "$dir/x.gguf"
pipe 2 '' imatrix demo -f - -o "$dir/x.gguf"
pipe 4 'a\0377' imatrix demo -f - -o "$dir/x.gguf"
run 7 imatrix demo -f "$dir/text" -o "$dir/none/x.gguf"
run 9 imatrix demo -f "$dir/text" -o "$dir/x.gguf" --gpu
run 0 convert demo -o "$dir/model.gguf" -q
cp "$dir/text" "$dir/text2"
run 5 imatrix "$dir/model.gguf" -f "$dir/text" -o "$dir/model.gguf"
err_has 'is the model'
run 5 imatrix demo -f "$dir/text2" -o "$dir/text2"
err_has 'is the text'
if cmp -s "$dir/text" "$dir/text2"; then pass; else fail 'the text was changed'; fi
if [ -e "$dir/x.gguf" ]; then fail 'a failure left a file'; else pass; fi
finish
