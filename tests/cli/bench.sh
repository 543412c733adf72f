#!/bin/sh
# apr bench: options, forms of output, baselines. No test looks at how large a figure is.
. "$(dirname "$0")/lib.sh"

# On a busy machine bench may refuse a figure above its limit, as it should: it is asked again.
apr() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        timeout --foreground -k 5 240 "$APR" "$@" >"$dir/tried_out" 2>"$dir/tried_err"
        code=$?
        grep -q 'one of the two measurements is wrong' "$dir/tried_err" || break
        rm -f "$dir/calls" "$dir/ik-calls"
    done
    cat "$dir/tried_out"
    cat "$dir/tried_err" >&2
    return "$code"
}

run 0 bench demo -p 8 -n 2 --runs 2 --warmup 0 -q --kv f16
out_has 'prefill 8'
out_has 'decode 2'
out_has 'to the first token'
out_has 'GB/s'
err_is_empty

run 0 bench demo -p 4 -n 2 --runs 2 --warmup 1 --quiet --json --threads 1 --kv q8_0
json 'd["kv_type"] == "Q8_0"'

# Lists: every depth has its own figures, batches are measured at the first.
run 0 bench demo --prompt-tokens 4,8 --gen-tokens 2 --depth 0,33 --batch 1,3 --runs 2 --warmup 1 \
    --quiet --json --threads 2 --kv f32 --csv "$dir/figures.csv" --svg "$dir/figures.svg"
json 'len(d["results"]) == 7 and d["threads"] == 2 and d["kv_type"] == "F32"'
json '[(r["test"], r["tokens"], r["depth"], r["batch"]) for r in d["results"]] == [
    ("prefill", 4, 0, 1), ("prefill", 8, 0, 1), ("decode", 2, 0, 1), ("decode", 2, 0, 3),
    ("prefill", 4, 33, 1), ("prefill", 8, 33, 1), ("decode", 2, 33, 1)]'
json 'all(0 < r["tokens_per_s"]["median"] and 0 < r["limit_tokens_per_s"] and
    r["bound"] in ("memory", "matrix") for r in d["results"])'
json 'all(0 < r["fraction_interval"][0] <= r["fraction_of_limit"] <= r["fraction_interval"][1]
    for r in d["results"]) and all(r["fraction_of_limit"] <= 1 for r in d["results"])'
json 'all(r["tokens_per_s"]["n"] == 2 and r["tokens_per_s"]["interval"][0]
    <= r["tokens_per_s"]["median"] <= r["tokens_per_s"]["interval"][1] for r in d["results"])'
json 'all((r["first_token_s"] is None) == (r["test"] == "decode") for r in d["results"])'
json 'd["limits"]["read_bytes_per_s"] > 0 and d["limits"]["matrix_peak"]["ops_per_s"] > 0'
json 'd["load_s"]["median"] > 0 and d["peak_memory_bytes"] > d["weight_bytes"] / 2'
same "$(wc -l <"$dir/figures.csv" | tr -d ' ')" 8 'the lines of the CSV'
same "$(awk -F, '{ print NF }' "$dir/figures.csv" | sort -u)" 19 'the columns of the CSV'
if head -n 2 "$dir/figures.svg" | grep -q '<svg '; then pass; else fail 'no SVG'; fi
if grep -q 'prefill 8 @ 33, apr: ' "$dir/figures.svg"; then pass; else fail 'a bar is missing'; fi
if command -v python3 >/dev/null 2>&1; then
    if python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' \
        "$dir/figures.svg"; then pass; else fail 'the SVG is not well-formed'; fi
fi

run 0 bench demo -p 8 -n 0 --fast --warmup 0 -q --bars --cpu-level scalar --no-gpu
out_has '5 after 0 of warm-up'
out_has 'scalar kernels'
out_has 'apr bench, tokens per second'
out_lacks decode

# A PNG, or a sentence before anything is measured.
"$APR" bench demo -p 4 -n 0 -r 1 -w 0 -q --png "$dir/figures.png" >"$out" 2>"$err"
case $? in
0) same "$(head -c 4 "$dir/figures.png" | tail -c 3)" PNG 'the signature of the PNG' ;;
9) err_has cairo ;;
*) fail 'bench --png' ;;
esac

