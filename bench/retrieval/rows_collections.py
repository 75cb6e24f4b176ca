"""Rows of many small collections in one index: what each takes, and whether the others are felt in a search of one; and of one collection that many people brought in."""

import subprocess

import harness
import passages

COLLECTIONS = 5000


def sections(quick):
    return [("small collections", rows)]


def rows():
    program = harness.build("collections_bench") / "bench" / "retrieval" / "collections_bench"
    none, table = ([], "", ""), []
    for each, bytes_aim in ((1, 8192), (10, 32768)):
        done = subprocess.run([str(c) for c in (program, passages.passages(100_000), "--collections", COLLECTIONS, "--passages", each)], check=True, stdout=subprocess.PIPE, text=True)
        found = {name: [float(value)] for name, value in (line.split() for line in done.stdout.splitlines())}
        label = f"{COLLECTIONS} collections of {each} passage{'s' if each > 1 else ''}"
        table.append(harness.row(f"{label}, memory", "bytes/collection", found["bytes_per_collection"], *none, bytes_aim, lower_is_better=True))
        table.append(harness.row(f"{label}, search of one of them", "us", found["search_beside_us"], found["search_alone_us"], "where it is alone", "", 0.8, lower_is_better=True))
    for owners in (1000, 10_000):
        done = subprocess.run([str(c) for c in (program, passages.passages(100_000), "--owners", owners)], check=True, stdout=subprocess.PIPE, text=True)
        found = {name: [float(value)] for name, value in (line.split() for line in done.stdout.splitlines())}
        for who, reads in (("inside", "all"), ("outside", "half")):
            label = f"{owners} owners of 10 passages in one collection, search by one who may read {reads}"
            table.append(harness.row(label, "us", found[f"many_owners_{who}_us"], found[f"one_owner_{who}_us"], "where one owner has them", "", 0.2, lower_is_better=True))
    return table
