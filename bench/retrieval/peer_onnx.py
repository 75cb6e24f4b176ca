"""onnxruntime with the same texts: peer_onnx.py GRAPH.onnx MODEL TEXTS.json THREADS BATCH ROUNDS [VECTORS]. Prints "name value" lines, measured as embed_bench.cc measures."""

import json
import os
import sys
import time

graph, model, texts, vectors = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[7] if len(sys.argv) > 7 else None
threads, size, rounds = map(int, sys.argv[4:7])
os.environ["RAYON_NUM_THREADS"] = str(threads)
os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import tokenizers  # noqa: E402

options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
tokenizer = tokenizers.Tokenizer.from_file(f"{model}/tokenizer.json")
tokenizer.enable_truncation(256)
tokenizer.enable_padding()
now = time.process_time if threads == 1 else time.monotonic


def embed(some):
    encoded = tokenizer.encode_batch_fast(some)
    ids = np.array([each.ids for each in encoded], np.int64)
    mask = np.array([each.attention_mask for each in encoded], np.int64)
    return session.run(None, {"input_ids": ids, "token_type_ids": np.zeros_like(ids), "attention_mask": mask})[0]


def rate(size, keep=None):
    batches = [lines[at:at + size] for at in range(0, len(lines), size)]
    best = [1e9] * len(batches)
    for turn in range(rounds):
        for i, batch in enumerate(batches):
            begin = now()
            found = embed(batch)
            best[i] = min(best[i], now() - begin)
            if turn == 0 and keep is not None:
                keep.append(found)
    return len(lines) / sum(best)


lines, kept = json.load(open(texts, encoding="utf-8")), []
embed(lines[:1])
print("batched_per_second", rate(size, kept))
print("single_per_second", rate(1))
if vectors:
    np.concatenate(kept).astype(np.float32).tofile(vectors)