# What is wrong is said before the model is loaded.
run 2 bench demo -p ''
run 2 bench demo -p 1,,2
run 2 bench demo -p 1x
err_has '--prompt-tokens takes whole numbers'
run 2 bench demo --depth 5,5
err_has '5 stands there twice'
run 2 bench demo --batch 0
run 2 bench demo -p 0 -n 0
err_has 'nothing to measure'
run 2 bench demo --runs 0
run 2 bench demo --json --bars
run 2 bench demo -p 8 -n 1 --depth 1000000 -r 1 -w 0
err_has 'trained for'
run 2 bench demo --baseline vllm=x
err_has 'llama-cpp=PATH'
run 2 bench demo --baseline ollama=http://localhost:11434
err_has 'ollama=URL/MODEL'
run 3 bench demo --baseline llama-cpp="$dir/none"
run 3 bench "$dir/none.gguf"
run 9 bench demo --gpu

# Another llama-bench: it gets the same file, threads and sizes, and answers 10 tokens per second.
cat >"$dir/llama-bench" <<'EOF'
#!/bin/sh
printf '%s\n' "$*" >>"${0%/*}/calls"
depth=0
while [ $# -gt 0 ]; do
    case $1 in
    -p) prompt=$2 ;;
    -n) gen=$2 ;;
    -d) depth=$2 ;;
    esac
    shift
done
printf '[{"n_prompt": %s, "n_gen": 0, "n_depth": %s, "avg_ts": 10.0},' "$prompt" "$depth"
printf '{"n_prompt": 0, "n_gen": %s, "n_depth": %s, "avg_ts": 10.0}]' "$gen" "$depth"
EOF
chmod +x "$dir/llama-bench"
run 0 bench demo -p 8 -n 2 --depth 0,16 --batch 1,2 --runs 3 --warmup 1 -q -t 1 --json \
    --baseline "llama-cpp=$dir/llama-bench"
json 'all(r["baselines"][0]["tokens_per_s"]["median"] == 10 for r in d["results"]
    if r["batch"] == 1)'
json 'all(abs(r["baselines"][0]["ratio"]["median"] * 10 / r["tokens_per_s"]["median"] - 1) < 1e-6
    for r in d["results"] if r["batch"] == 1)'
json '[r["baselines"][0]["ratio"] for r in d["results"] if r["batch"] == 2] == [None]'
json 'all(0 < r["baselines"][0]["fraction_of_limit"]["median"] < 1
    for r in d["results"] if r["batch"] == 1)'
same "$(wc -l <"$dir/calls" | tr -d ' ')" 6 'the runs of the baseline'
same "$(head -n 1 "$dir/calls")" "-m $demo -t 1 -r 1 -o json -ngl 0 -p 8 -n 2" 'its arguments'
same "$(tail -n 1 "$dir/calls")" "-m $demo -t 1 -r 1 -o json -ngl 0 -p 8 -n 2 -d 16" \
    'its arguments at a depth'
run 0 bench demo -p 8 -n 2 -r 1 -w 0 -q --baseline "llama-cpp=$dir/llama-bench" \
    --csv "$dir/figures.csv"
out_has 'times as fast'
same "$(awk -F, '{ print NF }' "$dir/figures.csv" | sort -u)" 24 'the columns with a baseline'
run 2 bench demo -p 8 -n 2 -r 1 -w 0 -q --kv f32 --baseline "llama-cpp=$dir/llama-bench"
err_has '--kv f16'
run 0 bench demo -p 8 -n 2 -r 1 -w 0 -q -t 1 --kv q8_0 --baseline "llama-cpp=$dir/llama-bench"
same "$(tail -n 1 "$dir/calls")" \
    "-m $demo -t 1 -r 1 -o json -ngl 0 -p 8 -n 2 -ctk q8_0 -ctv q8_0 -fa 1" 'the arguments for q8_0'
# ik_llama.cpp has no -d: decoding at a depth is asked for in its own way, prefill there is not.
cat >"$dir/ik-bench" <<'EOF'
#!/bin/sh
printf '%s\n' "$*" >>"${0%/*}/ik-calls"
case "$*" in
*-gp*) printf '[{"n_prompt": 16, "n_gen": 2, "test": "tg2@pp16", "avg_ts": 10.0}]' ;;
*)
    printf '[{"n_prompt": 8, "n_gen": 0, "avg_ts": 10.0}, '
    printf '{"n_prompt": 0, "n_gen": 2, "avg_ts": 10.0}]'
    ;;
