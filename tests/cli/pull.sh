#!/bin/sh
# apr pull, and models by name in other commands, against a hub that this test starts.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hub.sh"
file=$cache/org--repo/$commit/demo-q4_k_m.gguf

# What there is, without fetching it.
run 0 pull org/repo --dry-run
out_has "org/repo at $commit, Q4_K_M"
out_has 'to fetch  demo-q4_k_m.gguf'
err_is_empty
run 0 pull --json --dry-run --quant q8_0 org/repo
json 'd["quant"] == "Q8_0" and d["dry_run"] and d["bytes_received"] == 0 and d["format"] == "GGUF"'
json '[f["name"] for f in d["files"]] == ["demo-q8_0.gguf"] and d["files"][0]["bytes"] == 100000'
json 'not d["files"][0]["present"] and len(d["files"][0]["sha256"]) == 64'
same "$(asked /resolve/)" 0 'files asked for by --dry-run'
if [ -e "$dir/cache" ]; then fail '--dry-run wrote into the cache'; else pass; fi

# Offline there is nothing yet.
run 3 pull --offline org/repo
err_has 'is not on this machine'
run 3 run org/repo hello --offline
err_has '--offline forbids'
HF_HUB_OFFLINE=1 run 3 inspect org/repo
same "$(asked "")" 2 'requests while offline, and before'

# Fetched, told, found again.
run 0 pull org/repo
out_is "$file\n"
err_has '1 file, '
err_has 'verified'
if cmp -s "$demo" "$file"; then pass; else fail 'the file is another one'; fi
run 0 pull org/repo -q
out_is "$file\n"
err_is_empty
same "$(asked /resolve/)" 1 'the second pull'
run 0 pull org/repo
err_has 'is here already'
run 0 pull org/repo --force --quiet --jobs 1
same "$(asked /resolve/)" 2 'pull --force'
run 0 pull -f -j 2 org/repo --retries 0 --timeout 60 -q
same "$(asked /resolve/)" 3 'pull -f'
run 0 pull hf://org/repo/README.md
out_is "$cache/org--repo/$commit/README.md\n"
run 0 pull "$HF_ENDPOINT/org/repo/blob/main/README.md"
out_is "$cache/org--repo/$commit/README.md\n"
run 0 pull org/repo --revision old
out_is "$cache/org--repo/dddddddddddddddddddddddddddddddddddddddd/demo-q4_k_m.gguf\n"
err_has 'is here already'
run 0 pull --offline org/repo
out_is "$file\n"

# Through a proxy: the hub itself is asked for another hub's files.
HF_ENDPOINT=http://hub.invalid http_proxy="http://127.0.0.1:$port" run 0 pull org/repo -q \
    -o "$dir/by-proxy"
if cmp -s "$demo" "$dir/by-proxy/demo-q4_k_m.gguf"; then pass; else fail 'a file by proxy'; fi
same "$(asked 'GET http://hub.invalid/org/repo/resolve/')" 1 'requests by proxy'
http_proxy=http://127.0.0.1:1 run 10 pull org/repo -q --retries 0 -o "$dir/no-proxy"
http_proxy=http://127.0.0.1:1 no_proxy=127.0.0.1 run 0 pull org/repo -q -o "$dir/no-proxy"

# Into a folder.
run 0 pull org/repo -o "$dir/mine"
out_is "$dir/mine/demo-q4_k_m.gguf\n"
printf 'mine' >"$dir/mine/demo-q4_k_m.gguf"
run 5 pull org/repo --output "$dir/mine"
err_has '--force replaces'
same "$(cat "$dir/mine/demo-q4_k_m.gguf")" mine 'a file that was there'
run 0 pull org/repo --output "$dir/mine" --force
if cmp -s "$demo" "$dir/mine/demo-q4_k_m.gguf"; then pass; else fail '--force did not replace'; fi
same "$(find "$dir/mine" -type f | wc -l | tr -d ' ')" 1 'files in the folder'

