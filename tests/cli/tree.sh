#!/bin/sh
# apr tree: the modules that tensor names spell, in four languages.
. "$(dirname "$0")/lib.sh"
edit=$(dirname "$0")/gguf_edit.py

run 0 tree demo
out_has '50 tensors'
out_has '|-- token_embd  1 tensor, 1048.6 K parameters'
# shellcheck disable=SC2016
out_has '`-- output_norm'
out_has 'Q8_0 [4096 x 256]'
out_lacks 'MiB'
cp "$out" "$dir/ascii"
run 0 tree demo --format ascii
if cmp -s "$dir/ascii" "$out"; then pass; else fail 'ascii is not the default'; fi
run 0 tree demo --sizes
out_has '4.27 MiB (100.0 %)'
run 0 tree demo --depth 1
same "$(wc -l <"$out")" 4 'the lines of one level'
out_has 'blk  48 tensors, 3149.8 K parameters ...'
run 0 tree demo --filter 'blk.3.*'
out_lacks token_embd
out_has '12 tensors'
run 3 tree demo --filter zebra
run 2 tree demo --depth 0
run 2 tree demo --format png
run 2 tree demo --json --format dot

run 0 tree demo --format json
cp "$out" "$dir/json"
json 'd["tree"]["tensors"] == 50 and len(d["tree"]["children"]) == 3'
json '[c["name"] for c in d["tree"]["children"][1]["children"]] == ["0", "1", "2", "3"]'
json 'sum(c["bytes"] for c in d["tree"]["children"]) == d["tree"]["bytes"]'
json '(lambda f: f(f, d["tree"]))(lambda f, n: n["path"].endswith(n["name"]) and n["tensors"] ==
sum(c["tensors"] for c in n.get("children", [])) + ("tensor" in n) and
all(f(f, c) for c in n.get("children", [])))'
run 0 tree demo --json
if cmp -s "$dir/json" "$out"; then pass; else fail '--json is not --format json'; fi
run 0 tree demo --json --depth 2 --sizes
json 'all(c["folded"] and c["children"] == [] for c in d["tree"]["children"][1]["children"])'
json 'abs(sum(c["share"] for c in d["tree"]["children"]) - 1) < 1e-6'

run 0 tree demo --format dot --depth 1
out_has 'digraph model {'
out_has '  n2 [label="blk\n48 tensors, 3149.8 K parameters"];'
out_has '  n0 -> n2;'
run 0 tree demo --format dot
same "$(grep -c -- '->' "$out")" "$(($(grep -c label "$out") - 1))" 'edges of a tree'
run 0 tree demo --format mermaid --depth 1
out_has 'graph LR'
out_has '  n2["blk<br/>48 tensors, 3149.8 K parameters"]'
out_has '  n0 --> n2'

if command -v python3 >/dev/null 2>&1; then
    # Hostile names: quotes, backslashes, markup, a name that is a module's too, empty components.
    "$edit" "$demo" "$dir/names.gguf" 'rename:output_norm.weight:q"\<b>&`;#.x' \
        rename:blk.0.attn_q.bias:blk.0 rename:blk.1.attn_q.bias:blk-1.x \
        rename:blk.2.attn_q.bias:blk..y
    run 0 tree "$dir/names.gguf" --format dot
    out_has 'label="q\"\\<b>&`;#\n'
    run 0 tree "$dir/names.gguf" --format mermaid
    out_has '["q#34;#92;#60;b#62;#38;#96;#59;#35;<br/>'
    run 0 tree "$dir/names.gguf" --json
    json 'd["tree"]["tensors"] == 50'
    json 'sorted(c["name"] for c in d["tree"]["children"]) ==
["blk", "blk-1", "q\"\\<b>&`;#", "token_embd"]'
    json 'any(c["name"] == "0" and "tensor" in c and c["tensors"] == 12 for c in
next(c for c in d["tree"]["children"] if c["name"] == "blk")["children"])'
    run 0 tree "$dir/names.gguf"
    out_has '(itself)  F32 [256]'
else
    echo 'skipped: hostile names need python3'
fi
finish
