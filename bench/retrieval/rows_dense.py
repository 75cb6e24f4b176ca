"""Rows of the dense index beside hnswlib, USearch and FAISS: the same vectors, M 16 and efConstruction 200 everywhere, one thread on one core.

Times are of the thread (ours) or process (theirs) on the processor, so what else runs on the machine does not count. Queries a second at a recall are read off the curve
of recall and speed over the width (ef), between its points. Memory is the growth of the resident set while the index is built, on both sides.
"""

import importlib.metadata
import json
import math
import subprocess
import sys

import harness
import vectors

PEERS = {"hnswlib": "hnswlib", "usearch": "usearch", "faiss": "faiss-cpu"}
RECALLS = (0.95, 0.99)


def at_recall(curve, recall):
    """Queries a second where the curve of (width, recall, speed) reaches the recall; None where it does not."""
    before = None
    for _, reached, speed in sorted(curve):
        if reached >= recall:
            if before is None or reached == before[0]:
                return speed
            part = (recall - before[0]) / (reached - before[0])
            return math.exp(math.log(before[1]) * (1 - part) + math.log(speed) * part)
        before = (reached, speed)
    return None


def one_core(command):
    return json.loads(subprocess.run(["taskset", "-c", "0", *map(str, command)], check=True, stdout=subprocess.PIPE).stdout)


def sections(quick):
    """Each kind of vectors at each size, three times; a million only once, which takes two hours. Quickly: few vectors, once."""
    sizes = ((20_000, 1),) if quick else ((100_000, 3), (1_000_000, 1))
    return [(f"dense index, {name(kind, count)}", lambda kind=kind, count=count, runs=runs: rows(kind, count, runs)) for count, runs in sizes for kind in vectors.KINDS]


def name(kind, count):
    return f"{count // 1000}k {'passages' if kind == 'minilm' else kind} vectors"


def rows(kind, count, repeat):
    harness.pip("numpy", "usearch", "faiss-cpu", "pybind11")
    harness.pip("hnswlib")  # has no wheels: built here, for this processor
    program = harness.build("dense_bench") / "bench" / "retrieval" / "dense_bench"
    folder = vectors.folder_of(kind, count)
    script = harness.SOURCE / "bench" / "retrieval" / "peer_dense.py"
    runs = harness.alternate(repeat, lambda: one_core([program, folder, "--filters", "--churn"]),
                             *(lambda peer=peer: one_core([sys.executable, script, peer, folder]) for peer in PEERS))
    ours, theirs = runs[0], dict(zip(PEERS, runs[1:]))
    version = {name: importlib.metadata.version(package) for name, package in PEERS.items()}
    table, size = [], name(kind, count)

    def row(text, unit, mine, others, aim, **more):
        table.append(harness.row(f"dense index, {size}, {text}", unit, mine, *others, aim, **more))

    def fastest(names, read):
        """The runs of the peer that is ahead, with its name and version."""
        known = {name: values for name in names if None not in (values := [read(run) for run in theirs[name]])}
        best = max(known, key=lambda name: sorted(known[name])[len(known[name]) // 2], default=None)
        return (known[best], best, version[best]) if best else ([], "", "")

    for recall in RECALLS:
        read = lambda run, recall=recall: at_recall(run["sweep"], recall)  # noqa: E731
        mine = [read(run) for run in ours]
        row(f"searches at recall@10 of {recall}", "queries/s", mine, fastest(("hnswlib", "usearch"), read), 2)
        row(f"searches at recall@10 of {recall}, beside FAISS", "queries/s", mine, fastest(("faiss",), read), 4)
    row("built", "vectors/s", [run["build_per_s"] for run in ours], ([run["build_per_s"] for run in theirs["hnswlib"]], "hnswlib", version["hnswlib"]), 1.5)
    bytes_each = lambda runs: [run["rss_bytes"] / count for run in runs]  # noqa: E731
    row("memory", "bytes/vector", bytes_each(ours), (bytes_each(theirs["hnswlib"]), "hnswlib", version["hnswlib"]), 2, lower_is_better=True)
    for filtered in (folder / "filters.txt").read_text().split():
        read = lambda run, key=f"filter_{filtered}": at_recall(run[key], 0.98)  # noqa: E731
        others = fastest(PEERS, read)
        label = filtered.replace("near_", "nearest to a query, ").replace("far_", "farthest from a query, ") + " % allowed"
        row(f"{label}: searches at recall@10 of 0.98{'' if others[0] else ', which no peer reaches'}", "queries/s", [read(run) for run in ours], others, 5 if others[0] else 0)
    # A smaller width loses more: the sweeps of both are in what dense_bench prints.
    row("recall lost by 30 % removed and put again, at the width of 0.99", "points", [100 * (lost(run)) for run in ours], ([], "", ""), 0.5, lower_is_better=True)
    row("memory after 30 % removed and put again", "of before", [run["churn_memory_bytes"] / run["memory_bytes"] for run in ours], ([], "", ""), 1.1, lower_is_better=True)
    row("longest remove or put of these", "ms", [run["churn_longest_ms"] for run in ours], ([], "", ""), 50, lower_is_better=True)
    row("snapshot opened", "s", [run["open_seconds"] for run in ours], ([], "", ""), 0.2 * count / 1_000_000, lower_is_better=True)
    return table


def lost(run):
    """Recall before less recall after, at the first width that reached 0.99 before."""
    fresh, churned = ({width: recall for width, recall, _ in run[sweep]} for sweep in ("sweep", "churn_sweep"))
    width = next((width for width in sorted(fresh) if fresh[width] >= 0.99 and width in churned), max(fresh.keys() & churned.keys()))
    return fresh[width] - churned[width]
