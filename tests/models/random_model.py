"""Writes small GGUF files with random float32 weights, of every family the engine knows, as llama.cpp expects them; and LoRA adapters for
them. Vocabulary and tokenizer are those of another file. Random weights of a fixed seed: what two engines make of them is compared.
"""

import dataclasses
import struct

import numpy as np

import gguf_f32

_U32, _F32, _STRING = 4, 6, 8
_F32_TENSOR = 0


@dataclasses.dataclass
class Shape:
    """`keys` are metadata after "<architecture>."; `extra` names what the family has beyond llama's tensors."""

    architecture: str
    layers: int = 2
    width: int = 128
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32
    feed_forward: int = 192
    context: int = 2048
    experts: int = 0
    expert_feed_forward: int = 0
    shared: int = 0
    rope_dim: int = 0
    keys: dict = dataclasses.field(default_factory=dict)
    extra: tuple = ()
    seed: int = 1


def _text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _entry(key, value):
    if isinstance(value, str):
        return _text(key) + struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, float):
        return _text(key) + struct.pack("<If", _F32, value)
    return _text(key) + struct.pack("<II", _U32, value)


def _tokenizer(source):
    """The entries of another file's metadata that describe its tokenizer, as bytes, how many, and the size of the vocabulary."""
    data = np.fromfile(source, np.uint8)
    reader = gguf_f32._Reader(data)
    reader.at = 8
    reader.number("Q")
    entries, vocabulary = [], 0
    for _ in range(reader.number("Q")):
        begin = reader.at
        key, kind, value = reader.string(), reader.number("I"), reader.at
        reader.skip_value(kind)
        if not key.startswith(b"tokenizer."):
            continue
        entries.append(data[begin:reader.at].tobytes())
        if key == b"tokenizer.ggml.tokens":
            vocabulary = struct.unpack_from("<Q", data, value + 4)[0]
    return entries, vocabulary


def _metadata(s):
    keys = {"block_count": s.layers, "embedding_length": s.width, "attention.head_count": s.heads, "attention.head_count_kv": s.kv_heads,
            "attention.key_length": s.head_dim, "attention.value_length": s.head_dim, "feed_forward_length": s.feed_forward,
            "context_length": s.context, "attention.layer_norm_rms_epsilon": 1e-5, "rope.dimension_count": s.rope_dim or s.head_dim}
    if s.experts:
        keys |= {"expert_count": s.experts, "expert_used_count": 2}
    if s.expert_feed_forward:
        keys |= {"expert_feed_forward_length": s.expert_feed_forward}
    if s.shared:
        keys |= {"expert_shared_feed_forward_length": s.shared}
    # llama.cpp looks for tokens of a known vocabulary where this name holds that of a family.
    return {"general.architecture": s.architecture, "general.name": "random"} | {f"{s.architecture}.{k}": v for k, v in (keys | s.keys).items()}


