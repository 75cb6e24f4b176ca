"""Vectors to measure with, and what an exact search finds, kept in build/bench/retrieval: clusters that lie in 64 of 384 dimensions, and the embeddings of real passages."""

import subprocess

import harness
import passages

DIMENSIONS, INNER, QUERIES, BEST = 384, 64, 1000, 10
SHARES = (50, 10, 1, 0.1)  # per cent that a filter lets through
WORDS = 12  # of a passage that are embedded: a sentence's worth, so that a million are made in an hour


def folder_of(kind, count):
    """The folder with base.f32, queries.f32, truth.i32 and the filters: at random, and those nearest to and farthest from one of the queries."""
    folder = harness.OUT / "retrieval" / f"{kind}-{count}"
    if not (folder / "filters.txt").exists():
        harness.say(f"making {count} vectors ({kind})")
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, *KINDS[kind](count))
    return folder


def embedded(count):
    """all-MiniLM-L6-v2's vectors of the beginnings of real passages, and of queries for them."""
    import numpy as np

    model = harness.model("all-minilm-l6-v2", "model.safetensors").parent
    program = harness.build("embed_lines") / "bench" / "retrieval" / "embed_lines"
    made, asked = [], passages.queries(count, 2 * QUERIES)
    for file, number, words in ((passages.EVERYTHING, count, WORDS), (asked, QUERIES, 0)):
        vectors = file.with_suffix(".f32")  # of the passages, as many as were ever asked for
        subprocess.run([program, model, file, vectors, "--words", str(words), "--count", str(number)], check=True)
        made.append(np.fromfile(vectors, np.float32, number * DIMENSIONS).reshape(-1, DIMENSIONS))
    return made


def clustered(count):
    import numpy as np

    random = np.random.default_rng(7)
    axes = random.standard_normal((INNER, DIMENSIONS), dtype=np.float32) * (np.arange(1, INNER + 1, dtype=np.float32) ** -0.5)[:, None]
    centres = random.standard_normal((max(count // 100, 10), INNER), dtype=np.float32)

    def make(number):
        inner = centres[random.integers(0, len(centres), number)] + 0.7 * random.standard_normal((number, INNER), dtype=np.float32)
        vectors = inner @ axes + 0.15 * random.standard_normal((number, DIMENSIONS), dtype=np.float32) + 0.3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return np.concatenate([make(min(100_000, count - at)) for at in range(0, count, 100_000)]), make(QUERIES)


KINDS = {"clustered": clustered, "minilm": embedded}


def best(vectors, queries, slots):
    import numpy as np

    result = np.empty((len(queries), BEST), np.int32)
    for at in range(0, len(queries), 100):
        scores = queries[at:at + 100] @ vectors.T
        some = np.argpartition(-scores, BEST, axis=1)[:, :BEST]
        result[at:at + 100] = slots[np.take_along_axis(some, np.argsort(-np.take_along_axis(scores, some, 1), axis=1), 1)]
    return result


def write(folder, base, queries):
    import numpy as np

    count, slots, names, random = len(base), np.arange(len(base)), [], np.random.default_rng(11)
    base.tofile(folder / "base.f32")
    queries.tofile(folder / "queries.f32")
    best(base, queries, slots).tofile(folder / "truth.i32")
    (folder / "dims.txt").write_text(str(DIMENSIONS))
    order = np.argsort(-(base @ queries[0]))
    for share in SHARES:
        number = int(count * share / 100)
        for name, chosen in ((f"{share}", np.sort(random.choice(count, number, replace=False))), (f"near_{share}", np.sort(order[:number])), (f"far_{share}", np.sort(order[-number:]))):
            bits = np.zeros((count + 63) // 64 * 64, np.uint8)
            bits[chosen] = 1
            np.packbits(bits, bitorder="little").tofile(folder / f"filter_{name}.u64")
            best(base[chosen], queries, chosen).tofile(folder / f"filter_{name}.i32")
            names.append(name)
    (folder / "filters.txt").write_text("\n".join(names))
