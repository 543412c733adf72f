#!/usr/bin/env python3
"""Writes template-cases.json: small chat templates with what Jinja2 3.1.6 makes of them.

Jinja2 is set up as transformers does it for chat templates. Needs the package jinja2 only. A case is
{"group", "template", "vars" (JSON text), "output"} or, where Jinja2 raises, {"error": its message}.
Usage: gen_template_cases.py > template-cases.json
"""

import datetime
import json
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 11, 20, 12, 3, 9)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_run")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(lineno)

    def _run(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError("underscore")

    def __init__(*args, **kwargs):
        attrs = dict(*args[1:], **kwargs)
        for name in attrs:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(args[0], attrs)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: NOW.strftime(format)
    env.globals["namespace"] = Namespace
    return env


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi \"you\" <b>&é你😀\n"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"function": {"name": "add", "arguments": {"a": 1, "b": [1.5, True, None]}}}]},
    {"role": "tool", "content": "3"},
]
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {
        "type": "number"}}}, "required": ["a"]}}}
V = {
    "messages": MESSAGES, "tools": [TOOL], "n": 7, "z": 0, "f": 2.5, "neg": -7, "t": True, "u": None,
    "s": "Hello World", "e": "", "uni": "aé你😀z", "sp": "  x y  \n", "nums": [3, 1, 2], "words": ["b", "A", "c"],
    "d": {"b": 1, "a": 2, "items": 3}, "nest": {"x": {"y": [10, 20, {"k": "v"}]}},
    "people": [{"n": "ann", "a": 3}, {"n": "Bob", "a": 1}, {"n": "cy", "a": 3}, {"n": "Dee"}],
    "multi": "one\ntwo\n\n  three\r\nfour", "quote": "it's \"q\"",
}