def _layer(s):
    """Name and shape (rows, columns) of each tensor of a layer; a shape of one number is a vector."""
    q, kv, w, ff = s.heads * s.head_dim, s.kv_heads * s.head_dim, s.width, s.feed_forward
    tensors = {"attn_norm.weight": (w,), "ffn_norm.weight": (w,), "attn_output.weight": (w, q)}
    if "qkv" in s.extra:
        tensors |= {"attn_qkv.weight": (q + 2 * kv, w)}
    else:
        tensors |= {"attn_q.weight": (q, w), "attn_k.weight": (kv, w), "attn_v.weight": (kv, w)}
    if "bias" in s.extra:
        tensors |= {"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)}
    if "head norms" in s.extra:
        tensors |= {"attn_q_norm.weight": (s.head_dim,), "attn_k_norm.weight": (s.head_dim,)}
    if "post norms" in s.extra:
        tensors |= {"post_attention_norm.weight": (w,), "post_ffw_norm.weight": (w,)}
    if s.experts:
        n = s.expert_feed_forward or ff
        tensors |= {"ffn_gate_inp.weight": (s.experts, w), "ffn_gate_exps.weight": (s.experts, n, w), "ffn_up_exps.weight": (s.experts, n, w),
                    "ffn_down_exps.weight": (s.experts, w, n)}
        if s.shared:
            tensors |= {"ffn_gate_inp_shexp.weight": (w,), "ffn_gate_shexp.weight": (s.shared, w), "ffn_up_shexp.weight": (s.shared, w),
                        "ffn_down_shexp.weight": (w, s.shared)}
    elif "gate in up" in s.extra:
        tensors |= {"ffn_up.weight": (2 * ff, w), "ffn_down.weight": (w, ff)}
    else:
        tensors |= {"ffn_gate.weight": (ff, w), "ffn_up.weight": (ff, w), "ffn_down.weight": (w, ff)}
    return tensors


def _values(random, name, shape):
    if "rope_freqs" in name or "rope_factors_short" in name:
        return random.uniform(1, 2, shape)
    if "rope_factors_long" in name:
        return random.uniform(2, 8, shape)
    if "norm" in name:
        return random.normal(1, 0.1, shape)
    if name.endswith(".bias"):
        return random.normal(0, 0.3, shape)
    # Attention that looks at something and logits that prefer something: a model that is all noise hides mistakes.
    return random.normal(0, (3 if "attn_q" in name or "attn_k" in name else 1.5) / np.sqrt(shape[-1]), shape)


def _write(path, entries, tensors):
    """`tensors`: name -> float array in row-major order."""
    with open(path, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries))
        offset = 0
        for name, values in tensors.items():
            out.write(_text(name) + struct.pack("<I", values.ndim) + struct.pack(f"<{values.ndim}Q", *reversed(values.shape)) +
                      struct.pack("<IQ", _F32_TENSOR, offset))
            offset += (values.size * 4 + 31) // 32 * 32
        out.write(b"\0" * (-out.tell() % 32))
        for values in tensors.values():
            data = values.astype("<f4").tobytes()
            out.write(data + b"\0" * (-len(data) % 32))


def tensors_of(shape, vocabulary):
    random = np.random.default_rng(shape.seed)
    shapes = {"token_embd.weight": (vocabulary, shape.width), "output_norm.weight": (shape.width,)}
    if "head" in shape.extra:
        shapes["output.weight"] = (vocabulary, shape.width)
    half = (shape.rope_dim or shape.head_dim) // 2
    if "rope factors" in shape.extra:
        shapes["rope_freqs.weight"] = (half,)
    if "long and short factors" in shape.extra:
        shapes |= {"rope_factors_long.weight": (half,), "rope_factors_short.weight": (half,)}
    for index in range(shape.layers):
        shapes |= {f"blk.{index}.{name}": size for name, size in _layer(shape).items()}
    return {name: _values(random, name, size).astype(np.float32) for name, size in shapes.items()}


def write_model(path, shape, tokenizer, tensors=None):
    entries, vocabulary = _tokenizer(tokenizer)
    own = [_entry(key, value) for key, value in _metadata(shape).items()]
    _write(path, own + entries, tensors or tensors_of(shape, vocabulary))
    return path


def adapter_of(tensors, names, rank, seed):
    """A and B of a low-rank change to each weight whose name contains one of `names`."""
    random = np.random.default_rng(seed)
    return {name: (random.normal(0, 1 / np.sqrt(w.shape[1]), (rank, w.shape[1])).astype(np.float32), random.normal(0, 0.3, (w.shape[0], rank)).astype(np.float32))
            for name, w in tensors.items() if w.ndim == 2 and any(part in name for part in names)}


def write_adapter(path, architecture, pairs, alpha):
    entries = [_entry("general.architecture", architecture), _entry("general.type", "adapter"), _entry("adapter.type", "lora"),
               _entry("adapter.lora.alpha", float(alpha))]
    _write(path, entries, {f"{name}.lora_{part}": value for name, pair in pairs.items() for part, value in zip("ab", pair)})
    return path


def merged(tensors, pairs, alpha):
    """The weights with the adapter added."""
    return tensors | {name: (tensors[name] + alpha / a.shape[0] * (b @ a)).astype(np.float32) for name, (a, b) in pairs.items()}
