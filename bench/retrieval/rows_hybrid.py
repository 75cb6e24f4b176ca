"""Rows of hybrid search end to end: catalog, sealed rows in SQLite, index and the real embedder of queries, with access lists and a filter that let about a quarter through.

The vectors of passages are all-MiniLM-L6-v2's of their first twelve words, so that a hundred thousand are made in minutes, and are kept in build/bench/retrieval."""

import subprocess

import harness
import passages

WORDS, QUERIES = 12, 1000
SAMPLE = 2  # documents of forty lines that are brought in with the model itself


def sections(quick):
    return [("hybrid search", lambda: rows(quick))]


def rows(quick):
    model = harness.model("all-minilm-l6-v2", "model.safetensors").parent
    program = harness.build("hybrid_bench") / "bench" / "retrieval" / "hybrid_bench"
    lines = 18_000 if quick else 90_000  # cut into a tenth more passages
    texts, asked = passages.passages(100_000), passages.queries(100_000, 2000)
    done = subprocess.run([str(c) for c in (program, model, texts, asked, "--vectors", passages.FOLDER / f"hybrid-vectors-{WORDS}.f32", "--words", WORDS, "--count", lines,
                                            "--sample", SAMPLE, "--asked", QUERIES, "--work", harness.OUT)], check=True, stdout=subprocess.PIPE, text=True)
    found = {name: [float(value)] for name, value in (line.split() for line in done.stdout.splitlines())}
    label = f"hybrid search, {found['passages'][0] / 1000:.0f}k passages"
    none = ([], "", "")

    def least(text, unit, name, aim):
        return harness.row(f"{label}, {text}", unit, found[name], *none, aim, lower_is_better=True)

    return [
        least("p99, best of three rounds", "ms", "query_p99_ms", 15),
        least("p50, best of three rounds", "ms", "query_p50_ms", 15),
        least("p99 of the first round", "ms", "first_round_p99_ms", 15),
        least("of it the embedding of the query, p50", "ms", "query_embedding_p50_ms", 15),
        least("of it the embedding of the query, p99", "ms", "query_embedding_p99_ms", 15),
        least("memory of the index", "bytes/passage", "bytes_per_passage", 2000),
        harness.row(f"{label}, start from the snapshot", "s", found["start_from_snapshot_seconds"], found["start_from_rows_seconds"], "from the rows", "", 5, lower_is_better=True),
        # Measured alone; there is nothing that they are to reach.
        harness.row("bringing in, embedding by passages and sentences", "passages/s", found["ingest_with_model_per_second"], *none, 0),
        harness.row("bringing in, all but embedding", "passages/s", found["ingest_without_model_per_second"], *none, 0),
    ]
