"""What governance adds to a request: end to end over loopback HTTP and part by part, in a small installation and in a large one.

The large one has 100,000 keys, 10,000 rules and 10 million audit entries (`--quick`: 100,000); it is made once, in build/bench/governance, which
takes some minutes and about 5 GB.
"""

import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402

KEYS, RULES = 100_000, 10_000


def main():
    quick = harness.arguments(__doc__).quick
    entries = 100_000 if quick else 10_000_000
    program = harness.build("overhead_bench") / "bench" / "governance" / "overhead_bench"
    homes = harness.OUT / "governance"

    def measure(name, *more):
        command = [program, "--home", homes / name, "--roles", harness.SOURCE / "share" / "roles.policy", "--requests", "2000" if quick else "5000", *more]
        return json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE).stdout)

    large = lambda *more: measure(f"large-{entries}", "--keys", KEYS, "--rules", RULES, "--entries", entries, *more)  # noqa: E731
    large()  # makes it, and warms the system's cache of its pages
    *runs, strange = harness.alternate(3 if quick else 7, lambda: measure("small"), large, lambda: large("--strange-keys"))
    rows = []

    def row(name, unit, values, aim):
        rows.append(harness.row(name, unit, values, [], "", "", aim=aim, lower_is_better=True))

    for size, results in zip(("small", "large"), runs):
        for q in ("p50", "p99"):
            row(f"added to a request, {q}, {size} installation", "us", [r[f"governed_{q}"] - r[f"bare_{q}"] for r in results], 60)
    for q in ("p50", "p99"):
        small_us, large_us = ([r[f"governed_{q}"] - r[f"bare_{q}"] for r in results] for results in runs)
        row(f"change by size, {q}", "%", [100 * (b / a - 1) for a, b in zip(small_us, large_us)], 20)
    row("added to a request, p50, large installation, keys that were not remembered at the start", "us", [r["governed_p50"] - r["bare_p50"] for r in strange], 60)
    for part, aim in (("path", 60), ("identity", 60), ("decision", 20), ("limits", 60), ("audit", 200)):
        for size, results in zip(("small", "large"), runs):
            name = "the whole path without HTTP" if part == "path" else f"{part} alone"
            row(f"{name}, p99, {size} installation", "us", [r[f"{part}_p99"] for r in results], aim)
    for question in ("principal", "resource", "action", "trace", "time"):
        row(f"100 entries by {question} of {entries:,}, p99", "ms", [r[f"by_{question}_p99"] / 1000 for r in runs[1]], 100)
    for q in ("p50", "p99"):
        row(f"for comparison: a request without governance, {q}", "us", [r[f"bare_{q}"] for r in runs[0]], 1000)
    harness.report("governance", rows)


if __name__ == "__main__":
    main()
