"""The soak: requests at 70 % of what the gateway can do, through a route with a fallback, to upstreams that fail in every way at random. Memory has to
stay flat, and the ledger has to be what the upstream served, request by request."""
import collections
import pathlib
import sqlite3
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
import sides  # noqa: E402

FIRST, SECOND = "flaky-16-200", "flaky-12-50"  # one request in five fails at the first, one in twenty at the other
ROUTE = f"choose: ordered\nattempts: 2\ntargets: [{{provider: up, model: {FIRST}}}]\nfallback: [{{provider: other, model: {SECOND}}}]"


def record_of(path):
    """The load's own: id -> (the gateway's request id, status, outcome)."""
    with open(path) as lines:
        return {line[0]: tuple(line[1:]) for line in (text.split() for text in lines)}


def ledger_of(home):
    """request id -> what was paid for it: (model, prompt tokens, completion tokens), sorted."""
    rows = collections.defaultdict(list)
    with sqlite3.connect(f"file:{home / 'stoa.db'}?mode=ro", uri=True) as database:
        for request, model, prompt, completion in database.execute("SELECT request, model, input_tokens, output_tokens FROM usage_ledger"):
            rows[request].append((model, prompt, completion))
    return {request: sorted(of) for request, of in rows.items()}


def compare(upstream, records, ledger):
    """What each request was served, and what was paid for it. Returns (requests, those where the two differ, examples)."""
    served = collections.defaultdict(list)
    for request, model, outcome, prompt, completion in upstream.account():
        served[request]  # asked, even if nothing came of it
        if outcome != "refused" and completion > 0:
            served[request].append((("up/" if model == FIRST else "other/") + model, prompt, completion))
    wrong = []
    for request, (gateway_id, status, outcome) in records.items():
        owed, paid = sorted(served.get(request, [])), ledger.get(gateway_id, [])
        if owed != paid:
            wrong.append(f"{request} ({status} {outcome}): served {owed}, paid {paid}")
    return len(records), len(wrong), wrong[:5]


def soak(minutes):
    build = harness.build("stoa", "gateway_load", "gateway_upstream")
    load, upstream = sides.Load(build), sides.Upstream(build)
    stoa = sides.Stoa(upstream, build, (FIRST, SECOND), {"robust": ROUTE})
    rows = []

    def row(name, unit, values, aim, lower=True):
        rows.append(harness.row(name, unit, values, [], "", "", aim=aim, lower_is_better=lower))

    try:
        whole, streamed = (sides.chat(stoa, "robust", stream=stream) for stream in (False, True))
        records = [sides.FOLDER / f"record-{i}" for i in range(4)]
        before = time.monotonic()
        capacity = load(stoa, whole, clients=16, seconds=5, record=records[0])["rate"]
        capacity = min(capacity, load(stoa, streamed, clients=16, seconds=5, record=records[1])["rate"])
        harness.say(f"{capacity:.0f} requests a second at most; {minutes:g} minutes at 70 % of it")
        runs = [load.begin(stoa, body, clients=64, seconds=60 * minutes, rate=round(0.35 * capacity, 1), record=file) for body, file in zip((whole, streamed), records[2:])]
        memory = []
        while any(run.poll() is None for run in runs):
            memory.append(sides.resident_mb(stoa.process))
            if len(memory) % 30 == 0:
                harness.say(f"{(time.monotonic() - before) / 60:.0f} min: {memory[-1]:.1f} MB")
            time.sleep(min(10, minutes * 60 / 24))
        results = [load.end(run) for run in runs]
        stoa.stop()  # which carries over what was written behind the answers
        count, differing, examples = compare(upstream, {key: value for file in records for key, value in record_of(file).items()}, ledger_of(stoa.home))
        for example in examples:
            harness.say(f"ledger and upstream differ: {example}")
        quarter = len(memory) // 4
        early, late = statistics.median(memory[quarter:2 * quarter]), statistics.median(memory[-quarter:])
        row(f"soak of {minutes:g} minutes: growth of memory from the second quarter to the last", "%", [100 * (late / early - 1)], 5)
        row(f"soak: resident memory in the last quarter, of {early:.1f} MB", "MB", [late], 1000)
        row("soak: requests whose ledger is not what the upstream served", f"of {count:,}", [differing], 0)
        row("soak: answers that ended without their end or an error", f"of {count:,}", [sum(r["cut"] for r in results)], 0)
        row("soak: requests that were answered whole", "share", [sum(r["whole"] for r in results) / sum(r["whole"] + r["errors"] + r["cut"] for r in results)], 0.9, lower=False)
        row("soak: requests a second", "1/s", [sum(r["rate"] for r in results)], 0, lower=False)
    finally:
        stoa.stop()
        upstream.stop()
    harness.report("gateway-soak", rows)
