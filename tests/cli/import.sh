#!/bin/sh
# apr import: any local model to .apr.
. "$(dirname "$0")/lib.sh"
run 0 import "$demo" -o "$dir/m.apr" --verify
out_has '(apr)'
out_has 'metadata the same'
run 0 import "$demo" -o "$dir/m" -q
run 0 inspect --json "$dir/m"
json 'd["format"] == "APR" and d["num_tensors"] == 50'
run 0 import "$demo" -o "$dir/m" --force --json --quantize q8_0 --threads 1 --compression lz4
json 'd["format"] == "apr" and d["output"].endswith("/m")'
run 0 import "$demo" -o "$dir/other.gguf" -q
run 0 import "$demo" -o "$dir/LARGE.GGUF" -q --quantize KEEP
same "$(head -c 4 "$dir/LARGE.GGUF")" GGUF 'the format that an ending in capitals asks for'
run 0 inspect --json "$dir/other.gguf"
json 'd["format"] == "GGUF"'
run 0 import "$demo" --output "$dir/third" --format safetensors --quantize bf16 --shard-size 3M \
    --quiet
run 5 import "$demo" -o "$dir/m"
run 2 import "$demo"
err_has 'needs -o'
run 3 import "$dir/nothing" -o "$dir/n.apr"
run 4 import "$0" -o "$dir/n.apr"
run 3 import "$demo" -o "$dir/n.apr" --quantize q4_k --imatrix "$dir/nothing"
if [ -e "$dir/n.apr" ]; then fail 'n.apr was left'; else pass; fi
run 0 import "$demo" -o "$dir/p.apr" --packed -f --quiet
run 0 import "$demo" -o "$dir/p.apr" --packed-only --force --verify -t 2
out_has 'metadata the same'
run 2 import "$demo" -o "$dir/q.gguf" --packed
finish
