"""Every family of decoders on random weights against llama.cpp: the likely tokens' log-probabilities and the choices, at the end of
prompts longer than the window or the context before scaling, and over the tokens generated after them.
"""

import dataclasses
import os
import sys

import numpy as np
import pytest

import random_model
from engine_peer import SOURCE, Engine, find_model
from random_model import Shape

sys.path.insert(0, str(SOURCE / "bench" / "engine"))
import llamacpp  # noqa: E402

TOOL = os.environ.get("STOA_ENGINE_TOOL")
TOKENIZER = find_model("smollm2-135m-instruct", "*.gguf")
pytestmark = pytest.mark.skipif(not TOOL or TOKENIZER is None, reason="needs the engine tool and SmolLM2 in build/models")

TOKENS = 24
TOP = 20
# llama.cpp looks GELU up in a table of half-precision values and keeps keys and values in half precision, as we do: the bounds, in
# natural-log units of the likely tokens' probabilities, are what that leaves of random models whose logits spread over tens of units.
NOISE = 0.01
CLOSE = 0.1

YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 128}
GEMMA = ("post norms",)
MODELS = {
    "llama": Shape("llama"),
    "llama linear": Shape("llama", keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "llama3 factors": Shape("llama", extra=("rope factors", "head"), keys={"rope.freq_base": 500000.0}),
    "llama yarn": Shape("llama", keys=YARN),
    "qwen2 yarn": Shape("qwen2", extra=("bias",), keys=YARN | {"rope.freq_base": 1000000.0}),
    "qwen3": Shape("qwen3", extra=("head norms",)),
    "phi3": Shape("phi3", extra=("qkv", "gate in up", "head"), rope_dim=24),
    "phi3 short": Shape("phi3", extra=("qkv", "gate in up", "head", "long and short factors"), rope_dim=24,
                        keys={"rope.scaling.original_context_length": 1024, "rope.scaling.attn_factor": 1.19}),
    "phi3 long": Shape("phi3", extra=("qkv", "gate in up", "head", "long and short factors"), context=4096,
                       keys={"rope.scaling.original_context_length": 128, "rope.scaling.attn_factor": 1.19}),
    "gemma2": Shape("gemma2", layers=4, extra=GEMMA, keys={"attention.sliding_window": 96, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 30.0}),
    "gemma3": Shape("gemma3", layers=7, extra=GEMMA + ("head norms",),
                    keys={"attention.sliding_window": 96, "rope.freq_base": 1000000.0, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}),
    "mixtral": Shape("llama", experts=4, extra=("head",)),
    "qwen3moe": Shape("qwen3moe", experts=8, expert_feed_forward=64, extra=("head norms", "head")),
    "qwen2moe": Shape("qwen2moe", experts=8, expert_feed_forward=64, shared=96, extra=("bias", "head")),
}
LONG = "The history of computing is a long one. " + "Machines that count, machines that sort, machines that remember. " * 26
PROMPTS = ["The capital of France is", "Once upon a time, in a small village by the river, 人工知能", LONG]
CONTEXT = 1024


@pytest.fixture(scope="module")
def library():
    return llamacpp.load_xllamacpp()


def log_probabilities(logits):
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


_PIECES = {}  # all models here have one vocabulary


def pieces_of(peer):
    if not _PIECES:
        for token in range(peer.vocabulary):
            _PIECES.setdefault(peer.piece(token, special=True).decode("latin-1"), []).append(token)
    return _PIECES


def compare(peer, answer, prompt, window=0):
    """Root mean square of the differences of the likely tokens' log-probabilities over the answer, and the widest parting of choices. With a
    window the peer is shown so many tokens before each of the answer's, and no others."""
    pieces = pieces_of(peer)
    peer.clear()
    seen = peer.tokenize(prompt)
    assert answer["usage"]["prompt_tokens"] == len(seen)
    peer.decode(seen)
    differences, parting = [], 0.0
    for index, token in enumerate(answer["tokens"]):
        if window:
            peer.clear()
            peer.decode(seen[-window:])
        chances = log_probabilities(np.array(peer.logits()))
        parting = max(parting, float(chances.max() - chances[token]))
        differences += [chance - chances[pieces[text][0]] for text, chance in answer["top"][index] if len(pieces.get(text, ())) == 1]
        seen = [*seen, token]
        if not window:
            peer.decode([token])
    assert len(differences) > 0.8 * TOP * len(answer["tokens"])
    return float(np.sqrt(np.mean(np.square(differences)))), parting


@pytest.mark.parametrize("name", MODELS)
def test_family(library, tmp_path, name):
    shape = MODELS[name]
    path = random_model.write_model(tmp_path / "model.gguf", shape, TOKENIZER)
    peer = llamacpp.LlamaCpp(library, path, threads=1, context=CONTEXT)
    with Engine(TOOL, "--generator", path, "--threads", 1, "--context", CONTEXT) as engine:
        for prompt in PROMPTS:
            answer = engine.ask(prompt=prompt, max_tokens=TOKENS, logprobs=TOP, ignore_eos=True)
            noise, parting = compare(peer, answer, prompt)
            print(f"{name}: log-probabilities differ by {noise:.5f}, choices by {parting:.5f}")
            assert noise < NOISE
            assert parting < CLOSE


WINDOW = 96


@pytest.mark.parametrize("name", ["llama", "phi3"])
def test_window_that_the_peer_leaves_out(library, tmp_path, name):
    """Of llama's (Mistral's) and phi3's windows llama.cpp takes no notice: with and without the key its logits are the same numbers. In a model of one
    layer a token's key and value come from the token alone, so that a window is the same as being shown no more than it: that much the peer can say."""
    shape = dataclasses.replace(MODELS[name], layers=1)
    windowed = dataclasses.replace(shape, keys=shape.keys | {"attention.sliding_window": WINDOW})
    path = random_model.write_model(tmp_path / "windowed.gguf", windowed, TOKENIZER)
    peer = llamacpp.LlamaCpp(library, path, threads=1, context=CONTEXT)
    free = llamacpp.LlamaCpp(library, random_model.write_model(tmp_path / "free.gguf", shape, TOKENIZER), threads=1, context=CONTEXT)
    start = peer.tokenize(LONG)
    for each in (peer, free):
        each.decode(start)
    assert np.array_equal(np.array(peer.logits()), np.array(free.logits()))

    with Engine(TOOL, "--generator", path, "--threads", 1, "--context", CONTEXT) as engine:
        for prompt in PROMPTS:
            answer = engine.ask(prompt=prompt, max_tokens=TOKENS, logprobs=TOP, ignore_eos=True)
            noise, parting = compare(peer, answer, prompt, WINDOW)
            print(f"{name} with a window: log-probabilities differ by {noise:.5f}, choices by {parting:.5f}")
            assert noise < NOISE and parting < CLOSE
    assert len(start) > 2 * WINDOW
    for other in (WINDOW - 1, WINDOW + 1):
        assert compare(peer, answer, LONG, other)[0] > NOISE, "the bound notices a window of one token more or less"


ADAPTED = ["attn_q.", "attn_k.", "attn_v.", "attn_qkv.", "attn_output.", "ffn_gate.", "ffn_up.", "ffn_down."]
RANK, ALPHA = 8, 12


@pytest.mark.parametrize("name", ["llama", "qwen3", "phi3", "gemma2"])
def test_adapter(library, tmp_path, name):
    """A GGUF adapter against llama.cpp with the same file, and against a model that has it in its weights."""
    shape = MODELS[name]
    path = random_model.write_model(tmp_path / "model.gguf", shape, TOKENIZER)
    peer = llamacpp.LlamaCpp(library, path, threads=1, context=CONTEXT)
    tensors = random_model.tensors_of(shape, peer.vocabulary)
    pairs = random_model.adapter_of(tensors, ADAPTED, RANK, seed=5)
    adapter = random_model.write_adapter(tmp_path / "adapter.gguf", shape.architecture, pairs, ALPHA)
    whole = random_model.write_model(tmp_path / "merged.gguf", shape, TOKENIZER, random_model.merged(tensors, pairs, ALPHA))
    question = dict(prompt=PROMPTS[1], max_tokens=TOKENS, logprobs=TOP, ignore_eos=True)
    with Engine(TOOL, "--generator", path, "--adapter", adapter, "--threads", 1, "--context", CONTEXT) as engine:
        plain, adapted = engine.ask(**question), engine.ask(model="adapter", **question)
    with Engine(TOOL, "--generator", whole, "--threads", 1, "--context", CONTEXT) as engine:
        assert engine.ask(**question)["tokens"] == adapted["tokens"] != plain["tokens"]
    assert compare(peer, plain, question["prompt"])[0] < NOISE
    peer.use_adapter(adapter)
    noise, parting = compare(peer, adapted, question["prompt"])
    print(f"{name} with an adapter: log-probabilities differ by {noise:.5f}, choices by {parting:.5f}")
    assert noise < NOISE and parting < CLOSE


# What a family adds must show: with one number changed for one of the engines, they part. Otherwise the bounds above prove nothing.
CHANGES = {
    "llama yarn": {"rope.scaling.factor": 4.1},
    "gemma2": {"attention.sliding_window": 95},
    "gemma3": {"attention.sliding_window": 95},
    "phi3 long": {"rope.scaling.attn_factor": 1.3},
    "mixtral": {"expert_used_count": 1},
}


@pytest.mark.parametrize("name", CHANGES)
def test_comparison_notices_a_changed_number(library, tmp_path, name):
    shape = MODELS[name]
    path = random_model.write_model(tmp_path / "model.gguf", shape, TOKENIZER)
    changed = dataclasses.replace(shape, keys=shape.keys | CHANGES[name])
    peer = llamacpp.LlamaCpp(library, random_model.write_model(tmp_path / "changed.gguf", changed, TOKENIZER), threads=1, context=CONTEXT)
    with Engine(TOOL, "--generator", path, "--threads", 1, "--context", CONTEXT) as engine:
        noise, _ = compare(peer, engine.ask(prompt=LONG, max_tokens=TOKENS, logprobs=TOP, ignore_eos=True), LONG)
        print(f"{name}: log-probabilities differ by {noise:.5f}")
        assert noise > 2 * NOISE
