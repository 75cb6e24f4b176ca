"""The two sides of a measurement, each a process: the engine behind engine_tool, and llama.cpp with flash attention on and off."""

import dataclasses
import json
import pathlib
import re
import statistics
import subprocess
import sys

import harness
import models

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(harness.SOURCE / "tests" / "models"))
from engine_peer import Engine  # noqa: E402

PEER_VERSION = "3.22.1"  # of the package; its llama.cpp is the release it was built with
PEER_NAME = "llama.cpp (node-llama-cpp)"
OUTBOX = 8         # deltas the engine buffers for a reader
SKIP = OUTBOX + 2  # tokens left out of decoding speeds, on both sides
WORDS = "the and was for are but not you all any can had her his one our out day get has him how man new now old see two way who".split()


class Peer:
    def __init__(self, package, model, threads, context, sequences=1, flash=True, backend=None):
        command = [sys.executable, FOLDER / "peer_process.py", package, model, threads, context, sequences, "on" if flash else "off"]
        self.process = subprocess.Popen([*map(str, command), *([backend] if backend else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.ready = json.loads(self.process.stdout.readline() or "{}")
        if not self.ready.get("ready"):
            raise RuntimeError(f"llama.cpp did not start with {model}: exit code {self.process.wait()}")

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"llama.cpp ended with exit code {self.process.wait()}")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)


@dataclasses.dataclass
class Row:
    """A row that can be measured: `measure(context)` returns rows of harness.row. `quick`: among those of --quick."""
    name: str
    measure: object
    quick: bool = False


class Context:
    """What rows share: options, built programs, models, prompts."""

    def __init__(self, options):
        self.quick, self.threads = options.quick, options.threads
        self.runs = 2 if options.quick else 7
        self.build = harness.SOURCE / "build" / "release"
        self.tool = self.build / "tests" / "models" / "engine_tool"
        self.package = harness.npm("@node-llama-cpp/linux-x64", PEER_VERSION)
        self.variant = 0

    def model(self, name):
        return models.get(self.build, name)

    def engine(self, model, *options, sequences=1, isa="auto", guesses=0):
        """Without guessing unless asked for: it depends on the text, and llama.cpp's side does none."""
        return Engine(self.tool, "--generator", self.model(model), "--threads", self.threads, "--slots", max(8, sequences), "--outbox", OUTBOX,
                      "--isa", isa, "--guess-rows", guesses, *options)

    def peer(self, model, context, sequences=1, flash=True, backend=None):
        return Peer(self.package, self.model(model), self.threads, context, sequences, flash, backend)

    def prompt(self, peer, tokens):
        """A text of so many tokens, and their ids; never the same beginning twice, so that no prefix cache helps."""
        self.variant += 1
        words = [WORDS[(self.variant * 7 + i * (1 + i // 29 + self.variant // 29)) % len(WORDS)] for i in range(tokens)]
        text = f"{self.variant} " + " ".join(words)
        ids = peer.ask(tokenize=text)["ids"]
        while len(ids) > tokens:
            text = text[:text.rindex(" ")]
            ids = peer.ask(tokenize=text)["ids"]
        return text, ids


def bandwidth(engine):
    """GB/s that the machine reads right now."""
    return engine.ask(bandwidth_ms=60)["bytes_per_second"] * 1e-9


def request(text, tokens):
    return {"prompt": text, "max_tokens": tokens, "ignore_eos": True}


def our_prefill(engine, text):
    usage = engine.ask(**request(text, 1))["usage"]
    return usage["prompt_tokens"] / usage["first_token_micros"] * 1e6


def our_decode(engine, texts, tokens):
    # Answers that begin early are up to an outbox ahead when all have begun.
    answer = engine.ask(batch=[request(text, tokens + 2 * SKIP) for text in texts], skip=SKIP)
    return answer["window_tokens"] / answer["window_seconds"]


def their_prefill(peer, ids):
    answer = peer.ask(prompts=[ids], tokens=0, skip=0)
    return answer["prefill_tokens"] / answer["prefill_seconds"]


def their_decode(peer, prompts, tokens):
    answer = peer.ask(prompts=prompts, tokens=tokens + SKIP, skip=SKIP)
    return answer["tokens"] / answer["seconds"]


def best(on, off):
    """The runs of the peer's better setting, and its name."""
    return (on, f"{PEER_NAME}, flash attention on") if statistics.median(on) >= statistics.median(off) else (off, f"{PEER_NAME}, flash attention off")


def compare(name, unit, ours, on, off, aim, lower_is_better=False):
    theirs, peer_name = best([-v for v in on], [-v for v in off]) if lower_is_better else best(on, off)
    theirs = [abs(v) for v in theirs]
    return harness.row(name, unit, ours, theirs, peer_name, PEER_VERSION, aim, lower_is_better)


def matching(rows, pattern, quick):
    return [row for row in rows if (re.search(pattern, row.name) if pattern else row.quick or not quick)]