GROUPS = {
    "whitespace": [
        "a\n{% if t %}\nb\n{% endif %}\nc\n", "  {% if t %}  x{% endif %}", "a  {%- if t %}  b  {%- endif %}  c",
        "a\n\n{%- if t -%}\n\nb\n\n{%- endif -%}\n\nc", "a\n  {%+ if t %}b{% endif %}", "{% if t +%}\nb{% endif %}",
        "{# c #}\nx", "  {# c #}\nx", "a {#- c -#} b", "a\n  {{ n }}\n b", "a {{- n -}} b", "a\n{{ n }}\n",
        "x\n\n\n", "x\r\ny\rz\r\n", "{% raw %}{{ n }}{% if %}{% endraw %}", "a {%- raw -%}  {{ x }}  {%- endraw -%} b",
        "{% raw %}\n a {% endraw %}\nb", "{{ '{{' }}{{ \"%}\" }}", "{%- set x = 1 -%}\n  {{ x }}", "a{% set x = 1 %}\n\nb",
        "\n{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\n", "  {{+ n }} b",
        "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a':{}} }}", "{#- only -#}", "", "plain text", "{{- -1 -}}", "{%if t%}y{%endif%}",
        "{% if t -%}\n\n  y{%- endif %}\n\nz", "é\n  {% if t %}ü{% endif %}", "a\u00a0{%- if t -%}\u00a0b{% endif %}",
        "x {% raw -%} {% endraw +%}\ny", "{# multi\nline #}\n\nz", "{{ n }}\n{# a #}\n  {# b #}  {{ n }}",
    ],
    "literals": [
        "{{ 1 }} {{ 1.5 }} {{ 1e3 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e-7 }}", "{{ 'a\\n\\t\\'\\\\\\x41\\u00e9\\101' }}",
        "{{ \"a\" 'b' \"c\" }}", "{{ [1, 'a', none, true, False, 1.0] }}", "{{ (1,) }}{{ () }}{{ (1, 2) }}{{ (1) }}",
        "{{ {'a': 1, 2: 'b', none: [1], 1.5: {}} }}", "{{ 1, 2 }}", "{{ true }}{{ True }}{{ none }}{{ None }}", "{{ [1,2,] }}{{ {'a':1,} }}",
        "{{ 1e16 }} {{ 1e15 }} {{ 123456789.125 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1e100 }} {{ 0.1 + 0.2 }} {{ 5e-324 }}", "{{ quote }} {{ [quote, \"'\", 'x'] }}",
        "{{ ['\\n\\x00\\x7f\\u200b\\U0001F600é'] }}", "{{ 9223372036854775807 }} {{ -9223372036854775807 }}", "{{ '\\q' }}", "{{ 'a\\\nb' }}",
        "{{ messages[2] }}", "{{ d }}", "{{ 1.0 }}{{ 100.0 }}{{ 1e22 }}{{ 3.0e0 }}",
    ],
    "operators": [
        "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }}", "{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ -n | abs }}",
        "{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 1 / 3 }}", "{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * [1] }} {{ [1] + [2] }} {{ (1,) + (2,) }}",
        "{{ 1 ~ 'a' ~ 2.0 ~ none ~ [1] ~ missing }}", "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }}",
        "{{ 'x' in 'xyz' }} {{ 1 in [1] }} {{ 'b' in d }} {{ 5 not in [1] }} {{ not 1 in [1] }}", "{{ 1 and 0 or 'x' }} {{ [] or 'empty' }} {{ '' and 1 }} {{ not '' }}",
        "{{ 'y' if t else 'n' }} {{ 'y' if z }}| {{ 1 if z else 2 if u else 3 }}", "{{ 1 + 2 * 3 - 4 / 2 }} {{ (1 + 2) * 3 }} {{ 1 ~ 2 + 3 }}",
        "{{ [1,2] == [1,2] }} {{ {'a':1} == {'a':1.0} }} {{ [1] < [1,2] }} {{ (1,2) < (1,3) }} {{ [1] == (1,) }}", "{{ +n }} {{ -f }} {{ - -n }} {{ not not n }}",
        "{{ missing == missing2 }} {{ missing == none }} {{ missing != 1 }} {{ missing in [1] }} {{ 1 in missing }}", "{{ true + true }} {{ true * 'a' }} {{ 1 - true }}",
        "{{ 3000000000 * 3 }}", "{{ 'a' > 1 }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{{ missing + 1 }}", "{{ none + 1 }}", "{{ [1] + (2,) }}", "{{ none < 1 }}",
        "{{ 'a' % () }}|{{ '%s-%d-%05.2f-%x' % ('a', 3, 2.5, 255) }}|{{ '%(k)s' % {'k': 1} }}|{{ '%5s|%-5s|%%' % ('a', 'b') }}",
    ],
    "access": [
        "{{ nest.x.y[2].k }} {{ nest['x']['y'][0] }} {{ nest.x.y.1 }} {{ nest.x.y[-1]['k'] }}", "{{ d.items() | list }} {{ d['items'] }}", "{{ s[0] }} {{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[::2] }} {{ s[-3:] }}",
        "{{ uni[1] }} {{ uni[2:4] }} {{ uni[::-1] }} {{ uni | length }} {{ uni[-2:] }}", "{{ nums[1:] }} {{ nums[::-1] }} {{ nums[:-1] }} {{ nums[5:] }} {{ nums[-10:2] }} {{ nums[2:0:-1] }}",
        "{{ (1,2,3)[1:] }} {{ range(10)[2:8:2] }} {{ range(5)[-1] }} {{ range(0) }}", "{{ missing }}|{{ d.nope }}|{{ nums[9] }}|{{ s[99] }}|{{ u.x }}|{{ n.x }}", "{{ missing.x }}", "{{ d.nope.x }}", "{{ missing[0] }}", "{{ nums[9].x }}",
        "{{ missing() }}", "{{ s() }}", "{{ nums.append(1) }}", "{{ nums.append }}|{{ nums.append is defined }}", "{{ d.update({}) }}", "{{ s.__class__ }}|{{ s._x }}", "{{ s.__class__.__name__ }}",
        "{{ nums['a'] }}|{{ nums[none] }}|{{ d[[1]] }}|{{ s['upper']() }}", "{{ nums[1:2:0] }}", "{{ nums['a':] }}", "{{ n[1:] }}", "{{ d.get('a') }} {{ d.get('q') }} {{ d.get('q', 5) }}",
        "{{ d.keys() }} {{ d.values() | list }} {{ d.items() }} {{ d.keys() | length }}", "{{ messages[0]['role'] }}{{ messages[0].role }}{{ messages[99].role is defined }}",
    ],
    "statements": [
        "{% if n > 5 %}big{% elif n > 2 %}mid{% else %}small{% endif %}", "{% if z %}a{% elif u %}b{% endif %}c", "{% if n: %}x{% endif %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x = 1, 2 %}{{ x }}",
        "{% set x %}a{{ n }}b{% endset %}[{{ x }}]", "{% set x | upper %}ab{% endset %}{{ x }}", "{% set ns = namespace(a=1, b='x') %}{% set ns.a = ns.a + 1 %}{% set ns.c = 3 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}",
        "{% set ns = namespace(i=0) %}{% for x in nums %}{% set ns.i = ns.i + x %}{% endfor %}{{ ns.i }}", "{% set x = 1 %}{% for i in [1,2] %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "{% for i in [1,2] %}{{ x }}{% set x = i %}{% endfor %}",
        "{% if t %}{% set y = 5 %}{% endif %}{{ y }}", "{% with a=1, b=n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% filter upper | trim %} abc {{ s }} {% endfilter %}", "{% print n, s %}", "{% set d.x = 1 %}",
        "{% set ns = namespace() %}{{ ns.x }}|{{ ns.x is defined }}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}", "{% set ns = namespace(_a=1) %}", "{% generation %}a{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
        "{% set n = n + 1 %}{{ n }}", "{% set x %}{% endset %}[{{ x }}]", "{% set ns = namespace(l=[]) %}{% for x in nums %}{% set ns.l = ns.l + [x * 2] %}{% endfor %}{{ ns.l }}",
    ],
    "loops": [
        "{% for x in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in nums if x > 1 %}{{ x }}{{ loop.last }}{{ loop.length }}{% else %}no{% endfor %}",
        "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d | dictsort %}{{ k }}{{ v }}{% endfor %}", "{% for x in nums %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.last %}!{% endif %}{% endfor %}",
        "{% for x in nums %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in nums %}{% break %}{% else %}e{% endfor %}", "{% for x in nums %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "{% for x in nums %}{{ loop.cycle('a', 'b') }}{% endfor %}",
        "{% for x in [1,1,2] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in nums %}{% for y in words %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for c in s %}{{ c }}.{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for x in missing %}a{% else %}b{% endfor %}",
        "{% for x in n %}{% endfor %}", "{% for x in none %}{% endfor %}", "{% for a, b in [(1,2),(3,4)] %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in [(1,2,3)] %}{% endfor %}", "{% for (a, b), c in [((1,2),3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
        "{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}", "{% for m in messages[::-1] %}{{ m.role }} {% endfor %}", "{% for x in [[1,[2]],[3]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
        "{% for x in nums %}{{ loop }}{% endfor %}", "{{ loop }}|{% for x in nums %}{% endfor %}{{ x }}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% set ns = namespace(go=true) %}{% for x in nums if ns.go %}{{ x }}{% set ns.go = false %}{% endfor %}", "{% for x in range(100001) %}{% endfor %}",
        "{% for x in nums %}{{ loop.last }}{% endfor %}", "{% for m in messages %}{% if loop.first and m.role == 'system' %}S{% continue %}{% endif %}{{ loop.index }}{% endfor %}", "{% for x in nums | reverse %}{{ x }}{{ loop.length }}{% endfor %}",
    ],
    "macros": [
        "{% macro m(a, b='x', c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }} {{ m(b=3, a=4) }} {{ m() }}", "{% macro m() %}  x  {% endmacro %}[{{ m() }}][{{ m() | trim }}]", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
        "{% macro m(a) %}{% endmacro %}{{ m(q=2) }}", "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body{{ n }}{% endcall %}", "{% macro m(l) %}{% for x in l %}{{ caller(x) }},{% endfor %}{% endmacro %}{% call(i) m(nums) %}<{{ i }}>{% endcall %}",
        "{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(4) }}", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 5 %}{{ m() }}", "{% for i in [1,2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m() %}{% set q = 1 %}{{ q }}{% endmacro %}{{ m() }}{{ q }}",
        "{% macro a() %}a{{ b() }}{% endmacro %}{% macro b() %}b{% endmacro %}{{ a() }}", "{{ m() }}{% macro m() %}{% endmacro %}", "{% macro m(a, b) %}{{ a }}-{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(1) }}",
        "{% macro m(x) %}{% for y in x %}{{ loop.index }}{% endfor %}{% endmacro %}{% for q in nums %}{{ m(nums) }}{{ loop.index }} {% endfor %}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1) + m(2) }} {{ m }}",
    ],
    "text filters": [
        "{{ s | upper }} {{ s | lower }} {{ 'hELLO wORLD' | capitalize }} {{ \"it's a-b (c) é\" | title }}", "[{{ sp | trim }}] [{{ 'xxaxx' | trim('x') }}]", "{{ s | replace('l', 'L') }} {{ s | replace('l', 'L', 1) }} {{ 'aaa' | replace('', '-') }}", "{{ multi | indent }}|{{ multi | indent(2, true) }}|{{ multi | indent('> ', true, true) }}|{{ 'a\n' | indent(first=true) }}",
        "{{ 'foo bar baz qux' | truncate(9) }}|{{ 'foo bar baz qux' | truncate(9, true) }}|{{ 'foo bar baz qux' | truncate(11) }}|{{ 'foo bar baz qux' | truncate(11, false, '..', 0) }}", "{{ 'a b_c d-e é' | wordcount }} {{ 'ab' | center(7) }}|", "{{ '%s is %d' | format('x', 3) }} {{ '%(a)s' | format(a=1) }}", "{{ '<a href=\"x\">&\\'' | e }} {{ '<' | escape }} {{ ('<' | safe) + '<' }} {{ '<' | e | e }} {{ '<' | e | forceescape }}",
        "{{ 1.0 | string }} {{ none | string }} {{ [1] | string }} {{ 3 | string | length }}", "{{ 'a b/c?é' | urlencode }} {{ {'a': 1, 'b c': 'x y'} | urlencode }}", "{{ n | upper }} {{ none | lower }} {{ missing | upper }}|", "{{ 'straße' | upper }} {{ 'ÉCOLE' | lower }} {{ 'éa' | capitalize }}", "{{ 'x' | nofilter }}", "{{ 'x' | upper(1) }}", "{{ 1 | indent }}", "{{ ['a','b'] | map('upper') | join }}",
    ],
    "value filters": [
        "{{ missing | default('x') }} {{ e | default('x') }}| {{ e | default('x', true) }} {{ missing | d }}| {{ none | default('x') }} {{ none | d('y', boolean=true) }}", "{{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ -3.9 | int }} {{ true | int }} {{ '0x1f' | int(base=16) }} {{ ' 12 ' | int }} {{ none | int }}",
        "{{ '1.5' | float }} {{ 'x' | float }} {{ 2 | float }} {{ 'inf' | float }} {{ '1e3' | float }} {{ none | float(1.5) }}", "{{ -3 | abs }} {{ neg | abs }} {{ -2.5 | abs }}", "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round(method='floor') }} {{ 42 | round }} {{ 1234.5 | round(-2) }} {{ 42.55 | round(1, 'floor') }}",
        "{{ tools | tojson }}", "{{ tools | tojson(indent=2) }}", "{{ messages | tojson(separators=(',', ':')) }}", "{{ {'b': 1, 'a': [], 'c': {}} | tojson(sort_keys=true, indent=1) }}", "{{ uni | tojson }} {{ uni | tojson(ensure_ascii=true) }} {{ '\\x00\\x1f\"\\\\/' | tojson }}",
        "{{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }} {{ (1, 2) | tojson }} {{ 1e16 | tojson }} {{ 'nan' | float | tojson }}", "{{ missing | tojson }}", "{{ range(3) | tojson }}", "{{ {(1, 2): 3} | tojson }}", "{{ d | attr('keys') is defined }} {{ d | attr('b') is defined }}", "{{ missing | int }}", "{{ 'a' | abs }}", "{{ 1.5 | round(1, 'x') }}",
    ],
    "sequence filters": [
        "{{ nums | sort }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ nums | sort(reverse=true) }}", "{{ people | selectattr('a') | sort(attribute='a') | map(attribute='n') | list }} {{ people | selectattr('a', 'defined') | sort(attribute='a,n', reverse=true) | map(attribute='n') | join(' ') }}",
        "{{ nums | first }} {{ nums | last }} {{ [] | first }}| {{ s | first }} {{ d | first }} {{ d | last }}", "{{ nums | length }} {{ d | count }} {{ s | length }} {{ missing | length }}", "{{ nums | join(', ') }} {{ people | join('-', attribute='n') }} {{ [1, none, 'a'] | join }} {{ 'abc' | join('.') }}",
        "{{ people | map(attribute='a', default=0) | list }} {{ people | map(attribute='a') | list }} {{ nums | map('string') | list }} {{ ['1', 'x'] | map('int', 9) | list }}", "{{ [0, 1, '', 'a', none] | select | list }} {{ [0, 1, ''] | reject | list }} {{ nums | select('gt', 1) | list }} {{ nums | reject('odd') | list }}",
        "{{ people | selectattr('a', 'equalto', 3) | map(attribute='n') | list }} {{ people | rejectattr('a', 'defined') | map(attribute='n') | list }} {{ tools | selectattr('function.name', '==', 'add') | list | length }}", "{{ [1, 2, 1, 'a', 'A'] | unique | list }} {{ people | unique(attribute='a') | map(attribute='n') | list }} {{ ['a', 'A'] | unique(true) | list }}",
        "{{ nums | reverse | list }} {{ s | reverse }} {{ d | reverse | list }}", "{{ nums | sum }} {{ people | sum(attribute='a', start=10) }}", "{{ people[:3] | sum(attribute='a', start=10) }} {{ nums | min }} {{ nums | max }} {{ words | max }} {{ words | max(case_sensitive=true) }} {{ [] | max }}| {{ people[:3] | min(attribute='a') }}",
        "{{ range(7) | batch(3) | list }} {{ range(7) | batch(3, 'x') | list }} {{ range(7) | slice(3) | list }} {{ range(7) | slice(3, 'x') | list }}", "{% for g, l in people[:3] | groupby('a') %}{{ g }}:{{ l | map(attribute='n') | join(',') }};{% endfor %}{% for g in people | groupby('n') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}",
        "{{ people | groupby('a', default=9) | map('first') | list }} {{ people[:1] | groupby('a') }}", "{{ d | dictsort }} {{ d | dictsort(by='value') }} {{ d | dictsort(false, 'key', true) }}", "{{ d | items | list }} {{ missing | items | list }} {{ s | list }} {{ d | list }}", "{{ nums | map('upper') is iterable }} {{ (nums | select('gt', 99)) and 'true' }}",
        "{{ nums | select('gt', 99) | length }}", "{{ (nums | map('string'))[0] }}|{{ nums | map('string') | first }}", "{% set g = nums | map('string') %}{{ g | list }}{{ g | list }}", "{{ [1, 'a'] | sort }}", "{{ nums | map('nofilter') | list }}", "{{ nums | select('notest') | list }}", "{{ 5 | list }}", "{{ 5 | items | list }}", "{{ [[1], {}] | unique | list }}", "{{ none | map('upper') | list }} {{ none | select | list }}", "{{ nums | map(attribute=0) | list }}",
    ],
    "tests": [
        "{{ n is defined }} {{ missing is defined }} {{ missing is undefined }} {{ u is none }} {{ n is not none }}", "{% for x in [1, 1.5, 'a', true, none, [1], {'a': 1}, (1,), range(2)] %}{{ x is string }},{{ x is number }},{{ x is integer }},{{ x is float }},{{ x is boolean }},{{ x is mapping }},{{ x is sequence }},{{ x is iterable }},{{ x is callable }} {% endfor %}",
        "{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }}", "{{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 1 is le 1 }} {{ 1 is gt 2 }} {{ 1 is ge 1 }} {{ 2 is greaterthan 1 }} {{ 1 is lessthan 2 }}", "{{ 1 is in [1, 2] }} {{ 'a' is in 'abc' }} {{ 3 is not in [1] }}", "{{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }}",
        "{{ 'ABC' is upper }} {{ 'abc' is lower }} {{ 'Ab' is lower }} {{ '1' is upper }}", "{{ none is sameas none }} {{ true is sameas true }} {{ 1 is sameas true }} {{ nums is sameas nums }}", "{{ ('<' | e) is escaped }} {{ '<' is escaped }}", "{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }}", "{{ missing is iterable }} {{ missing is string }} {{ missing is sequence }} {{ missing is callable }}", "{{ n is not defined or s is string and t }}", "{{ n is nosuch }}", "{{ 'a' is odd }}",
        "{{ s is string if t else 1 }}", "{% if n is defined and n is number and n > 3 %}ok{% endif %}", "{{ d.items() is sequence }} {{ d.items() is iterable }} {{ (nums | map('abs')) is sequence }}",
    ],
    "str methods": [
        "{{ sp.strip() }}|{{ sp.lstrip() }}|{{ sp.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abc'.lstrip('ba') }}|{{ 'éaé'.strip('é') }}", "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a b c'.split(none, 1) }} {{ 'a b  c '.split(maxsplit=1) }}", "{{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.rsplit(None, 1) }} {{ 'abc'.rsplit('b') }}",
        "{{ multi.splitlines() }} {{ 'a\\nb\\n'.splitlines(true) }} {{ ''.splitlines() }}", "{{ s.startswith('He') }} {{ s.endswith(('x', 'ld')) }} {{ s.startswith('lo', 3) }} {{ s.startswith('') }} {{ s.endswith('o', 0, 5) }}", "{{ s.upper() }} {{ s.lower() }} {{ \"they're bill's\".title() }} {{ 'aBC'.capitalize() }} {{ 'aBc'.swapcase() }}", "{{ s.replace('o', '0') }} {{ s.replace('o', '0', 1) }} {{ 'ab'.replace('', '-') }}",
        "{{ s.find('o') }} {{ s.find('o', 5) }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ uni.find('😀') }} {{ s.index('W') }} {{ s.rindex('l') }} {{ s.count('l') }} {{ 'aaa'.count('') }}", "{{ s.index('zz') }}", "{{ ','.join(['a', 'b']) }} {{ ''.join(words) }} {{ '-'.join('abc') }}", "{{ ','.join([1]) }}", "{{ '12'.isdigit() }} {{ 'a1'.isdigit() }} {{ 'aé'.isalpha() }} {{ ' '.isspace() }} {{ ''.isalpha() }} {{ 'a1'.isalnum() }} {{ 'A'.isupper() }} {{ 'a'.islower() }} {{ 'Ab Cd'.istitle() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ 'a'.isascii() }}",
        "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ 'a'.removesuffix('') }}", "{{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }} {{ 'ab'.center(5, '*') }} {{ 'a'.center(4, '*') }}", "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }}", "{{ '{} {}'.format(1, 'a') }} {{ '{0}{1}{0}'.format('x', 'y') }} {{ '{a} {b:>5} {c:05.1f} {d:,}'.format(a=1, b='r', c=2.55, d=1234567) }} {{ '{{}}'.format() }} {{ '{:x} {:#o} {:+d} {:%}'.format(255, 8, 3, 0.5) }} {{ '{!r:>6}'.format('a') }} {{ '{x[a]} {y[0]}'.format(x=d, y=nums) }}",
        "{{ s.nope() }}", "{{ s.split('') }}", "{{ 'a\\tb'.expandtabs(4) }} {{ 'ß'.upper() }} {{ 'X'.casefold() }}", "{{ '</think>x'.split('</think>')[-1].lstrip('\\n') }}", "{{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ (1, 2).index(1) }} {{ [3].copy() }}", "{{ [1].index(5) }}",
    ],
    "globals": [
        "{{ range(5) | list }} {{ range(2, 5) | list }} {{ range(5, 0, -2) | list }} {{ range(3) }}", "{{ range(1, 2, 0) }}", "{{ range() }}", "{{ dict(a=1, b=2) }} {{ dict([('x', 1)], y=2) }} {{ dict(d) }}", "{{ raise_exception('Roles must alternate!') }}", "{% if t %}{{ raise_exception('é ' ~ n) }}{% endif %}", "{{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%d %b %Y') }} {{ strftime_now('%A, %B %-d, %Y %I:%M %p %j %y %a %e %%') }}",
        "{% set j = joiner('; ') %}{{ j() }}a{{ j() }}b{{ j() }}c", "{% set c = cycler(1, 2, 3) %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{{ namespace is defined }} {{ range is callable }} {{ lipsum2 is defined }}", "{% set range = 3 %}{{ range }}",
    ],
    "errors": [
        "{{ }}", "{{ 1 + }}", "{% if %}x{% endif %}", "{% if t %}", "{% endif %}", "{% for x %}{% endfor %}", "{% foo %}", "{{ 'abc }}", "{# abc", "{% raw %}x", "{{ (1 }}", "{{ 1) }}", "{{ a b }}", "{% set 1 = 2 %}", "{% set true = 1 %}", "{% for loop in nums %}{% endfor %}", "{{ x..y }}", "{{ 1 is is }}", "{% break %}", "{% macro m(a=1, b) %}{% endmacro %}", "{{ m(a=1, 2) }}", "{{ '\\x4' }}", "{{ n | }}", "{% else %}", "{% call n %}{% endcall %}", "{{ {1} }}", "{{ $ }}", "{% set x = %}", "{{ f(a=1)(2) }}", "{% for a, b in 5 %}{% endfor %}", "{{ 007 }}", "{{ n if }}", "{% if n %}{% endfor %}", "{{ [1, 2 }}", "{% macro m(a, a) %}{% endmacro %}",
    ],
    "numbers": [
        "{{ 1.5 // 0 }}", "{{ 5 % 0 }}", "{{ 0 ** -1 }}", "{{ 0.0 ** -1 }}", "{{ 2.0 ** 0.5 }} {{ 2 ** 0.5 }} {{ (-8) ** 3 }} {{ (-1) ** 101 }} {{ 0 ** 0 }} {{ 1 ** 99999 }}", "{{ 10.0 ** 400 }}", "{{ 7 // -2 }} {{ -7 // -2 }} {{ -6 // 2 }} {{ 6 % -3 }} {{ -7.0 // 2 }} {{ 7.0 // -2 }} {{ 0.0 // 5 }} {{ 5 % -1 }} {{ 5 // -1 }}",
        "{{ 1.5 - 1 }} {{ 1 - 1.5 }} {{ 2 * 1.5 }} {{ 1 / 4 }} {{ 4 / 2 }} {{ 1e308 * 10 }} {{ -(1e308 * 10) }}", "{{ ('nan' | float) < 1 }} {{ ('nan' | float) == ('nan' | float) }} {{ ('inf' | float) > 9223372036854775807 }} {{ 9007199254740993 == 9007199254740992.0 }} {{ 1 < 1.5 }} {{ 2 > 1.5 }} {{ -1 > -1.5 }} {{ 1.5 >= 1 }} {{ 1.5 <= 2 }}",
        "{{ -'a' }}", "{{ +none }}", "{{ -missing }}", "{{ [1] * 'a' }}", "{{ 'a' * 1.5 }}", "{{ 'a' * -1 }}|{{ [1, 2] * 2 }} {{ 2 * (1,) }} {{ [1] * 0 }} {{ [] * 5 }}", "{{ 'a' - 1 }}", "{{ 1 + missing }}", "{{ 1e5 }} {{ 123e-7 }} {{ 1.0e+5 }} {{ 12345678901234567.0 }} {{ -0.0 }} {{ 100 / 3 }}",
        "{{ 'inf' | float }} {{ '-inf' | float }} {{ 'nan' | float }} {{ ['inf' | float] | tojson }} {{ '-inf' | float | tojson }}", "{{ '1_000' | int }} {{ '1__0' | int }} {{ '_1' | int }} {{ '+5' | int }} {{ '-5' | int }} {{ '' | int }} {{ '-' | int }} {{ '0b11' | int(0, 2) }} {{ '0o17' | int(0, 0) }} {{ 'zz' | int(0, 36) }} {{ '9' | int(7, 8) }} {{ 'inf' | int(3) }} {{ [] | int }} {{ [] | float }}",
        "{{ '1_0.5' | float }} {{ '1.' | float }} {{ '.5' | float }} {{ '0x10' | float }} {{ 'infinity' | float }} {{ '1e400' | float }} {{ true | float }} {{ '' | float }}", "{{ 'inf' | float | int }}", "{{ 15 | round(-1) }} {{ 25 | round(-1) }} {{ -2.5 | round }} {{ true | round }} {{ 1.005 | round(2) }} {{ 1e300 | round(2) }} {{ 2.5 | round(0, 'floor') }} {{ -2.5 | round(1, 'ceil') }} {{ 'nan' | float | round(1) }}",
        "{{ 'a' | round }}", "{{ missing | round }}", "{{ missing | abs }}", "{{ missing | float }}", "{{ true | abs }} {{ 0 | abs }} {{ -0.5 | abs }}",
    ],
    "printf": [
        "{{ '%s' % none }} {{ '%r' % 'a' }} {{ '%s %s' % (1, [2]) }} {{ '%10.3s|' % 'abcdef' }} {{ '%-8s|' % 'ab' }} {{ '%c%c' % (65, 'é') }}", "{{ '%d' % 3.9 }} {{ '%i' % -3 }} {{ '%u' % 5 }} {{ '%+d % d' % (5, 5) }} {{ '%05d' % -42 }} {{ '%.3d' % 7 }} {{ '%x %X %#x %o %#o' % (255, 255, 255, 8, 8) }}", "{{ '%f %.1f %e %.2E %g %G %#g' % (1.5, 2.25, 12345.678, 0.00012, 1e20, 1e-7, 1.0) }}", "{{ '%*d|%-*d|%.*f' % (5, 42, 5, 42, 2, 3.14159) }}",
        "{{ '%(a)s %(b)d %%' % {'a': 'x', 'b': 2} }} {{ '%s' % {'a': 1} }} {{ 'x' % {'a': 1} }} {{ 'x' % [1] }}", "{{ '%(a)s' % {} }}", "{{ '%(a)s' % 1 }}", "{{ '%s %s' % 'a' }}", "{{ '%s' % (1, 2) }}", "{{ '%d' % 'a' }}", "{{ '%d' % none }}", "{{ '%x' % 1.5 }}", "{{ '%' % 1 }}", "{{ '%y' % 1 }}", "{{ '%c' % 'ab' }}", "{{ '%c' % -1 }}", "{{ '%(a' % {} }}", "{{ '%*d' % ('a', 1) }}", "{{ '%s' % missing }}|", "{{ '%d' % missing }}",
        "{{ '%5d|%-5d|%05.1f|%+.2f|% .1f' % (42, 42, 2.55, 1.005, 3.0) }} {{ '%s' % true }} {{ '%d' % true }} {{ '%.0f' % 2.5 }} {{ '%5.1f%%' % 99.5 }} {{ '%f' % ('inf' | float) }} {{ '%05d' % 123456 }} {{ '%hd %ld' % (1, 2) }}",
        "{{ '{:<5}|{:>5}|{:^5}|{:*^7}|{:=+5}'.format('a', 'b', 'c', 'd', 3) }} {{ '{:08.3f} {:.2e} {:G} {:g}'.format(3.14159, 12345.678, 1e-10, 0.5) }} {{ '{:b} {:o} {:X} {:#x} {:#b}'.format(5, 8, 255, 255, 5) }} {{ '{:,} {:,.2f} {:+} {: }'.format(1234567, 9876543.21, 5, 7) }}", "{{ '{:5}|{:<5}|{:.2}|{:s}'.format(42, 42, 'abcdef', 'x') }} {{ '{:.3}'.format(3.14159) }} {{ '{:5}|{}|{:d}'.format(true, true, true) }} {{ '{:%} {:.0%}'.format(0.25, 0.5) }} {{ '{!s}|{!r}'.format('a', 'a') }} {{ '{}'.format(none) }} {{ '{}'.format([1]) }} {{ '{:f}'.format(3) }}",
        "{{ '{'.format() }}", "{{ '}'.format() }}", "{{ '{}'.format() }}", "{{ '{a}'.format() }}", "{{ '{} {0}'.format(1) }}", "{{ '{:q}'.format(1) }}", "{{ '{:d}'.format('a') }}", "{{ '{:5}'.format(none) }}", "{{ '{!x}'.format(1) }}", "{{ '{:.2}'.format(5) }}", "{{ '{a.}'.format(a=1) }}", "{{ '{d.b} {d[items]} {p[0][n]} {s.x}'.format(d=d, p=people, s='q') }}", "{{ '%s-%s' | format(1, 2, 3) }}", "{{ '%(a)s' | format(1, a=2) }}", "{{ '{:é>4}'.format(1) }} {{ '{:=05}'.format(-3) }}",
    ],
    "corners": [
        "{{ d.fromkeys([1, 2], 0) }} {{ d.copy() == d }} {{ d.get([1]) }}", "{{ d.pop('a') }}", "{{ {'a': {'b': [1]}} == {'a': {'b': [1]}} }} {{ {'a': 1} == {'b': 1} }} {{ {'a': 1} == {'a': 2} }} {{ {1: 2} == {1: 2, 3: 4} }} {{ d == 1 }}", "{{ {(1, 2): 'a'}[(1, 2)] }} {{ {1: 'a'}[1.0] }} {{ {true: 'a'}[1] }} {{ {1.5: 'b'}[1.5] }} {{ {none: 'n'}[none] }} {{ {missing: 1} | length }}", "{{ {[1]: 2} }}", "{{ [1] in {} }}", "{{ 1 in 5 }}", "{{ none in 'abc' }}", "{{ [1, 2] < [1, 'a'] }}", "{{ [1, 2] < [1, 3, 0] }} {{ [] < [1] }} {{ [2] < [1, 5] }} {{ (1, 2) >= (1, 2) }}", "{{ {} < {} }}", "{{ missing < 1 }}", "{{ 1 < missing }}",
        "{{ range(3) == range(3) }} {{ range(3) == [0, 1, 2] }} {{ range(3) | length }} {{ 2 in range(3) }} {{ range(0, 10, 3)[1:] }} {{ range(5).count(3) }} {{ range(5).index(3) }} {{ range(9)[::-2] | list }}", "{{ [1, 2, 3, 2].index(2, 2) }} {{ [1, 2].count('a') }} {{ (1, 2, 1).count(1) }} {{ [1].index(1, -5) }}", "{{ [1, 2].index(1, 1) }}", "{% for c in uni %}{{ c }}.{% endfor %}{{ uni | list }} {{ uni[-3] }} {{ uni[1:-1:2] }} {{ s[10:2:-3] }} {{ s[3:1] }}|{{ uni[10:] }}|{{ uni[:-10] }}|", "{{ s[missing] }}", "{{ s['x'] is defined }} {{ s[1.5] is defined }} {{ s[true] }} {{ nums[false] }} {{ none['a'] is defined }}", "{{ nums[[1]] }}|{{ n['x'] }}|{{ d[none] }}|{{ d.keys()[0] }}|{{ 5 .x }}",
        "{{ 'a' 'b' ~ 'c' }} {{ '\\\\' }} {{ '\\a\\b\\f\\v\\r' | tojson }} {{ '\\U0001F600\\x7f\\0' | tojson }} {{ '\\u2028' | tojson }} {{ '\\1012' }}", "{{ '\\N' }}", "{{ '\\u12' }}", "{{ 1__0 }}", "{{ 0x }}", "{{ 1.e5 }}", "{{ 0_0 }} {{ 1_0.5_0 }} {{ 1E5 }} {{ 1e+2 }} {{ 0XfF }}", "{{ x.0.1 }}|{{ [[1, 2]].0.1 }}|{{ [1.5].0 }}", "{{ (1, 2)[0, 1] }}|{{ {(0, 1): 'k'}[0, 1] }}", "{{ nums[] }}",
        "{{ f(*5) }}", "{{ dict(**5) }}", "{{ dict(**missing) }}", "{{ dict(a=1, **{'b': 2}) }} {{ dict(*[[('q', 1)]], z=3) }} {{ range(*[1, 4]) | list }}", "{{ dict(a=1, **{'a': 2}) }}", "{{ dict(1, 2) }}", "{{ dict([1]) }}", "{{ dict([(1, 2, 3)]) }}", "{{ dict(5) }}", "{{ range('a') }}", "{{ range(1.5) }}", "{{ range(1, 2, 3, 4) }}", "{{ cycler() }}", "{{ strftime_now(5) }}", "{{ raise_exception() }}", "{{ raise_exception(5) }}", "{{ joiner()(1) }}", "{% set j = joiner() %}{{ j() }}{{ j() }}",
        "{% macro m() %}{{ caller }}{% endmacro %}{{ m() }}|", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m(x) %}{{ caller(1, 2) }}{% endmacro %}{% call(a) m(1) %}{% endcall %}", "{% macro m(x) %}{{ x }}{{ caller(a=1) }}{% endmacro %}{% call(a, b=5) m(1) %}{{ a }}{{ b }}{% endcall %}", "{% macro m(x) %}{{ x }}{% endmacro %}{% call m(1) %}{% endcall %}", "{% macro m(a, caller=none) %}{{ a }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ m(1) }}{% call m(2) %}c{% endcall %}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m() %}{{ kwargs }}{{ varargs | length }}{% endmacro %}{{ m(*nums, x=1, y=2) }}", "{% call nums() %}{% endcall %}", "{% macro m(a=missing.x) %}{% endmacro %}{{ m() }}", "{{ loop.index }}", "{% for x in nums %}{{ loop(1) }}{% endfor %}", "{% for x in nums %}{{ loop.nope }}|{{ loop.cycle() }}{% endfor %}", "{% for x in [1] recursive %}{{ loop() }}{% endfor %}", "{% for x in nums %}{{ loop.depth0 }}{{ loop.first }}{% endfor %}",
        "{% for x in nums if nope.x %}{% endfor %}", "{% for x in nums if x > 1 %}{{ loop.index }}/{{ loop.length }}{{ loop.nextitem }}{{ loop.revindex0 }} {% endfor %}", "{% for a in nums %}{% for b in nums if b > a %}{{ a }}{{ b }} {% else %}-{% endfor %}{% endfor %}", "{% for x in nums %}{% with y=x %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endwith %}{% endfor %}", "{% for x in nums %}{% set y %}{{ x }}{% if x == 1 %}{% continue %}{% endif %}{% endset %}[{{ y }}]{% endfor %}", "{% for x in nums %}{% filter upper %}a{% if x == 1 %}{% break %}{% endif %}{% endfilter %}{% endfor %}", "{% with %}{{ n }}{% endwith %}{% with a = 1, a2 = a %}{{ a2 }}{% endwith %}", "{% with a, b = [1, 2] %}{{ a }}{{ b }}{% endwith %}", "{% set a, b = 5 %}", "{% set (a, b), c = [[1, 2], 3] %}{{ a }}{{ b }}{{ c }}", "{% set [a, b] = [1, 2] %}{{ a }}", "{% set ns = namespace(a=1) %}{% set ns.a, x = 5, 6 %}{{ ns.a }}{{ x }}", "{% set ns.x = 1 %}", "{% set ns = namespace(5) %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ namespace(a=1) }} {{ [namespace()] }} {{ namespace() is mapping }}",
        "{% print %}", "{% print n %}{% print s, [1] %}", "{% filter nofilter %}{% endfilter %}", "{% filter replace('a', 'b') | upper %}banana{% endfilter %}", "{% set x | replace('a', 'b') | length %}banana{% endset %}{{ x + 1 }}", "{% filter length %}abc{% endfilter %}", "{% if 'x' is nosuch %}{% endif %}", "{% if false %}{{ 'x' | nosuch }}{% endif %}ok", "{{ 'x' | nosuch if false else 'ok' }}", "{% set %}", "{% for x in nums recursive %}{{ x }}{% endfor %}", "{% for x in nums if x if x %}{% endfor %}", "{% for x, in [[1]] %}{{ x }}{% endfor %}", "{% macro 5() %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro m(a %}{% endmacro %}", "{% call(a %}", "{% with a %}{% endwith %}", "{% if n %}{% else %}", "{% for x in nums %}{% else %}", "{% 5 %}", "{% %}", "{{ n", "{% if n", "{{ [", "{{ {'a' }}", "{{ {'a': }}", "{{ n. }}", "{{ n[ }}", "{{ n[1 }}", "{{ n[1:2:3:4] }}", "{{ n( }}", "{{ n(a= }}", "{{ n(*a, *b) }}", "{{ n(**a, b) }}", "{{ n(**a, b=1) }}", "{{ n if n else }}", "{{ n and }}", "{{ not }}", "{{ n < }}", "{{ n ~ }}", "{{ n ** }}", "{{ - }}", "{{ n is }}", "{{ n is not }}", "{{ n is defined( }}", "{{ n | upper( }}", "{{ n is divisibleby }}", "{{ n | replace('a') }}", "{{ n | default(nope=1) }}", "{{ n | default(1, default_value=2) }}", "{{ ! }}", "{{ n ; }}", "{{ n }", "{{ 'a' is in }}",
    ],
    "more filters": [
        "{{ [('a', 1), ('b c', 'é')] | urlencode }} {{ 5 | urlencode }} {{ {} | urlencode }}| {{ 'a~b-_.' | urlencode }}", "{{ [1] | urlencode }}", "{{ [[1]] | urlencode }}", "{{ 'abc' | truncate(2) }}", "{{ 'abcdefghijklmnop' | truncate(5, true, '', 0) }} {{ 'ab cd ef gh ij' | truncate(8, leeway=0) }} {{ 'abcdefghijkl' | truncate(5, leeway=1) }} {{ missing | truncate(5) }}|", "{{ 'x' | truncate(5, leeway=-1) }}", "{{ nums | truncate(3, false, '', 0) }}", "{{ 'a' | indent('x') }} {{ '' | indent(2, true) }}| {{ 'a\\n\\nb' | indent(1, blank=true) }} {{ 'a\\r\\nb\\x0bc' | indent(1) }}", "{{ missing | indent }}", "{{ 'a' | indent(none) }}", "{{ 'abc' | trim(none) }} {{ 'abc' | trim(chars='ac') }} {{ 5 | trim }}", "{{ 'abc' | trim(5) }}", "{{ 'x' | center }}|" , "{{ 'x' | center('a') }}", "{{ 5 | replace(5, 6) }} {{ none | replace('N', 'M') }} {{ 'aXbXc' | replace('X', 1, 1) }} {{ 'a' | replace('a', 'b', none) }}", "{{ 5 | capitalize }} {{ '' | capitalize }}| {{ '' | title }}| {{ 'ÀB c' | title }} {{ 'ǆ' | capitalize }}",
        "{{ nums | join(1) }} {{ nums | join(d=', ') }} {{ people[:2] | join(', ', 'n') }} {{ [[1, 2], [3]] | join('-', attribute=0) }} {{ nums | join(none) }}", "{{ 5 | join }}", "{{ 5 | first }}", "{{ 5 | last }}", "{{ 5 | length }}", "{{ true | length }}", "{{ 5 | reverse }}", "{{ nums | map('string') | last }}", "{{ nums | map('string') | reverse }}", "{{ 5 | sort }}", "{{ 5 | sum }}", "{{ ['a'] | sum }}", "{{ ['a'] | sum(start='') }}", "{{ [[1], [2]] | sum(start=[]) }} {{ [1.5, 2] | sum }} {{ [] | sum }}", "{{ 5 | max }}", "{{ [1, 'a'] | max }}", "{{ 5 | dictsort }}", "{{ missing | dictsort }}", "{{ d | dictsort(by='x') }}", "{{ {'b': 1, 'A': 2, 'c': 0} | dictsort }} {{ {'b': 1, 'A': 2} | dictsort(true) }} {{ {1: 'x', 0: 'y'} | dictsort(by='value', reverse=true) }}", "{{ {1: 2, 'a': 3} | dictsort }}", "{{ 5 | groupby('a') }}", "{{ nums | groupby }}", "{{ [{'a': 'X'}, {'a': 'x'}, {'a': 'b'}] | groupby('a') | map(attribute='grouper') | list }} {{ [{'a': 'X'}, {'a': 'x'}] | groupby('a', case_sensitive=true) | map(attribute='list') | map('length') | list }} {{ [[1, 'a'], [0, 'b']] | groupby(0) | list | length }}", "{{ [{'a': 1}, {'a': 'x'}] | groupby('a') }}",
        "{{ nums | batch(0) | list }} {{ nums | batch(-1) | list }} {{ [] | batch(2) | list }} {{ nums | batch(2, fill_with=0) | list }} {{ nums | slice(2) | list }} {{ nums | slice(-1) | list }} {{ [] | slice(2) | list }}", "{{ nums | batch }}", "{{ nums | slice('a') | list }}", "{{ nums | slice(0) | list }}", "{{ 5 | batch(1) | list }}", "{{ 5 | slice(1) | list }}", "{{ 5 | unique | list }}", "{{ 5 | map('upper') | list }}", "{{ 5 | select | list }}", "{{ nums | map(attribute='x', foo=1) | list }}", "{{ nums | map(5) | list }}", "{{ nums | selectattr | list }}", "{{ nums | select(5) | list }}", "{{ nums | select('divisibleby') | list }}", "{{ nums | map('replace', '3', 'x') | list }} {{ nums | map('default', 5) | list }} {{ people | map('length') | list }} {{ people | map(attribute='n') | map('upper') | join }} {{ nest | map('upper') | list }}", "{{ people | map(attribute='n.0') | list }} {{ people | map(attribute='q.z') | list }}", "{{ people | map(attribute='q', default='-') | list }} {{ [[1, 2], [3]] | map('first') | list }} {{ [[3, 1]] | map('sort') | list }} {{ nums | map('round', method='floor') | list }}",
        "{{ nums | select('in', [1, 2]) | list }} {{ nums | reject('in', [1]) | list }} {{ people | selectattr('n', 'in', ['ann']) | list }} {{ words | select('lower') | list }} {{ [none, 1] | reject('none') | list }} {{ people | selectattr('a', 'undefined') | list }} {{ people | rejectattr('a') | list }}", "{{ nums | tojson(indent='--') }} {{ [] | tojson(indent=2) }} {{ {} | tojson(indent=2) }} {{ [[1], {'a': [2]}] | tojson(indent=0) }} {{ [1] | tojson(indent=-1) }} {{ nums | tojson(indent=true) }} {{ nums | tojson(separators=['|', '=']) }}", "{{ nums | tojson(separators=[1]) }}", "{{ nums | tojson(separators=[1, 2]) }}", "{{ nums | tojson(indent=1.5) }}", "{{ {'b': 1, 2: 3} | tojson(sort_keys=true) }}", "{{ {'z': {'b': 1, 'a': 2}, 'y': 0} | tojson(sort_keys=true, separators=(',', ':')) }} {{ '😀é' | tojson(true) }}", "{{ namespace(a=1) | tojson }}", "{{ d.items() | tojson }}", "{{ dict | tojson }}", "{{ 'a' | attr('upper') is defined }} {{ 'a' | attr('nope') is defined }} {{ missing | attr('x') }}", "{{ 5 | attr(5) }}", "{{ ('<b>' | safe) ~ '<' }} {{ ('<b>' | safe) * 2 }} {{ ('<a>' | safe).upper() + '&' }} {{ ('<' | e)[0] }} {{ [('<' | e)] }} {{ '<' + ('&' | e) }}",
        "{{ 'a-b'.split('-') | map('upper') | join('+') }} {{ '\\u00a0a\\u2003'.strip() }} {{ '\\x1ca\\x85b'.split() }} {{ 'a\\x0bb\\x1cc\\u2028d\\re'.splitlines() }}", "{{ 'a'.isprintable() }} {{ '\\n'.isprintable() }} {{ ''.isprintable() }} {{ ''.isascii() }} {{ 'é'.isascii() }} {{ '5'.isnumeric() }} {{ '5'.isdecimal() }} {{ 'aB'.istitle() }} {{ ''.istitle() }} {{ 'A b'.istitle() }} {{ '1'.isupper() }} {{ 'Aa'.isupper() }}", "{{ 'abcabc'.find('b', 2) }} {{ 'abcabc'.find('b', -2) }} {{ 'abcabc'.rfind('b', 0, 3) }} {{ 'abc'.find('', 5) }} {{ 'abc'.find('', 3) }} {{ 'aaaa'.count('aa') }} {{ 'abc'.count('', 1) }} {{ 'éaé'.rfind('é') }} {{ 'abc'.find('c', 0, none) }} {{ 'abc'.endswith('') }} {{ 'abc'.startswith('abcd') }} {{ 'abc'.startswith(()) }} {{ 'abc'.startswith('', 4) }} {{ 'abc'.endswith('c', 5) }}",
        "{{ 'abc'.find(5) }}", "{{ 'abc'.startswith(5) }}", "{{ 'abc'.startswith(['a']) }}", "{{ 'abc'.split(5) }}", "{{ 'abc'.replace('a') }}", "{{ 'abc'.replace(1, 2) }}", "{{ 'abc'.rindex('z') }}", "{{ 'abc'.ljust(5, 'ab') }}", "{{ 'abc'.ljust('a') }}", "{{ 'abc'.zfill('a') }}", "{{ 'abc'.strip(5) }}", "{{ 'abc'.partition('') }}", "{{ 'abc'.partition(5) }}", "{{ 'abc'.removeprefix(5) }}", "{{ 'abc'.removesuffix(5) }}", "{{ 'abc'.upper(1) }}", "{{ ''.join(5) }}", "{{ 'a'.expandtabs('x') }}", "{{ 'ab\\tc\\n\\td'.expandtabs() }} {{ '\\ta'.expandtabs(0) }} {{ 'abc'.zfill(2) }} {{ '+1'.zfill(4) }} {{ 'abc'.center(2) }} {{ ' a b '.rsplit() }} {{ 'a,b,c'.rsplit(',') }} {{ 'a,b,c'.split(',', 0) }} {{ 'abab'.replace('ab', 'x', 0) }} {{ 'a'.join('') }}| {{ 'ab'.rpartition('x') }} {{ 'a b c d'.rsplit(none, 2) }}", "{{ 'a%20b' | forceescape }} {{ '<x>' | safe | string }} {{ [1, 2] | e }}", "{{ 'Ab' | lower | upper | title }} {{ 'a.b' | title }} {{ \"don't\" | title }}", "{{ strftime_now('%-d/%-m/%y %H%M%S %p %B %A %w %U %j %e %D %F %T %R %n%t%% %G-W%V-%u %I:%M %c %x %X %C %h %s'[:60]) }}", "{{ strftime_now('%Z%z|%f') }}", "{{ strftime_now('x') }}",
    ],
    "templates": [
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% elif m.tool_calls %}{% for c in m.tool_calls %}<tool_call>\n{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}\n</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "{%- if tools %}\n    {{- '# Tools\\n' }}\n    {%- for tool in tools %}\n        {{- '\\n' }}\n        {{- tool | tojson }}\n    {%- endfor %}\n{%- endif %}\n{%- for message in messages %}\n    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}\n        {{- '<' + message.role + '>' + message.content }}\n    {%- endif %}\n{%- endfor %}\n",
        "{%- macro render(schema, depth=0) -%}\n{%- if schema.type == 'object' -%}\n{%- for k, v in schema.properties.items() %}\n{{ '  ' * depth }}{{ k }}{{ '' if k in schema.required | default([]) else '?' }}: {{ render(v, depth + 1) }}\n{%- endfor %}\n{%- elif schema.type == 'array' -%}\nlist[{{ render(schema['items'], depth) }}]\n{%- else -%}\n{{ schema.type }}\n{%- endif -%}\n{%- endmacro -%}\n{{ render(tools[0].function.parameters) }}",
    ],
}


def main():
    env = environment()
    cases = []
    for group, templates in GROUPS.items():
        for template in templates:
            case = {"group": group, "template": template}
            try:
                case["output"] = env.from_string(template).render(**V)
            except Exception as error:  # any exception is the expected refusal
                case["error"] = str(error).splitlines()[0] if str(error) else type(error).__name__
            cases.append(case)
    lines = [json.dumps(case, ensure_ascii=False) for case in cases]
    sys.stdout.write('{"vars": ' + json.dumps(V, ensure_ascii=False) + ',\n"now": "2026-11-20T12:03:09",\n')
    sys.stdout.write('"cases": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
