"""Rows of a start: a collection from its sealed snapshot, mapped and opened by all cores, to the first answer; once with vectors alone."""

import subprocess

import harness
import passages
import vectors


def sections(quick):
    count = 20_000 if quick else 1_000_000
    return [(f"start from a snapshot, {count // 1000}k passages", lambda: rows(count))]


def rows(count):
    program = harness.build("start_bench") / "bench" / "retrieval" / "start_bench"
    base = vectors.folder_of("clustered", count) / "base.f32"
    done = subprocess.run([str(c) for c in (program, base, passages.passages(1_000_000), "--count", count, "--work", harness.OUT)], check=True, stdout=subprocess.PIPE, text=True)
    found = {name: [float(value)] for name, value in (line.split() for line in done.stdout.splitlines())}
    none, label = ([], "", ""), f"sealed snapshot of {count // 1000}k passages, {found['threads'][0]:.0f} cores"
    return [
        harness.row(f"{label}, to the first answer, vectors alone", "s", found["start_with_vectors_seconds"], *none, 0.2 * count / 1_000_000, lower_is_better=True),
        harness.row(f"{label}, to the first answer, words and vectors", "s", found["start_with_words_and_vectors_seconds"], *none, 2 * count / 1_000_000, lower_is_better=True),
        harness.row(f"{label}, written", "s", found["save_seconds"], *none, 10 * count / 1_000_000, lower_is_better=True),
    ]
