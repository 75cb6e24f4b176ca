"""Prefill and decoding: one stream at several depths, sixteen together, with a busy neighbour, and with fewer instruction sets."""

import contextlib
import os
import subprocess
import sys

import harness
import models
import sides
from models import LARGE, SMALL, title
from sides import Row

PREFILL = 512
DECODE = 64
BATCH_STREAMS, BATCH_TOKENS = 16, 32
PREFILL_AIMS = {"Q4_0": 4, "Q8_0": 4, "Q4_K_M": 10, "BF16": 10, "F16": 10}
DECODE_AIMS = {"Q8_0": 1.25, "Q4_0": 1.35, "BF16": 1.6, "F16": 1.6, "Q4_K_M": 1.8}
DEPTH_AIMS = {512: 1.6, 2048: 2.2}
BATCH_AIMS = {128: 3, 512: 5, 2048: 6}
BANDWIDTH_AIM = 0.8
ISAS = {"avx512": ("icelake", "AVX-512 only"), "avx2": ("haswell", "AVX2 only")}
ISA_AIM = 1.1


@contextlib.contextmanager
def both(context, model, length, sequences=1, isa="auto", backend=None):
    """The engine, and llama.cpp with flash attention on and off."""
    with context.engine(model, sequences=sequences, isa=isa) as engine, context.peer(model, length, sequences, True, backend) as on, \
            context.peer(model, length, sequences, False, backend) as off:
        yield engine, on, off


@contextlib.contextmanager
def busy_neighbour():
    """A foreign thread that never rests."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def prefill(context, name, model, aim, isa="auto", backend=None):
    with both(context, model, PREFILL + 64, isa=isa, backend=backend) as (engine, on, off):
        text, ids = context.prompt(on, PREFILL)
        for warm_up in (lambda: sides.our_prefill(engine, text), lambda: sides.their_prefill(on, ids), lambda: sides.their_prefill(off, ids)):
            warm_up()
        ours = lambda: sides.our_prefill(engine, context.prompt(on, PREFILL)[0])  # noqa: E731
        results = harness.alternate(context.runs, ours, lambda: sides.their_prefill(on, ids), lambda: sides.their_prefill(off, ids))
    return [sides.compare(name, "tokens/s", *results, aim)]


def decode(context, name, model, depth, aim, streams=1, isa="auto", backend=None, probe=False):
    tokens = DECODE if streams == 1 else BATCH_TOKENS
    shares = []
    with both(context, model, depth + tokens + 128, streams, isa, backend) as (engine, on, off):
        prompts = [context.prompt(on, depth)[1] for _ in range(streams)]

        def ours():
            texts = [context.prompt(on, depth)[0] for _ in range(streams)]
            read = sides.bandwidth(engine)
            speed = sides.our_decode(engine, texts, tokens)
            shares.append(speed * engine.ready["bytes_per_token"] * 1e-9 / read)
            return speed

        results = harness.alternate(context.runs, ours, lambda: sides.their_decode(on, prompts, tokens), lambda: sides.their_decode(off, prompts, tokens))
    rows = [sides.compare(name, "tokens/s", *results, aim)]
    if probe:
        rows.append(harness.row(f"{name}: share of read bandwidth", "of probed", shares, [], "", "", BANDWIDTH_AIM))
    return rows


def neighbour(context, name, model):
    """What is left of the quiet speed beside one busy thread. Fair: what the threads get when all share the processors in equal parts."""
    fair = min(1.0, (os.cpu_count() or 1) / (context.threads + 1))
    with both(context, model, 256) as (engine, on, off):
        ids = context.prompt(on, 16)[1]
        measures = (lambda: sides.our_decode(engine, [context.prompt(on, 16)[0]], DECODE), lambda: sides.their_decode(on, [ids], DECODE),
                    lambda: sides.their_decode(off, [ids], DECODE))
        quiet = harness.alternate(context.runs, *measures)
        with busy_neighbour():
            busy = harness.alternate(context.runs, *measures)
    rows = [sides.compare(name, "tokens/s", *busy, 1.0)]
    kept = [[b / q for b, q in zip(*pair)] for pair in zip(busy, quiet)]
    theirs, peer = sides.best(kept[1], kept[2])
    rows.append(harness.row(f"{name}: share kept of the quiet speed", "of quiet", kept[0], theirs, peer, sides.PEER_VERSION, fair, absolute=True))
    return rows


def rows(context):
    found = []
    for shape in (SMALL, LARGE):
        for kind, aim in PREFILL_AIMS.items():
            model = f"{shape}:{kind}"
            name = f"prefill {PREFILL}, {title(model)}"
            found.append(Row(name, lambda n=name, m=model, a=aim: prefill(context, n, m, a), quick=model == f"{SMALL}:Q8_0"))
        for kind, aim in DECODE_AIMS.items():
            model = f"{shape}:{kind}"
            name = f"decode, 1 stream, {title(model)}"
            found.append(Row(name, lambda n=name, m=model, a=aim: decode(context, n, m, 16, a, probe=True), quick=model == f"{SMALL}:Q4_0"))
    small = f"{SMALL}:Q8_0"
    for depth, aim in DEPTH_AIMS.items():
        name = f"decode, 1 stream at depth {depth}, {title(small)}"
        found.append(Row(name, lambda n=name, d=depth, a=aim: decode(context, n, small, d, a)))
    for depth, aim in BATCH_AIMS.items():
        name = f"decode, {BATCH_STREAMS} streams at context {depth}, {title(small)}"
        found.append(Row(name, lambda n=name, d=depth, a=aim: decode(context, n, small, d, a, BATCH_STREAMS)))
    name = f"decode beside a busy thread, {title(small)}"
    found.append(Row(name, lambda n=name: neighbour(context, n, small)))
    for isa, (backend, what) in ISAS.items():
        for kind in ("Q8_0", "Q4_0", "Q4_K_M", "BF16"):
            model = f"{SMALL}:{kind}"
            fill, step = f"prefill {PREFILL}, {title(model)}, {what}", f"decode, 1 stream, {title(model)}, {what}"
            found.append(Row(fill, lambda n=fill, m=model, i=isa, b=backend: prefill(context, n, m, ISA_AIM, i, b)))
            found.append(Row(step, lambda n=step, m=model, i=isa, b=backend: decode(context, n, m, 16, ISA_AIM, isa=i, backend=b)))
    for kind in ("prefill", "decode"):
        name = f"{kind}, {title('smollm2')}"
        measure = (lambda n=name: prefill(context, n, "smollm2", 1.0)) if kind == "prefill" else (lambda n=name: decode(context, n, "smollm2", 16, 1.0, probe=True))
        found.append(Row(name, measure))
    return found
