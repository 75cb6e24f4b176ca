"""What every benchmark shares: building, peers, alternating runs, the table and the JSON file."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[1]
OUT = SOURCE / "build" / "bench"


def arguments(description, threads=None, sections=False):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer runs of the same work")
    if threads is not None:
        parser.add_argument("--threads", type=int, default=threads, help=f"of either side (default {threads}); one where the machine has other work")
    if sections or threads is not None:
        what = "sections" if sections else "rows"
        parser.add_argument("--rows", metavar="PATTERN", help=f"only {what} whose name has this regular expression")
        parser.add_argument("--list", action="store_true", help=f"print the names of the {what} and measure nothing")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def build(*targets):
    """Builds targets of the release preset and returns the build folder."""
    folder = SOURCE / "build" / "release"
    say(f"building {', '.join(targets)}")
    if not (folder / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=SOURCE, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "--target", *targets], check=True, stdout=subprocess.DEVNULL)
    return folder


def npm(package, version):
    """Installs one npm package, without its dependencies' scripts, and returns its folder."""
    folder = OUT / "npm" / package.replace("/", "_").replace("@", "")
    installed = folder / "node_modules" / package
    if not installed.exists() or json.loads((installed / "package.json").read_text())["version"] != version:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        say(f"installing {package} {version}")
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", f"{package}@{version}"], cwd=folder, check=True,
                       stdout=sys.stderr)
    return installed


def pip(*requirements, environment=None):
    """Installs packages into the benchmarks' own environment, once."""
    done = OUT / "venv" / "installed.json"
    installed = json.loads(done.read_text()) if done.exists() else []
    missing = [r for r in requirements if r not in installed]
    if missing:
        say(f"installing {', '.join(missing)}")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *missing], check=True, stdout=sys.stderr, env={**os.environ, **(environment or {})})
        done.write_text(json.dumps(installed + missing))


def model(name, pattern):
    """A default model's file, or an exit with what to do."""
    folder = pathlib.Path(os.environ.get("STOA_TEST_MODELS", SOURCE / "build" / "models"))
    found = next(iter(sorted((folder / name).glob(pattern))), None)
    if found is None:
        sys.exit(f"{folder / name} has no {pattern}: run ./check once, or set STOA_TEST_MODELS to a folder that holds the models")
    return found


def alternate(runs, *measures):
    """Calls the measures in turn, `runs` times each: neighbours of this machine disturb all of them alike. Returns one list of results each."""
    results = [[] for _ in measures]
    for index in range(runs):
        # Every other round in the opposite order, so that nobody always runs on what the other left in the caches.
        order = range(len(measures)) if index % 2 == 0 else reversed(range(len(measures)))
        for m in order:
            results[m].append(measures[m]())
    return results


def row(name, unit, ours, theirs, peer_name, peer_version, aim, lower_is_better=False, absolute=False):
    """A row of the table from runs (higher is better unless said). `theirs` may be empty: then `aim` is absolute, for our median. With
    `absolute` it is so although a peer stands beside."""
    stoa = statistics.median(ours)
    peer = statistics.median(theirs) if theirs else None
    ratio = None if peer is None else (peer / stoa if lower_is_better else stoa / peer)
    met = ratio >= aim if ratio is not None and not absolute else (stoa <= aim if lower_is_better else stoa >= aim)
    spread = {"stoa": [min(ours), max(ours)]} | ({"peer": [min(theirs), max(theirs)]} if theirs else {})
    return {"row": name, "unit": unit, "stoa": stoa, "peer": peer, "peer_name": peer_name, "peer_version": peer_version, "ratio": ratio, "aim": aim,
            "met": met, "runs": len(ours), "spread": spread}


def report(area, rows):
    """Prints the table and writes build/bench/AREA.json."""
    number = lambda x: "-" if x is None else f"{x:.4g}"  # noqa: E731
    head = ("row", "unit", "stoa", "peer", "peer name", "ratio", "aim", "met")
    lines = [(r["row"], r["unit"], number(r["stoa"]), number(r["peer"]), f"{r['peer_name']} {r['peer_version']}".strip() or "-", number(r["ratio"]),
              number(r["aim"]), "yes" if r["met"] else "no") for r in rows]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    for line in [head, *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    say(f"written: {write(area, rows).relative_to(SOURCE)}")


def write(area, rows):
    """Writes build/bench/AREA.json: what long runs have so far."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{area}.json"
    path.write_text(json.dumps(rows, indent=1) + "\n")
    return path
