"""A small BertForSequenceClassification with random weights, as a Hugging Face folder and as a GGUF file with pooling rank."""

import json
import struct

import numpy as np

import gguf_f32

CONFIG = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}, "num_hidden_layers": 3, "hidden_size": 128,
          "num_attention_heads": 4, "intermediate_size": 256, "max_position_embeddings": 96, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = ["the", "sea", "is", "blue", "who", "wrote", "key", "lunch", "paris", "printer", "floor", "##ing", "##er", "##ed", ".", ",", "?"]
VOCABULARY = {text: i for i, text in enumerate([*SPECIAL, *LETTERS, *(f"##{c}" for c in LETTERS), *WORDS])}


def make_weights(same_types):
    random = np.random.default_rng(11)
    width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    normal = lambda *shape, mean=0.0, spread=0.12: random.normal(mean, spread, shape).astype("<f4")  # noqa: E731
    weights = {}

    def dense(name, rows, cols):
        weights[name + ".weight"], weights[name + ".bias"] = normal(rows, cols), normal(rows)

    def norm(name):
        weights[name + ".weight"], weights[name + ".bias"] = normal(width, mean=1.0), normal(width)

    at = "bert.embeddings."
    weights[at + "word_embeddings.weight"] = normal(len(VOCABULARY), width, spread=1.0)
    weights[at + "position_embeddings.weight"] = normal(CONFIG["max_position_embeddings"], width, spread=0.5)
    types = normal(2, width, spread=0.5)
    weights[at + "token_type_embeddings.weight"] = np.stack([types[0], types[0]]) if same_types else types
    norm(at + "LayerNorm")
    for i in range(CONFIG["num_hidden_layers"]):
        at = f"bert.encoder.layer.{i}."
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            dense(at + "attention." + name, width, width)
        norm(at + "attention.output.LayerNorm")
        dense(at + "intermediate.dense", inner, width)
        dense(at + "output.dense", width, inner)
        norm(at + "output.LayerNorm")
    dense("bert.pooler.dense", width, width)
    dense("classifier", 1, width)
    return weights


def write_folder(folder, weights):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": len(VOCABULARY)}))
    token = lambda name, kind: {"SpecialToken": {"id": name, "type_id": kind}}  # noqa: E731
    text = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}  # noqa: E731
    single = [token("[CLS]", 0), text("A", 0), token("[SEP]", 0)]
    (folder / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [{"id": VOCABULARY[name], "content": name, "special": True} for name in SPECIAL],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": [*single, text("B", 1), token("[SEP]", 1)],
                           "special_tokens": {name: {"id": name, "ids": [VOCABULARY[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": VOCABULARY}}))
    header, data = {}, b""
    for name, values in weights.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return folder


GGUF_NAMES = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
              "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
GGUF_TOP = {"bert.embeddings.word_embeddings": "token_embd", "bert.embeddings.position_embeddings": "position_embd",
            "bert.embeddings.token_type_embeddings": "token_types", "bert.embeddings.LayerNorm": "token_embd_norm", "bert.pooler.dense": "cls", "classifier": "cls.output"}


def gguf_name(name):
    base, kind = name.rsplit(".", 1)
    if base in GGUF_TOP:
        return f"{GGUF_TOP[base]}.{kind}"
    layer, rest = base.removeprefix("bert.encoder.layer.").split(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[rest]}.{kind}"


def metadata():
    """The entries of the file as bytes, and how many."""
    string = lambda text: struct.pack("<Q", len(text.encode())) + text.encode()  # noqa: E731
    entries = []
    put = lambda key, kind, value: entries.append(string(key) + struct.pack("<I", kind) + value)  # noqa: E731
    number = lambda key, value: put(key, 4, struct.pack("<I", value))  # noqa: E731
    put("general.architecture", 8, string("bert"))
    for key, value in (("block_count", CONFIG["num_hidden_layers"]), ("context_length", CONFIG["max_position_embeddings"]), ("embedding_length", CONFIG["hidden_size"]),
                       ("feed_forward_length", CONFIG["intermediate_size"]), ("attention.head_count", CONFIG["num_attention_heads"]), ("pooling_type", 4)):
        number("bert." + key, value)
    put("bert.attention.layer_norm_epsilon", 6, struct.pack("<f", CONFIG["layer_norm_eps"]))
    put("bert.attention.causal", 7, b"\0")
    put("tokenizer.ggml.model", 8, string("bert"))
    put("tokenizer.ggml.pre", 8, string("default"))
    phantom = lambda text: text if text in SPECIAL else text[2:] if text.startswith("##") else "\u2581" + text  # noqa: E731
    array = lambda kind, values: struct.pack("<IQ", kind, len(values)) + b"".join(values)  # noqa: E731
    put("tokenizer.ggml.tokens", 9, array(8, [string(phantom(text)) for text in VOCABULARY]))
    put("tokenizer.ggml.token_type", 9, array(5, [struct.pack("<i", 3 if text in SPECIAL else 1) for text in VOCABULARY]))
    number("tokenizer.ggml.token_type_count", 2)
    for role, text in (("unknown", "[UNK]"), ("seperator", "[SEP]"), ("padding", "[PAD]"), ("cls", "[CLS]"), ("mask", "[MASK]"), ("bos", "[CLS]"), ("eos", "[SEP]")):
        number(f"tokenizer.ggml.{role}_token_id", VOCABULARY[text])
    return b"".join(entries), len(entries)


def write_gguf(folder, weights):
    folder.mkdir()
    entries, count = metadata()
    tensors = [(gguf_name(name).encode(), values.shape[::-1], 0, values.nbytes, lambda values=values: values.tobytes()) for name, values in weights.items()]
    gguf_f32.write(folder / "model.gguf", entries, count, tensors)
    return folder