# What goes wrong, with its exit code.
run 11 pull org/nothing
err_has 'no such thing here'
run 11 pull org/repo --revision v9
err_has 'revision v9'
run 11 pull org/repo --quant Q5_K_M
err_has 'it has: Q4_K_M, Q8_0'
run 11 pull hf://org/repo/none.gguf
err_has 'it has: README.md'
run 11 pull --json org/gated
json 'd["error"]["code"] == 11 and "HF_TOKEN may open it" in d["error"]["message"]'
HF_TOKEN=bad run 11 pull org/gated
err_has 'has to be let in'
HF_TOKEN=good run 0 pull org/gated
same "$(asked 'Bearer good')" 2 'requests with the token'
mkdir -p "$dir/cache/huggingface"
echo good >"$dir/cache/huggingface/token"
run 0 pull org/gated --dry-run
rm "$dir/cache/huggingface/token"
HF_ENDPOINT=http://127.0.0.1:1 run 10 pull org/repo --retries 0
err_has 'tried 1 times'
HF_ENDPOINT=nonsense run 2 pull org/repo
for ref in demo ./x org/repo/x hf://org/../x org/repo:QX; do
    run 2 pull "$ref"
    err_has 'apr help pull'
done
run 2 pull org/repo --quant best
err_has 'no quantization'
run 2 pull org/repo --revision ../x
run 2 pull org/repo:Q8_0 --quant Q4_K_M
run 2 pull org/repo --offline --force
err_has 'contradicts'
run 2 pull org/repo --jobs 0
run 2 pull org/repo --timeout 0

# Other commands: by name, from the cache, without asking; an existing path always wins.
before=$(asked "")
run 0 run org/repo 'What is 2+2?' --temperature 0 --json
json 'd["cached"] and d["model"].endswith("demo-q4_k_m.gguf")'
run 0 run demo 'What is 2+2?' --temperature 0 -q
answer=$(cat "$out")
run 0 run org/repo:Q4_K_M 'What is 2+2?' --temperature 0 -q
same "$(cat "$out")" "$answer" 'the answer of a model by name'
run 0 tokenize hf://org/repo hello
same "$(asked "")" "$before" 'requests for what is in the cache'
rm -r "$dir/cache"
run 0 run org/repo 'What is 2+2?' --temperature 0 --json
json 'not d["cached"]'
err_has 'downloading org/repo, Q4_K_M, '
rm -r "$dir/cache"
run 0 run org/repo 'What is 2+2?' --temperature 0 -q
same "$(cat "$out")" "$answer" 'the answer of a model that was downloaded for it'
err_is_empty
rm -r "$dir/cache"
run 0 inspect "$HF_ENDPOINT/org/repo/demo-q4_k_m.gguf"
out_has "$cache/url+"
run 0 pull "$HF_ENDPOINT/org/repo/demo-q4_k_m.gguf" -f
err_has 'not verified: the server tells no hash'
mkdir -p "$dir/here/org"
cp "$demo" "$dir/here/org/repo"
before=$(asked "")
last='an existing path'
(cd "$dir/here" && "$APR" inspect org/repo) >"$out" 2>"$err"
same $? 0 "$last"
same "$(asked "")" "$before" "$last: requests"

# A damaged copy is no model; pulled again it is whole.
run 0 pull org/repo -q
printf 'x' >"$file"
run 0 pull org/repo -q
if cmp -s "$demo" "$file"; then pass; else fail 'a file that was cut off stayed so'; fi

# From https to http: refused, whatever the certificate.
if command -v openssl >/dev/null 2>&1 &&
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key.pem" -out "$dir/cert.pem" -days 2 \
        -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 >"$dir/openssl" 2>&1; then
    plain=$HF_ENDPOINT
    start_hub "$dir/tls_port" "$dir/cert.pem" "$dir/key.pem" "$plain/org/repo/demo-q4_k_m.gguf"
    export HF_ENDPOINT="https://127.0.0.1:$port"
    rm -rf "$dir/cache"
    run 10 pull org/repo --retries 0
    err_has 'ertificate'
    export SSL_CERT_FILE="$dir/cert.pem"
    run 0 pull org/repo --dry-run
    HF_TOKEN=good run 10 pull org/repo
    err_has 'from https to http'
    if [ -e "$file" ]; then fail 'a file came over http'; else pass; fi
else
    echo 'skipped: the redirect from https needs openssl to make a certificate'
fi
finish
