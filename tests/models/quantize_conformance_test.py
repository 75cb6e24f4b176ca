"""Files of `stoa quantize` in llama.cpp: they load, their weights are as close to the original as those that llama.cpp rounds itself, and so is
the perplexity of a text; and the engine reads from them what llama.cpp reads."""

import ctypes
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import gguf_f32
from engine_peer import SOURCE, find_model

sys.path.insert(0, str(SOURCE / "bench" / "engine"))
import llamacpp  # noqa: E402

STOA = os.environ.get("STOA_BINARY")
TOOL = os.environ.get("STOA_PERPLEXITY_TOOL")
GENERATOR = find_model("smollm2-135m-instruct", "*.gguf")
pytestmark = pytest.mark.skipif(not STOA or not TOOL or GENERATOR is None, reason="needs the binary, the perplexity tool and SmolLM2 in build/models")

THREADS = 1  # as in engine_conformance_test.py
TEXT = SOURCE / "LICENSE"  # a text that does not change
CHUNK, CHUNKS = 512, 2
LARGEST_DIFFERENCE = 0.3  # root mean square; 0.11 to 0.18 here, where a layer read wrongly gives 1 and more
# Q4_1 is left out: the default model is Q4_1, so rounding it to that again (or to Q5_1) loses nothing.
TYPES = ["Q8_0", "Q4_0", "Q4_K_M"]


class Traits(ctypes.Structure):  # ggml.h: ggml_type_traits
    _fields_ = [("name", ctypes.c_char_p), ("block", ctypes.c_int64), ("interleave", ctypes.c_int64), ("size", ctypes.c_size_t), ("quantized", ctypes.c_bool),
                ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64))]


@pytest.fixture(scope="module")
def library():
    lib = llamacpp.load_xllamacpp()
    lib.ggml_get_type_traits.restype, lib.ggml_get_type_traits.argtypes = ctypes.POINTER(Traits), [ctypes.c_int]
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    return lib


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("quantize") / "f32.gguf"
    gguf_f32.rewrite(GENERATOR, path)
    yield path
    path.unlink()


def size_of(lib, kind, shape):
    traits = lib.ggml_get_type_traits(kind).contents
    return int(np.prod(shape)) // traits.block * traits.size


def to_float(lib, kind, raw, shape):
    if kind == 0:
        return raw[:size_of(lib, kind, shape)].view("<f4")
    packed = np.ascontiguousarray(raw[:size_of(lib, kind, shape)])
    out = np.empty(int(np.prod(shape)), np.float32)
    lib.ggml_get_type_traits(kind).contents.to_float(packed.ctypes.data, out.ctypes.data, len(out))
    return out


def rounded_by_llama_cpp(lib, kind, values, shape):
    out = np.empty(size_of(lib, kind, shape), np.uint8)
    written = lib.ggml_quantize_chunk(kind, values.ctypes.data, out.ctypes.data, 0, len(values) // shape[0], shape[0], None)
    assert written == len(out)
    return out


def write_reference(lib, original, ours, target):
    """The file that llama.cpp's own rounding makes, with the types of ours. Returns the root mean square errors (ours, theirs) of each type."""
    squares = {}
    floats = {name: raw for name, _, _, raw in gguf_f32.read(original)[2]}
    metadata, entries, tensors = gguf_f32.read(ours)
    made = []
    for name, shape, kind, raw in tensors:
        values = np.ascontiguousarray(floats[name][:int(np.prod(shape)) * 4]).view("<f4")
        theirs = values.view(np.uint8) if kind == 0 else rounded_by_llama_cpp(lib, kind, values, shape)
        sums = squares.setdefault(lib.ggml_get_type_traits(kind).contents.name.decode(), [0.0, 0.0])
        sums[0] += float(np.square(to_float(lib, kind, raw, shape) - values).sum())
        sums[1] += float(np.square(to_float(lib, kind, theirs, shape) - values).sum())
        made.append((name, shape, kind, len(theirs), theirs.tobytes))
    gguf_f32.write(target, metadata, entries, made)
    return {kind: [math.sqrt(s) for s in sums] for kind, sums in squares.items()}


def texts(peer):
    ids = peer.tokenize(TEXT.read_text(encoding="utf-8"), special=False)
    return [ids[begin:begin + CHUNK] for begin in range(0, CHUNK * CHUNKS, CHUNK)]


def peer_likelihoods(lib, path):
    """The negative log-likelihood of each token but the first ones, by llama.cpp; and the texts."""
    peer = llamacpp.LlamaCpp(lib, path, threads=THREADS)
    values = []
    chunks = texts(peer)
    for ids in chunks:
        peer.clear()
        peer.decode(ids[:-1], every=True)
        for index, following in enumerate(ids[1:]):
            logits = np.ctypeslib.as_array(peer.logits(index)).astype(np.float64)
            largest = logits.max()
            values.append(float(largest + math.log(np.exp(logits - largest).sum()) - logits[following]))
    peer.close()
    return np.array(values), chunks


def our_likelihoods(path, chunks):
    done = subprocess.run([TOOL, path, str(THREADS)], input="".join(json.dumps(ids) + "\n" for ids in chunks), capture_output=True, text=True, check=True)
    return np.array([value for line in done.stdout.splitlines() for value in json.loads(line)])


def compare(name, ours, theirs):
    """Of two readings of one text, token by token: the mean difference of their log-likelihoods, and how far chance may move it. Both round what they
    multiply, and in other orders on other processors, so that single tokens differ by about 0.1 and the mean of a few thousand by some thousandths;
    four standard errors of the mean are what one run in ten thousand exceeds."""
    differences = ours - theirs
    mean, chance, size = float(differences.mean()), 4 * float(differences.std()) / math.sqrt(len(differences)), float(np.sqrt(np.square(differences).mean()))
    print(f"{name}: perplexity {np.exp(ours.mean()):.4f} and {np.exp(theirs.mean()):.4f}, log-likelihoods differ by {mean:.5f} (chance: {chance:.5f}), a token's by {size:.4f}")
    return mean, chance, size


@pytest.mark.parametrize("kind", TYPES)
def test_as_good_as_llama_cpp(library, original, tmp_path, kind):
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    subprocess.run([STOA, "quantize", original, ours, "--type", kind, "--threads", str(THREADS)], check=True, capture_output=True)
    for name, (error, reference) in write_reference(library, original, ours, theirs).items():
        assert error <= reference * 1.01, f"{name}: root mean square error {error:.6g}, llama.cpp's {reference:.6g}"
    mine, chunks = peer_likelihoods(library, ours)
    reference, _ = peer_likelihoods(library, theirs)
    engine = our_likelihoods(ours, chunks)
    worse, chance, _ = compare(f"{kind}, our file and llama.cpp's", mine, reference)
    assert worse <= chance
    bias, chance, size = compare(f"{kind}, the engine and llama.cpp", engine, mine)
    assert abs(bias) <= chance
    assert size <= LARGEST_DIFFERENCE
    theirs.unlink()
    ours.unlink()
