"""Decode and prefill of the engine against llama.cpp: the same GGUF file, the same number of threads, alternating runs, medians."""

import os
import pathlib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1]),
                str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "models")]
import harness  # noqa: E402
import llamacpp  # noqa: E402
from engine_peer import Engine  # noqa: E402

PEER_VERSION = "3.22.1"  # of the package; its llama.cpp is the release it was built with
DECODE_TOKENS = 128
PREFILL_TOKENS = 512
SENTENCE = "The quick brown fox jumps over the lazy dog while seven wise owls watch from the old oak tree. "


def ours(engine, prompt, tokens):
    usage = engine.ask(prompt=prompt, max_tokens=tokens, ignore_eos=True)["usage"]
    prefill = usage["prompt_tokens"] / usage["first_token_micros"] * 1e6
    # The first token comes with the prompt; the clock of the others starts there.
    decode = (usage["completion_tokens"] - 1) / max(usage["total_micros"] - usage["first_token_micros"], 1) * 1e6
    return prefill, decode


def theirs(peer, prompt, tokens):
    ids = peer.tokenize(prompt)
    peer.clear()
    begin = time.perf_counter()
    peer.decode(ids)
    token = peer.argmax()
    first = time.perf_counter()
    for _ in range(tokens - 1):
        peer.decode([token])
        token = peer.argmax()
    end = time.perf_counter()
    return len(ids) / (first - begin), (tokens - 1) / max(end - first, 1e-9)


def prompt_of(peer, tokens):
    """A text of exactly so many tokens."""
    words = (SENTENCE * 60).split(" ")
    count = next(n for n in range(1, len(words)) if len(peer.tokenize(" ".join(words[:n]))) >= tokens)
    return " ".join(words[:count])


def main():
    arguments = harness.arguments(__doc__, threads=min(2, os.cpu_count() or 1))
    threads = arguments.threads
    runs = 3 if arguments.quick else 11
    folder = harness.build("engine_tool")
    package = harness.npm("@node-llama-cpp/linux-x64", PEER_VERSION)
    generator = harness.model("smollm2-135m-instruct", "*.gguf")
    embedder = harness.model("all-minilm-l6-v2", "model.safetensors")

    lib = llamacpp.load_node_llama_cpp(package)
    peer = llamacpp.LlamaCpp(lib, generator, threads)
    harness.say(f"peer: {peer.system()}")
    short, long = prompt_of(peer, 16), prompt_of(peer, PREFILL_TOKENS)
    loads = []
    for _ in range(runs):
        with Engine(folder / "tests/models/engine_tool", "--generator", generator, "--embedder", embedder.parent, "--threads", threads) as tool:
            loads.append(tool.ready["load_seconds"])
    with Engine(folder / "tests/models/engine_tool", "--generator", generator, "--threads", threads) as engine:
        # Once for the page cache and the caches of both.
        ours(engine, long, 8), theirs(peer, long, 8)
        decode = harness.alternate(runs, lambda: ours(engine, short, DECODE_TOKENS)[1], lambda: theirs(peer, short, DECODE_TOKENS)[1])
        prefill = harness.alternate(runs, lambda: ours(engine, long, 1)[0], lambda: theirs(peer, long, 1)[0])
    name, version = "llama.cpp (node-llama-cpp)", PEER_VERSION
    harness.report("engine", [
        harness.row(f"decode, 1 stream, {threads} threads, SmolLM2-135M Q4_1", "tokens/s", *decode, name, version, aim=1.0),
        harness.row(f"prefill {PREFILL_TOKENS} tokens, {threads} threads, SmolLM2-135M Q4_1", "tokens/s", *prefill, name, version, aim=1.0),
        harness.row("load of both default models, tokenizers included", "s", loads, [], "", "", aim=1.0, lower_is_better=True),
    ])


if __name__ == "__main__":
    main()
