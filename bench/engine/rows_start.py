"""Memory with eight requests under way, and the time from a cold start to the first token."""

import pathlib
import time

import harness
import models
import sides
from models import SMALL, title
from sides import Row

SLOTS, PROMPT, TOKENS = 8, 512, 32
MEMORY_AIM = 1 / 0.6  # ratios are above 1 where Stoa is ahead
COLD_STARTS = {"smollm2": 0.5, f"{SMALL}:Q4_0": 1.0}


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def memory(context, name, model):
    """Resident bytes, mapped pages of the file included, after eight requests at the same time."""
    length = PROMPT + TOKENS + 128
    with context.peer(model, length, SLOTS, True) as on, context.peer(model, length, SLOTS, False) as off, context.engine(model, sequences=SLOTS) as engine:
        prompts = [context.prompt(on, PROMPT) for _ in range(SLOTS)]
        sides.our_decode(engine, [text for text, _ in prompts], TOKENS)
        theirs = []
        for peer in (on, off):
            sides.their_decode(peer, [ids for _, ids in prompts], TOKENS)
            theirs.append([peer.ask(resident=True)["bytes"] * 1e-6])
        ours = [resident(engine.process.pid) * 1e-6]
    return [sides.compare(name, "MB", ours, *theirs, MEMORY_AIM, lower_is_better=True)]


def cold_start(context, name, model, aim):
    """From starting the process to its first token, with the file in the page cache."""
    context.model(model).read_bytes()
    times = []
    for _ in range(context.runs):
        begin = time.perf_counter()
        with context.engine(model) as engine:
            engine.ask(**sides.request("Hello", 1))
            times.append(time.perf_counter() - begin)
    return [harness.row(name, "s", times, [], "", "", aim, lower_is_better=True)]


def rows(context):
    memory_name = f"resident memory, {SLOTS} requests of {PROMPT} tokens, {title(SMALL + ':Q8_0')}"
    found = [Row(memory_name, lambda: memory(context, memory_name, f"{SMALL}:Q8_0"))]
    for model, aim in COLD_STARTS.items():
        name = f"cold start to first token, {title(model)}"
        found.append(Row(name, lambda n=name, m=model, a=aim: cold_start(context, n, m, a), quick=True))
    return found
