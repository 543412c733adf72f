"""Writes tiny models with random weights as GGUF, and what `transformers` computes with them.

usage: random_models.py OUT_DIR [NAME...]

Per case OUT_DIR gets NAME.gguf (F32; keys, tensor names and layouts of llama.cpp's converter) and
NAME.json: the ids of a prompt, the most likely id after each of its positions, all logits at two
positions, and a greedy continuation.  transformers runs the model's own code in float64.
"""

import contextlib
import json
import pathlib
import sys
from dataclasses import dataclass, field

import gguf
import numpy as np
import torch
import transformers

VOCABULARY = 320
HIDDEN = 64
CONTEXT = 256
PROMPT_TOKENS = 40
EARLY = 10
CONTINUATION = 16
GAP_MIN = 0.02  # a smaller lead of the best logit would make a greedy choice depend on rounding
SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> "
    "<tool_call> </tool_call>"
).split()
MERGES = (
    "Ġ t|h e|Ġ a|i n|r e|o n|Ġt he|e r|Ġ s|a t|Ġ w|Ġ o|e n|Ġ c|i t|i s|a n|o r|e s|Ġ b|e d|Ġ f|"
    "in g|Ġ p|o u|Ġa n|a l|a r|Ġt o|Ġ m|Ġo f|Ġ in|Ġ d|Ġ h|Ġan d|i c|a s|l e|Ġt h|i on|o m|l l|"
    "en t|Ġ n|Ġ l|s t|Ġ re|v e|Ġ e|r o|l y|Ġb e|Ġ g|Ġ is|u t|o t"
).split("|")


@dataclass(frozen=True)
class Case:
    """One model: its file name, its GGUF architecture and its transformers configuration."""

    name: str
    arch: str
    config: type
    options: dict = field(default_factory=dict)
    metadata: dict = field(default_factory=dict)


def rope(**parameters):
    """Returns the option that sets the rotary embedding's parameters."""
    return {"rope_parameters": {"rope_theta": 10000.0, **parameters}}


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
QWEN2_MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 32,
    "norm_topk_prob": False,
}
QWEN3_MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "norm_topk_prob": True,
    "head_dim": 32,
    "num_key_value_heads": 1,
}
CASES = [
    Case("qwen2", "qwen2", transformers.Qwen2Config, {"tie_word_embeddings": True}),
    Case("qwen2-untied", "qwen2", transformers.Qwen2Config, {"intermediate_size": 64}),
    Case(
        "qwen2-yarn",
        "qwen2",
        transformers.Qwen2Config,
        {
            "tie_word_embeddings": True,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
            **rope(**YARN),
        },
        {
            "qwen2.rope.scaling.type": "yarn",
            "qwen2.rope.scaling.factor": 4.0,
            "qwen2.rope.scaling.original_context_length": 1024,
        },
    ),
    Case("llama", "llama", transformers.LlamaConfig, {"intermediate_size": 64}),
    Case(
        "llama-linear",
        "llama",
        transformers.LlamaConfig,
        {"tie_word_embeddings": True, **rope(rope_type="linear", factor=4.0)},
        {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
    ),
    Case(
        "llama-llama3",
        "llama",
        transformers.LlamaConfig,
        {"tie_word_embeddings": True, **rope(**LLAMA3)},
    ),
    Case(
        "llama-window",
        "llama",
        transformers.MistralConfig,
        {"tie_word_embeddings": True, "sliding_window": 8},
        {"llama.attention.sliding_window": 8},
    ),
    Case(
        "qwen3",
        "qwen3",
        transformers.Qwen3Config,
        {"tie_word_embeddings": True, "head_dim": 32, "intermediate_size": 64},
    ),
    Case(
        "qwen2moe",
        "qwen2moe",
        transformers.Qwen2MoeConfig,
        {"tie_word_embeddings": True, **QWEN2_MOE},
        {"qwen2moe.expert_shared_feed_forward_length": 32},
    ),
    Case(
        "qwen3moe",
        "qwen3moe",
        transformers.Qwen3MoeConfig,
        {"tie_word_embeddings": True, **QWEN3_MOE},
    ),
]
BLOCK_TENSORS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
}
OTHER_TENSORS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


@contextlib.contextmanager
def float64_only():
    """Makes torch's float32 mean float64, since transformers rounds to it inside its layers."""
    saved = torch.float32, torch.float, torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = saved


def build(case, seed):
    """Returns the case's model with random float32 weights."""
    options = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 96,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        **rope(rope_type="default"),
        **case.options,
    }
    config = case.config(**options, attn_implementation="eager")
    config._experts_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name:
            p.data = 1 + 0.2 * noise
        elif name.endswith("bias"):
            p.data = 0.5 * noise
        elif "embed" in name or "lm_head" in name:
            p.data = 0.3 * noise
        else:
            p.data = 0.2 * noise
    return model


