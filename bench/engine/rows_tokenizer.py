"""Tokenizing mixed text with the default model's vocabulary, against tiktoken and Hugging Face's tokenizers, which get the same merges. One
thread on each side."""

import json
import os
import re
import subprocess
import sys
import time

import harness
from models import title
from sides import Row

sys.path.insert(0, str(harness.SOURCE / "tests" / "models"))

VERSIONS = {"tiktoken": "0.14.0", "tokenizers": "0.23.3", "numpy": "2.3.5"}
MEGABYTES, DISTINCT = 100, 5  # so much text, of which so much is not repeated
PIECE = 1 << 16
AIM = 2
# The model cuts digits off one by one and then what lies between them with GPT-2's expression. As one expression: white space before a digit
# is white space at an end.
CUT = r"\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"
# Bytes that the vocabulary lacks: all of them drop these, Hugging Face's before merging what stood around them.
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x0c\x0e-\x1f]")
NORMAL = 1  # tokenizer.ggml.token_type


def corpus():
    """Text of many kinds, the same every time."""
    import tokenizer_corpus
    path = harness.OUT / f"corpus-{MEGABYTES}mb.txt"
    if not path.exists():
        harness.say(f"writing {path.name}")
        distinct, seed = b"", 0
        while len(distinct) < DISTINCT * 1_000_000:
            seed += 1
            distinct += b"\n".join(line for line in tokenizer_corpus.lines(2000, seed) if tokenizer_corpus.is_text(line) and not CONTROL.search(line)) + b"\n"
        with open(path, "wb") as out:
            for _ in range(MEGABYTES // DISTINCT):
                out.write(distinct)
    return path


def pieces(text):
    """Pieces that end where a line does: the libraries take texts, not files."""
    out, begin = [], 0
    while begin < len(text):
        end = text.find("\n", begin + PIECE) + 1 or len(text)
        out.append(text[begin:end])
        begin = end
    return out


def byte_of_letters():
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    return {chr(byte): byte for byte in kept} | {chr(256 + n): byte for n, byte in enumerate(others)}


def peers(path):
    """Functions from texts to lists of ids, with the vocabulary of a GGUF file, and its size."""
    import gguf_f32
    import tiktoken
    import tokenizers
    entries = gguf_f32.entries(path)
    tokens = [token.decode() for token in entries["tokenizer.ggml.tokens"]]
    merges = [tuple(merge.decode().split(" ")) for merge in entries["tokenizer.ggml.merges"]]
    letters = byte_of_letters()
    normal = [index for index, kind in enumerate(entries["tokenizer.ggml.token_type"]) if kind == NORMAL and set(tokens[index]) <= letters.keys()]
    ranks = {bytes(letters[c] for c in tokens[index]): index for index in normal}
    # tiktoken wants all bytes, also those that the vocabulary lacks. The ids they get are dropped when ids are compared.
    for byte in range(256):
        ranks.setdefault(bytes([byte]), len(tokens) + byte)
    tik = tiktoken.Encoding("model", pat_str=CUT, mergeable_ranks=ranks, special_tokens={})
    face = tokenizers.Tokenizer(tokenizers.models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    face.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([tokenizers.pre_tokenizers.Digits(True), tokenizers.pre_tokenizers.ByteLevel(False)])
    encoders = {"tiktoken": lambda texts: [tik.encode_ordinary(text) for text in texts],
                "tokenizers": lambda texts: [encoding.ids for encoding in face.encode_batch_fast(texts, add_special_tokens=False)]}
    return encoders, len(tokens)


def tokenizing(context):
    harness.pip(*(f"{name}=={version}" for name, version in VERSIONS.items()))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    model, text_file = context.model("smollm2"), corpus()
    tool = context.build / "tests" / "models" / "tokenize_tool"
    texts = pieces(text_file.read_bytes().decode())

    def ours():
        done = subprocess.run([tool, "bench", "gguf", model, text_file, "1"], check=True, capture_output=True, text=True)
        report = json.loads(done.stdout)
        return report["bytes"] * 1e-6 / report["seconds"][0]

    def timed(encode):
        begin = time.perf_counter()
        encode(texts)
        return MEGABYTES / (time.perf_counter() - begin)

    sides, size = peers(model)
    results = harness.alternate(1 if context.quick else 3, ours, *(lambda e=encode: timed(e) for encode in sides.values()))
    rows = [harness.row(f"tokenizing {MEGABYTES} MB, {title('smollm2')}", "MB/s", results[0], theirs, name, VERSIONS[name], AIM)
            for name, theirs in zip(sides, results[1:])]
    return rows + [same_ids(tool, model, sides, texts[:40], size)]


def same_ids(tool, model, sides, texts, size):
    """The share of texts that all three cut into the same ids."""
    from tokenizer_references import Tool
    with Tool(tool, "gguf", model) as engine:
        mine = [engine.encode(text.encode(), add_special=False, parse_special=False) for text in texts]
    theirs = [[[token for token in ids if token < size] for ids in encode(texts)] for encode in sides.values()]
    equal = [float(all(side[index] == ids for side in theirs)) for index, ids in enumerate(mine)]
    return harness.row("tokenizing: texts with the same ids in all three", "of texts", [sum(equal) / len(equal)], [], "", "", 1.0)


def rows(context):
    return [Row(f"tokenizing {MEGABYTES} MB", lambda: tokenizing(context))]