esac
EOF
chmod +x "$dir/ik-bench"
run 0 bench demo -p 8 -n 2 -d 0,16 -r 2 -w 0 -q -t 1 --json --baseline "ik-llama-cpp=$dir/ik-bench"
json '[(r["baselines"][0]["tokens_per_s"] or {}).get("median") for r in d["results"]] ==
    [10, 10, None, 10]'
same "$(tail -n 1 "$dir/ik-calls")" "-m $demo -t 1 -r 1 -o json -ngl 0 -p 0 -n 0 -gp 16,2" \
    'the arguments for a depth'
run 0 bench demo -p 8 -n 0 -d 16 -r 1 -w 0 -q -t 1 --baseline "ik-llama-cpp=$dir/ik-bench"
printf '#!/bin/sh\necho hello\n' >"$dir/llama-bench"
run 4 bench demo -p 8 -n 2 -r 1 -w 0 -q --baseline "llama-cpp=$dir/llama-bench"
err_has 'JSON array'
printf '#!/bin/sh\nexit 3\n' >"$dir/llama-bench"
run 7 bench demo -p 8 -n 2 -r 1 -w 0 -q --baseline "llama-cpp=$dir/llama-bench"
err_has 'exit code 3'

# Another Ollama: tells 100 tokens per second of prompts, 20 of answers.
if command -v python3 >/dev/null 2>&1; then
    python3 - "$dir/port" >"$dir/asked" <<'EOF' &
import http.server, json, sys
odd = [b"", b"no JSON", b"[]", b'{"done": true}', b"[" * 100000, b'{"done": true, "eval_count": 4}',
       b'{"done": true, "eval_count": "4", "eval_duration": 1}',
       b'{"eval_count": 4, "eval_duration": 1}',
       b'{"done": true, "eval_count": -9223372036854775808, "eval_duration": 1}',
       b'{"done": true, "eval_count": 4, "eval_duration": -1}',
       b'{"done": true, "eval_count": 1e400}']
class Ollama(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        q = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        n, p = q["options"]["num_predict"], len(q["prompt"].split())
        if q["model"] == "gone":
            self.send_error(404)
            return
        print(self.path, q["model"], p, n, q["options"]["num_thread"], q["raw"], flush=True)
        if q["model"].startswith("odd"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(odd[int(q["model"][3:])])
            return
        stop = n if q["model"] == "good" else 1
        a = json.dumps({"done": True, "prompt_eval_count": p, "eval_count": stop,
                        "prompt_eval_duration": p * 10**7, "eval_duration": stop * 5 * 10**7})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(a.encode())
    def log_message(self, *a):
        pass
s = http.server.HTTPServer(("127.0.0.1", 0), Ollama)
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(s.server_port))
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
s.serve_forever()
EOF
    server=$!
    trap 'kill $server; rm -rf "$dir"' EXIT
    while [ ! -s "$dir/port" ]; do sleep 0.05; done
    url=http://127.0.0.1:$(cat "$dir/port")
    apr bench demo -p 8 -n 4 --depth 0,16 -r 2 -w 0 -q -t 1 --json \
        --baseline "ollama=$url/good" >"$out" 2>"$err"
    case $? in
    9) err_has libcurl ;;
    *)
        json '[r["baselines"][0]["tokens_per_s"] and r["baselines"][0]["tokens_per_s"]["median"]
            for r in d["results"]] == [100, 20, None, 20]'
        same "$(sort -u "$dir/asked" | cut -d ' ' -f 2- | tr '\n' ';')" \
            'good 1 4 1 True;good 16 4 1 True;good 8 1 1 True;' 'what Ollama was asked'
        same "$(cut -d ' ' -f 1 "$dir/asked" | sort -u)" /api/generate 'where'
        run 5 bench demo -p 0 -n 4 -r 1 -w 0 -q --baseline "ollama=$url/short"
        err_has 'not comparable'
        run 11 bench demo -p 8 -n 0 -r 1 -w 0 -q --baseline "ollama=$url/gone"
        err_has 404
        for i in 0 1 2 3 4 5 6 7 8 9 10; do
            run 4 bench demo -p 0 -n 4 -r 1 -w 0 -q --baseline "ollama=$url/odd$i"
        done
        ;;
    esac
else
    echo 'skipped: a server that answers as Ollama needs python3'
fi
finish