def greedy(model, ids):
    """Returns the logits of all positions and the greedy continuation with its smallest lead."""
    ids = list(ids)
    lead = float("inf")
    prompt_logits = None
    for _ in range(CONTINUATION):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        prompt_logits = logits if prompt_logits is None else prompt_logits
        best, second = logits[-1].topk(2).values
        lead = min(lead, float(best - second))
        ids.append(int(logits[-1].argmax()))
    return prompt_logits, ids[-CONTINUATION:], lead


def golden(case):
    """Returns (model, expectations) for the first seed whose greedy choices are clear."""
    for seed in range(100):
        model = build(case, seed)
        prompt = np.random.default_rng(seed).integers(0, VOCABULARY, PROMPT_TOKENS).tolist()
        with float64_only(), torch.no_grad():
            logits, continuation, lead = greedy(model.double(), prompt)
        if lead >= GAP_MIN and len(set(continuation)) > CONTINUATION // 2:
            break
    model = model.float()
    with torch.no_grad():
        single = model(torch.tensor([prompt]), use_cache=False).logits[0].double()
    return model, {
        "file": f"{case.name}.gguf",
        "seed": seed,
        "ids": prompt,
        "top1": logits.argmax(-1).tolist(),
        "greedy": continuation,
        "greedy_lead_min": round(lead, 4),
        "float32_difference_max": float((logits - single).abs().max()),
        "logits": {str(i): rounded(logits[i]) for i in (EARLY, PROMPT_TOKENS - 1)},
    }


def rounded(values):
    """Returns the values with nine significant digits."""
    return [float(f"{v:.9g}") for v in values.tolist()]


def permute(weight, heads):
    """Reorders q or k rows from half-split to adjacent rotary pairs, as llama.cpp's converter."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


def tensors(case, model):
    """Yields (GGUF name, array) for each tensor of the file."""
    config = model.config
    for name, p in model.state_dict().items():
        array = p.numpy()
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if name.startswith("model.layers."):
            _, _, block, stem = name.split(".", 3)
            if stem == "mlp.experts.gate_up_proj":
                half = array.shape[1] // 2
                yield f"blk.{block}.ffn_gate_exps.weight", array[:, :half]
                yield f"blk.{block}.ffn_up_exps.weight", array[:, half:]
                continue
            if stem == "mlp.experts.down_proj":
                yield f"blk.{block}.ffn_down_exps.weight", array
                continue
            stem, kind = stem.rsplit(".", 1)
            if case.arch == "llama" and stem == "self_attn.q_proj":
                array = permute(array, config.num_attention_heads)
            if case.arch == "llama" and stem == "self_attn.k_proj":
                array = permute(array, config.num_key_value_heads)
            yield f"blk.{block}.{BLOCK_TENSORS[stem]}.{kind}", array
        else:
            stem, kind = name.rsplit(".", 1)
            yield f"{OTHER_TENSORS[stem]}.{kind}", array
    if config.rope_parameters["rope_type"] == "llama3":
        scaled = model.model.rotary_emb.inv_freq.numpy()
        plain = 10000.0 ** (-np.arange(len(scaled)) / len(scaled))
        yield "rope_freqs.weight", plain / scaled


def byte_tokens():
    """Returns GPT-2's printable stand-ins for the 256 bytes, in GPT-2's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def add_tokenizer(writer, arch):
    """Writes a byte-level BPE vocabulary: bytes, merges, special tokens."""
    tokens = [*byte_tokens(), *(merge.replace(" ", "") for merge in MERGES), *SPECIAL]
    plain = len(tokens) - len(SPECIAL)
    assert len(tokens) == len(set(tokens)) == VOCABULARY
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe" if arch == "llama" else "qwen2")
    writer.add_token_list(tokens)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_token_types([normal] * plain + [control] * len(SPECIAL))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)


def add_metadata(writer, case, config):
    """Writes the model's sizes under llama.cpp's keys."""
    arch = case.arch
    head = getattr(config, "head_dim", None) or HIDDEN // config.num_attention_heads
    writer.add_name(f"random {case.name}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if arch in ("qwen3", "qwen3moe"):
        writer.add_key_length(head)
        writer.add_value_length(head)
    if arch == "llama":
        writer.add_rope_dimension_count(head)
        writer.add_vocab_size(VOCABULARY)
    if arch.endswith("moe"):
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    for key, value in case.metadata.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_uint32(key, value)


def write(case, model, path):
    """Writes the model as a GGUF file."""
    writer = gguf.GGUFWriter(path, case.arch)
    add_metadata(writer, case, model.config)
    add_tokenizer(writer, case.arch)
    for name, array in tensors(case, model):
        writer.add_tensor(name, np.ascontiguousarray(array, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    """Writes all cases, or those named."""
    out, *names = sys.argv[1:]
    out = pathlib.Path(out)
    for case in CASES:
        if not names or case.name in names:
            model, expected = golden(case)
            write(case, model, out / f"{case.name}.gguf")
            (out / f"{case.name}.json").write_text(json.dumps(expected) + "\n")
            print(case.name, {k: expected[k] for k in ("seed", "greedy_lead_min")})
            print("  float32 differs by", expected["float32_difference_max"])


if __name__ == "__main__":
    main()
