"""Start-up time, idle and working memory, binary size of the all-in-one server with both models mapped."""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from conftest import BINARY, Stoa  # noqa: E402


def resident_megabytes(pid, field="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    raise ValueError(field)


def start_once():
    with tempfile.TemporaryDirectory() as home:
        server = Stoa(home)
        server.cli("keys", "create", "--user", "bench")  # migrations are not part of a start
        begin = time.monotonic()
        process = subprocess.Popen([BINARY, "serve", "--port", str(server.port)], env=server.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                with urllib.request.urlopen(server.url + "/readyz", timeout=2) as reply:
                    if reply.status == 200:
                        break
            except OSError:
                time.sleep(0.005)
        ready = time.monotonic() - begin
        time.sleep(0.5)
        idle = resident_megabytes(process.pid)
        anonymous = resident_megabytes(process.pid, "RssAnon")
        process.terminate()
        process.wait(timeout=30)
        return ready, idle, anonymous


def main(quick):
    runs = [start_once() for _ in range(3 if quick else 9)]
    median = lambda column: statistics.median(run[column] for run in runs)
    size = os.path.getsize(BINARY) / 1e6
    row = lambda name, unit, value, aim: {
        "row": name, "unit": unit, "stoa": round(value, 3), "peer": None, "peer_name": None, "peer_version": None,
        "ratio": None, "aim": f"<= {aim}", "met": value <= aim, "runs": len(runs)}
    return [
        row("server ready, both models mapped", "s", median(0), 1.0),
        row("idle resident memory", "MB", median(1), 150),
        row("idle resident memory, anonymous part", "MB", median(2), 150),
        row("binary size", "MB", size, 40),
    ]
