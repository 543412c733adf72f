#!/bin/sh
# apr template: the rendered prompt to the byte, from a model or a file.
. "$(dirname "$0")/lib.sh"
cat >"$dir/t.jinja" <<'JINJA'
{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}
{% if add_generation_prompt %}[assistant]{% endif %}
JINJA
cat >"$dir/case.json" <<'JSON'
{"messages": [{"role": "user", "content": "Hé\nllo"}], "add_generation_prompt": true,
 "bos_token": "<s>"}
JSON
run 0 template --file "$dir/t.jinja" --input "$dir/case.json"
out_is '<s>[user]Hé\nllo[assistant]'
run 0 template -f "$dir/t.jinja" -i "$dir/case.json" --json
json 'd == {"prompt": "<s>[user]H\u00e9\nllo[assistant]"}'
pipe 0 '{"messages": [], "bos_token": ""}' template --file "$dir/t.jinja" --input -
out_is_empty

# A model's template; its BOS and EOS are known to the template unless the case names them.
run 0 template demo --input "$dir/case.json"
out_has 'Hé'
out_has '<|im_start|>assistant'
pipe 4 '[]' template demo --input -
err_has 'not a JSON object'
pipe 4 '{"messages": [}' template demo --input -
pipe 0 '{ "messages" : [{"role": "user", "content": "x"}]}' template demo --input -
out_has '<|im_start|>user'

# The clock.
# shellcheck disable=SC2016 # Jinja, not shell
printf '{{ strftime_now("%%Y-%%m-%%d %%H:%%M:%%S") }}' >"$dir/now.jinja"
for moment in 2026-11-20T12:34:56 2026-11-20T12:34:56Z '2026-11-20 12:34:56'; do
    pipe 0 '{}' template --file "$dir/now.jinja" --input - --now "$moment"
    out_is '2026-11-20 12:34:56'
done
pipe 0 '{}' template --file "$dir/now.jinja" --input - --now=2026-11-20
out_is '2026-11-20 00:00:00'
pipe 0 '{}' template --file "$dir/now.jinja" --input - --now=2026-11-20T01:02
out_is '2026-11-20 01:02:00'
pipe 0 '{}' template --file "$dir/now.jinja" --input -
out_has "$(date +%Y)"
for bad in x 2026-13-01 2026-11-20T '2026-11-20T12:00:00+01:00' 2026-11-20T12:00:; do
    pipe 2 '{}' template --file "$dir/now.jinja" --input - --now "$bad"
    err_has '--now takes a time'
done

# What is wrong is said.
run 2 template demo
err_has '--input is missing'
run 2 template --input "$dir/case.json"
run 2 template demo --file "$dir/t.jinja" --input "$dir/case.json"
run 3 template --file "$dir/missing.jinja" --input "$dir/case.json"
run 3 template --file "$dir/t.jinja" --input "$dir/missing.json"
printf '{%% if x %%}' >"$dir/bad.jinja"
run 4 template --file "$dir/bad.jinja" --input "$dir/case.json"
err_has bad.jinja
printf '{{ raise_exception("no such turn") }}' >"$dir/raise.jinja"
run 8 template --file "$dir/raise.jinja" --input "$dir/case.json"
err_has 'no such turn'
pipe 8 '{"messages": []}' template demo --input - --json
json 'd["error"]["code"] == 8'

# The golden cases, through the command.
if [ -n "${RZ_SHARED:-}" ] && command -v python3 >/dev/null 2>&1; then
    if python3 - "$APR" "$RZ_SHARED/fixtures/templates" >"$out" 2>"$err" <<'PY'
import json, subprocess, sys
apr, folder = sys.argv[1:]
cases = json.load(open(folder + "/cases.json"))
bad = 0
for c in cases:
    r = subprocess.run([apr, "template", "--file", folder + "/" + c["template"], "--input", "-",
                        "--now", c["now"]], input=json.dumps(c["input"]).encode(),
                       capture_output=True)
    if "output" in c:
        ok = r.returncode == 0 and r.stdout == c["output"].encode()
    else:
        ok = r.returncode == 8 and not r.stdout
    if not ok:
        bad += 1
        print(c["template"], c["case"], r.returncode, r.stderr.decode())
print(len(cases), "golden cases")
sys.exit(bad != 0)
PY
    then pass; else fail 'golden template cases'; fi
else
    echo 'skipped: the golden template cases need the shared fixtures and python3'
fi
finish
