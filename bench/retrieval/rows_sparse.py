"""Rows of the text index beside tantivy: the same passages, the same terms, one thread each, alternating."""

import importlib.metadata
import subprocess
import sys

import harness
import passages

K = 10
QUERIES = 2000


def values(command):
    done = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def sections(quick):
    sizes = (100_000,) if quick else (100_000, 1_000_000)
    return [(f"text index, {count // 1000}k passages", lambda count=count: rows(count, 1 if quick else 3)) for count in sizes]


def rows(count, runs):
    harness.pip("tantivy")
    version = importlib.metadata.version("tantivy")
    program = harness.build("sparse_bench") / "bench" / "retrieval" / "sparse_bench"
    texts, asked = passages.passages(count), passages.queries(count, QUERIES)
    terms = passages.FOLDER / f"terms-{count}.txt"
    ours, theirs = harness.alternate(runs, lambda: values([program, texts, asked, "--k", K, "--terms", terms, "--snapshot"]),
                                     lambda: values([sys.executable, harness.SOURCE / "bench" / "retrieval" / "peer_tantivy.py", texts, terms, K]))
    of = lambda runs, name: [run[name] for run in runs]  # noqa: E731
    size = f"{count // 1000}k passages"
    return [
        harness.row(f"text search, {size}, top {K}", "queries/s", of(ours, "queries_per_second"), of(theirs, "queries_per_second"), "tantivy", version, 2),
        harness.row(f"text search, {size}, top {K}, p50", "ms", of(ours, "p50_ms"), of(theirs, "p50_ms"), "tantivy", version, 2, lower_is_better=True),
        harness.row(f"text search, {size}, top {K}, p99", "ms", of(ours, "p99_ms"), of(theirs, "p99_ms"), "tantivy", version, 5, lower_is_better=True, absolute=True),
        harness.row(f"text index, {size}, built", "passages/s", of(ours, "build_passages_per_second"), of(theirs, "build_passages_per_second"), "tantivy", version, 1),
        harness.row(f"text index, {size}, memory", "bytes/passage", of(ours, "bytes_per_passage"), [], "", "", 700, lower_is_better=True),
        harness.row(f"text index, {size}, snapshot loaded", "s", of(ours, "load_seconds"), [], "", "", 5, lower_is_better=True),
    ]
