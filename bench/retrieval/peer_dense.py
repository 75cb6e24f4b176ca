"""A peer of the dense index on one thread: peer_dense.py NAME FOLDER, with the folder of vectors.py. Prints one JSON object as dense_bench does.

Times are those of this process on a processor. Filters: FAISS has one in the walk (IDSelectorBitmap); hnswlib and USearch are asked for as many as leave ten after the
filter, 1.5 times over, up to WIDEST.
"""

import json
import pathlib
import sys
import time

import numpy as np

BEST, WIDEST, RUNS = 10, 4096, 3
WIDTHS = (10, 12, 14, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
ENOUGH = 0.995  # of recall: wider ones need not be measured
MEASURED = 0.5  # seconds that the runs of a width take at least
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
dimensions = int((folder / "dims.txt").read_text())
base, queries = (np.fromfile(folder / f"{part}.f32", np.float32).reshape(-1, dimensions) for part in ("base", "queries"))
truth = np.fromfile(folder / "truth.i32", np.int32).reshape(-1, BEST)


def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def make():
    """add(vectors), find(queries, k, width) and find_allowed(queries, k, width, words) or None."""
    if name == "hnswlib":
        import hnswlib
        index = hnswlib.Index("cosine", dimensions)
        index.init_index(len(base), M=16, ef_construction=200)

        def find(asked, k, width):
            index.set_ef(max(width, k))
            return index.knn_query(asked, k, num_threads=1)[0]

        return lambda vectors: index.add_items(vectors, num_threads=1), find, None
    if name == "usearch":
        from usearch.index import Index
        index = Index(ndim=dimensions, metric="cos", dtype="f32", connectivity=16, expansion_add=200)

        def find(asked, k, width):
            index.expansion_search = max(width, k)
            return index.search(asked, k, threads=1).keys

        return lambda vectors: index.add(np.arange(len(vectors)), vectors, threads=1), find, None
    import faiss
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(dimensions, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200

    def find(asked, k, width):
        index.hnsw.efSearch = max(width, k)
        return index.search(asked, k)[1]

    def find_allowed(asked, k, width, words):
        selector = faiss.IDSelectorBitmap(words.view(np.uint8))
        return index.search(asked, k, params=faiss.SearchParametersHNSW(efSearch=max(width, k), sel=selector))[1]

    return index.add, find, find_allowed


def measure(search, wanted, widths=WIDTHS, runs=RUNS, asked=queries):
    curve = []
    for width in widths:
        seconds = []
        while len(seconds) < runs or sum(seconds) < MEASURED:
            start = time.process_time()
            found = search(asked, width)
            seconds.append(time.process_time() - start)
        recall = np.mean([len(set(a) & set(b)) for a, b in zip(wanted, found)]) / BEST
        curve.append((width, float(recall), len(asked) / min(seconds)))
        if recall >= ENOUGH:
            break
    return curve


add, find, find_allowed = make()
before, start = resident(), time.process_time()
add(base)
result = {"build_per_s": len(base) / (time.process_time() - start), "rss_bytes": resident() - before, "sweep": measure(lambda asked, width: find(asked, BEST, width), truth)}
for filtered in (folder / "filters.txt").read_text().split():
    words = np.fromfile(folder / f"filter_{filtered}.u64", np.uint64)
    allowed = np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)
    wanted = np.fromfile(folder / f"filter_{filtered}.i32", np.int32).reshape(-1, BEST)[:100]
    share = allowed[:len(base)].mean()

    def after(asked, width):
        many = int(min(max(1.5 * width / share, BEST), WIDEST, len(base)))
        found = find(asked, many, many).astype(np.int64)
        return [[slot for slot in row if allowed[slot]][:BEST] for row in found]

    search = after if find_allowed is None else (lambda asked, width: find_allowed(asked, BEST, width, words))
    result[f"filter_{filtered}"] = measure(search, wanted, (10, 12, 16, 24, 64, 256), 1, queries[:100])
print(json.dumps(result))
