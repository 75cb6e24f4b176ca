"""Rows of the embedder beside onnxruntime: all-MiniLM-L6-v2 in floats of 32 bits, paragraphs of SQuAD, tokenizing included on both sides, alternating."""

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys

import harness
import passages

BATCH, LIMIT = 32, 256  # of texts, and of tokens of a text


def values(command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def texts(count):
    """The files of `count` paragraphs: from all over SQuAD in their order, and the same ones by their length, so that those of a batch are alike."""
    if len(found := passages.paragraphs()) < count:
        sys.exit("the embedder is measured with SQuAD: set STOA_TEST_DATA to a folder that holds squad/dev-v2.0.json")
    step = len(found) // count
    chosen = found[::step][:count]
    files = {"as they come": chosen, "sorted by length": sorted(chosen, key=len)}
    for name, lines in files.items():
        path = passages.FOLDER / f"paragraphs-{count}-{name.replace(' ', '-')}.json"
        path.write_text(json.dumps(lines))
        files[name] = path
    return files


def graphs(model):
    import bert_onnx

    plain, optimized = passages.FOLDER / "minilm.onnx", passages.FOLDER / "minilm-optimized.onnx"
    if not optimized.exists():
        harness.say(f"ONNX graph written; fused: {bert_onnx.write(model, plain, optimized)}")
    return plain, optimized


def check_equal(ours, theirs):
    import numpy as np

    a, b = (np.fromfile(path, np.float32).reshape(-1, 384) for path in (ours, theirs))
    least = float(np.min(np.sum(a * b, axis=1)))
    harness.say(f"cosines of our vectors and onnxruntime's: at least {least:.5f}")
    if a.shape != b.shape or least < 0.999:
        sys.exit("the two sides do not compute the same")


def sections(quick):
    return [("embedding", lambda: rows(quick))]


def rows(quick):
    harness.pip("numpy", "onnx", "onnxruntime", "sympy", "tokenizers")
    model = harness.model("all-minilm-l6-v2", "model.safetensors").parent
    program = harness.build("embed_bench") / "bench" / "retrieval" / "embed_bench"
    script = harness.SOURCE / "bench" / "retrieval" / "peer_onnx.py"
    passages.FOLDER.mkdir(parents=True, exist_ok=True)
    version, rounds = importlib.metadata.version("onnxruntime"), 2
    graph_files, files = graphs(model), texts(128 if quick else 512)
    ours = lambda file, threads, *more: values([program, model, file, "--threads", threads, "--batch", BATCH, "--rounds", rounds, *more])  # noqa: E731
    theirs = lambda graph, file, threads, *more: values([sys.executable, script, graph, model, file, threads, BATCH, rounds, *more])  # noqa: E731

    # The graph that onnxruntime is faster with is its side.
    few, mine, peers = texts(64)["as they come"], passages.FOLDER / "ours.f32", passages.FOLDER / "onnx.f32"
    speeds = {graph: theirs(graph, few, 1, peers)["batched_per_second"] for graph in graph_files}
    ours(few, 1, "--vectors", mine)
    check_equal(mine, peers)
    graph = max(speeds, key=speeds.get)
    harness.say(f"onnxruntime's passages a second by graph: {', '.join(f'{g.stem} {s:.1f}' for g, s in speeds.items())}")

    table = []
    for threads in (1, 2):
        for order, file in files.items():
            runs = harness.alternate(1 if quick else 3, lambda: ours(file, threads), lambda: theirs(graph, file, threads))  # noqa: B023
            of = lambda side, name: [run[name] for run in runs[side]]  # noqa: E731, B023
            label = f"embedding, {threads} thread{'s' if threads > 1 else ''}, paragraphs of {statistics.median(of(0, 'tokens_per_passage')):.0f} tokens {order}"
            table.append(harness.row(f"{label}, batches of {BATCH}", "passages/s", of(0, "batched_per_second"), of(1, "batched_per_second"), "onnxruntime", version, 1.5))
        table.append(harness.row(f"embedding, {threads} thread{'s' if threads > 1 else ''}, one at a time", "passages/s", of(0, "single_per_second"),
                                 of(1, "single_per_second"), "onnxruntime", version, 1))
        table.append(harness.row(f"embedding, {threads} thread{'s' if threads > 1 else ''}, batches of {BATCH} beside one at a time", "passages/s", of(0, "batched_per_second"),
                                 of(0, "single_per_second"), "Stoa one at a time", "", 3))
    return table
