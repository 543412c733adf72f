"""Exports trained weights as a GGUF file, and optionally as a Hugging Face directory.

usage: export.py SAFETENSORS TOKENIZER_JSON OUT_GGUF [OUT_HF_DIR]

The GGUF holds Q8_0 matrices and F32 norms and biases under llama.cpp's names and keys.
"""

import json
import pathlib
import sys

import gguf
import torch
from bpe import SPECIAL, Tokenizer, is_special, tokenizer_json
from qwen2 import Shape
from safetensors.torch import load_file, save_file

CHAT_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}"
    "{% else %}"
    "{{ '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud."
    " You are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
    "{% for message in messages %}"
    "{% if (message.role == 'user') or (message.role == 'system' and not loop.first)"
    " or (message.role == 'assistant') %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SAMPLING = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}
BLOCK_TENSORS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHER_TENSORS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def gguf_name(name):
    """Returns the GGUF name of a Hugging Face tensor name."""
    stem, kind = name.rsplit(".", 1)
    if stem in OTHER_TENSORS:
        return f"{OTHER_TENSORS[stem]}.{kind}"
    _, _, block, part = stem.split(".", 3)
    return f"blk.{block}.{BLOCK_TENSORS[part]}.{kind}"


def token_type(token):
    """Returns the GGUF type of a token, as llama.cpp's converter sets it for Qwen2."""
    if token not in SPECIAL:
        return gguf.TokenType.NORMAL
    return gguf.TokenType.CONTROL if is_special(token) else gguf.TokenType.USER_DEFINED


def add_metadata(writer, shape):
    """Writes name, licence and sizes."""
    writer.add_name("apr demo")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_sampling_temp(SAMPLING["temperature"])
    writer.add_sampling_top_p(SAMPLING["top_p"])
    writer.add_sampling_top_k(SAMPLING["top_k"])
    writer.add_sampling_penalty_repeat(SAMPLING["repetition_penalty"])


def add_tokenizer(writer, tokenizer):
    """Writes vocabulary, merges, special ids and the chat template."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types([token_type(t) for t in tokenizer.tokens])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_eos_token_id(tokenizer.special["<|im_end|>"])
    writer.add_pad_token_id(tokenizer.special["<|endoftext|>"])
    writer.add_bos_token_id(tokenizer.special["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def write_gguf(weights, tokenizer, shape, path):
    """Writes the GGUF file."""
    writer = gguf.GGUFWriter(path, "qwen2")
    add_metadata(writer, shape)
    add_tokenizer(writer, tokenizer)
    for name, weight in weights.items():
        array = weight.float().numpy()
        kind = gguf.GGMLQuantizationType.Q8_0 if array.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def hf_config(shape, tokenizer):
    """Returns Hugging Face's config.json."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "vocab_size": shape.vocabulary,
        "bos_token_id": tokenizer.special["<|endoftext|>"],
        "eos_token_id": tokenizer.special["<|im_end|>"],
        "torch_dtype": "bfloat16",
    }


def write_hf(weights, tokenizer, shape, folder):
    """Writes a Hugging Face directory in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    end, text_end = (tokenizer.special[t] for t in ("<|im_end|>", "<|endoftext|>"))
    half = {name: w.to(torch.bfloat16).contiguous() for name, w in weights.items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    generation = {"eos_token_id": [end, text_end], "pad_token_id": text_end, "do_sample": True}
    tokenizer_config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": CHAT_TEMPLATE,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": shape.context,
        "add_bos_token": False,
    }
    files = {
        "config.json": hf_config(shape, tokenizer),
        "generation_config.json": generation | SAMPLING,
        "tokenizer_config.json": tokenizer_config,
        "tokenizer.json": tokenizer_json(tokenizer),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main():
    """Exports the weights."""
    weights_path, vocabulary, out_gguf, *out_hf = map(pathlib.Path, sys.argv[1:])
    weights = load_file(weights_path)
    tokenizer = Tokenizer.load(vocabulary)
    write_gguf(weights, tokenizer, Shape(), out_gguf)
    if out_hf:
        write_hf(weights, tokenizer, Shape(), out_hf[0])


if __name__ == "__main__":
    main()
