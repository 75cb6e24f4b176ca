"""Vectors to measure with: clusters that lie in 64 of 384 dimensions, with what an exact search finds, kept in build/bench/retrieval."""

import harness

DIMENSIONS, INNER, QUERIES, BEST = 384, 64, 1000, 10
SHARES = (50, 10, 1, 0.1)  # per cent that a filter lets through


def clustered(count):
    """The folder with base.f32, queries.f32, truth.i32 and the filters: at random, and those nearest to and farthest from one of the queries."""
    import numpy as np

    folder = harness.OUT / "retrieval" / f"clustered-{count}"
    if (folder / "filters.txt").exists():
        return folder
    harness.say(f"making {count} vectors")
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    axes = random.standard_normal((INNER, DIMENSIONS), dtype=np.float32) * (np.arange(1, INNER + 1, dtype=np.float32) ** -0.5)[:, None]
    centres = random.standard_normal((max(count // 100, 10), INNER), dtype=np.float32)

    def make(number):
        inner = centres[random.integers(0, len(centres), number)] + 0.7 * random.standard_normal((number, INNER), dtype=np.float32)
        vectors = inner @ axes + 0.15 * random.standard_normal((number, DIMENSIONS), dtype=np.float32) + 0.3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def best(vectors, queries, slots):
        result = np.empty((len(queries), BEST), np.int32)
        for at in range(0, len(queries), 100):
            scores = queries[at:at + 100] @ vectors.T
            some = np.argpartition(-scores, BEST, axis=1)[:, :BEST]
            result[at:at + 100] = slots[np.take_along_axis(some, np.argsort(-np.take_along_axis(scores, some, 1), axis=1), 1)]
        return result

    base = np.concatenate([make(min(100_000, count - at)) for at in range(0, count, 100_000)])
    queries, slots, names = make(QUERIES), np.arange(count), []
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
    return folder
