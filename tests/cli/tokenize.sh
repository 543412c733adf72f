#!/bin/sh
# apr tokenize: ids, pieces, special tokens, and the way back.
. "$(dirname "$0")/lib.sh"

run 0 tokenize demo 'Hello world'
ids=$(cat "$out")
run 0 tokenize demo --json 'Hello world'
json 'd["ids"] == [int(i) for i in "'"$ids"'".split()] and d["count"] == len(d["ids"])'
json '"".join(d["pieces"]) == "Hello world"'
# shellcheck disable=SC2086 # words
run 0 tokenize demo --decode $ids
out_is 'Hello world\n'
run 0 tokenize demo -d "$(echo "$ids" | tr ' ' ',')"
out_is 'Hello world\n'
# shellcheck disable=SC2086 # words
run 0 tokenize demo --json --decode $ids
json 'd["text"] == "Hello world"'

# Special tokens.
run 0 tokenize demo '<|im_end|>'
same "$(wc -w <"$out" | tr -d ' ')" 1 'tokens of <|im_end|>'
special=$(cat "$out")
run 0 tokenize demo --special '<|im_end|>'
same "$(cat "$out")" "$special" --special
run 0 tokenize demo --no-special '<|im_end|>'
differ "$(cat "$out")" "$special" --no-special
# shellcheck disable=SC2086 # words
run 0 tokenize demo --decode $ids "$special"
out_is 'Hello world<|im_end|>\n'
# shellcheck disable=SC2086 # words
run 0 tokenize demo --decode --no-special $ids "$special"
out_is 'Hello world\n'
run 0 tokenize demo --bos 'Hello world'
out_has "$ids"
run 2 tokenize demo --special --no-special x
run 2 tokenize demo --decode --bos 1

# Standard input to its last byte; nothing at all is no tokens.
pipe 0 'a\nb\n' tokenize --json demo
json '"".join(d["pieces"]) == "a\nb\n"'
pipe 0 'a\nb\n' tokenize --json demo -
json '"".join(d["pieces"]) == "a\nb\n"'
pipe 0 '' tokenize --json demo
json 'd == {"ids": [], "count": 0, "pieces": []}'
run 0 tokenize demo ''
out_is '\n'

# A character of several tokens comes back whole; half of it is U+FFFD.
text='naïve 你好 🦀 e\314\201'
pipe 0 "$text" tokenize demo
# shellcheck disable=SC2046 # words
run 0 tokenize --json demo --decode $(cat "$out")
json 'd["text"] == "na\u00efve \u4f60\u597d \U0001f980 \u00e9"'

# What is wrong is said.
pipe 4 'ab\0300' tokenize demo
err_has 'offset 2'
run 2 tokenize demo --decode
run 2 tokenize demo --decode x
err_has 'not a token id'
run 2 tokenize demo --decode 99999999
err_has 'outside the vocabulary'
run 2 tokenize demo one two
err_has 'give one text'
finish
