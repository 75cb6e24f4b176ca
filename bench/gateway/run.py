"""The gateway between a load and an upstream that answers at once, beside nginx, LiteLLM and Portkey in the same run; and a soak with failing upstreams.

Of two cores the gateway has one, load and upstream share the other. All gateways are asked by the same client, in turn.
"""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
import sides  # noqa: E402
from sides import chat  # noqa: E402
from soak import soak  # noqa: E402

MODELS = ("answer-16", "answer-1", "paced-200-2000", "paced-60-200000")


def checked(result, what):
    if result["errors"] or result["cut"] or not result["whole"]:
        sys.exit(f"{what}: {result['whole']} answers, {result['errors']} errors, {result['cut']} cut off")
    return result


class Table:
    def __init__(self, quick, peers):
        self.quick = quick
        self.rows = []
        build = harness.build("stoa", "gateway_load", "gateway_upstream")
        self.load = sides.Load(build)
        self.upstream = sides.Upstream(build)
        self.direct = sides.Side(self.upstream)
        self.stoa = sides.Stoa(self.upstream, build, MODELS)
        kinds = {"nginx": sides.Nginx, "litellm": sides.LiteLlm, "portkey": sides.Portkey}
        self.peers = [kinds[name](self.upstream) for name in peers]
        self.gateways = [self.stoa, *self.peers]
        for side in self.gateways:
            side.wait_ready()

    def stop(self):
        for side in [*self.gateways, self.upstream]:
            side.stop()

    def ask(self, side, body, **options):
        return checked(self.load(side, body, **options), side.name)

    def alternate(self, measure, of=None):
        """Runs of direct and of each gateway in turn: [results of direct, of Stoa, of each peer]."""
        who = [self.direct, *(of or self.gateways)]
        return harness.alternate(3 if self.quick else 7, *((lambda side=side: measure(side)) for side in who))

    def add(self, name, unit, ours, theirs, side, aim, lower=True, absolute=False):
        peer = (side.name, side.version) if side is not None else ("", "")
        self.rows.append(harness.row(name, unit, ours, theirs, *peer, aim=aim, lower_is_better=lower, absolute=absolute))

    def added(self, name, of, results, most, scale=1.0, unit="us", gateways=None):
        """Rows of what a gateway adds to direct: against an aim of its own, and against each peer."""
        direct, stoa, *peers = [[of(result) / scale for result in side] for side in results]
        more = lambda side: [a - b for a, b in zip(side, direct)]  # noqa: E731
        self.add(name, unit, more(stoa), [], None, most)
        for side, values in zip((gateways or self.gateways)[1:], peers):
            self.add(name, unit, more(stoa), more(values), side, 0.5 if side.name == "nginx" else 20)

    # ---- Rows

    def one_client(self):
        size = lambda side: 400 if side.name in ("LiteLLM", "Portkey") else 3000  # noqa: E731
        results = self.alternate(lambda side: self.ask(side, chat(side, "answer-16"), requests=size(side), warmup=size(side) // 5))
        for q, most in (("p50", 100), ("p99", 250)):
            self.added(f"added latency at one client, {q}", lambda r, q=q: r["latency"][q], results, most)
        self.add("for comparison: latency of the upstream without a gateway, p50", "us", [r["latency"]["p50"] for r in results[0]], [], None, 1000)

    def large_bodies(self):
        results = self.alternate(lambda side: self.ask(side, chat(side, "answer-16", prompt_bytes=400_000), requests=250, warmup=50), of=[self.stoa, *self.peers[:1]])
        self.added("added latency with bodies of 400 KB, p99", lambda r: r["latency"]["p99"], results, 5, 1000, "ms", [self.stoa, *self.peers[:1]])

    def saturation(self):
        """Requests for a second of the gateway's own processor time: what shares its core does not count."""
        def measure(side):
            before = sides.cpu_seconds(side.process)
            result = self.ask(side, chat(side, "answer-16"), clients=16, seconds=3 if self.quick else 8)
            return result["whole"] / max(0.01, sides.cpu_seconds(side.process) - before), result["rate"]
        results = harness.alternate(2 if self.quick else 5, *((lambda side=side: measure(side)) for side in self.gateways))
        stoa, *peers = [[r[0] for r in runs] for runs in results]
        for side, values in zip(self.peers, peers):
            self.add("requests a second of a core, 16 clients", "1/s", stoa, values, side, 0 if side.name == "nginx" else 20, lower=False)
        for side, runs in zip(self.peers, results[1:]):
            self.add("requests a second as they came, 16 clients", "1/s", [r[1] for r in results[0]], [r[1] for r in runs], side, 0 if side.name == "nginx" else 20, lower=False)

    def streams(self):
        size = lambda side: 300 if side.name in ("LiteLLM", "Portkey") else 2000  # noqa: E731
        those = [side for side in self.gateways if side.streams]
        results = self.alternate(lambda side: self.ask(side, chat(side, "answer-16", stream=True), requests=size(side), warmup=size(side) // 5), those)
        for q, most in (("p50", 100), ("p99", 250)):
            self.added(f"added time to the first token, {q}", lambda r, q=q: r["first"][q], results, most, gateways=those)
        results = self.alternate(lambda side: self.ask(side, chat(side, "paced-200-2000", stream=True), requests=4, clients=2), those)
        for q in ("p50", "p99"):
            self.added(f"added to each event of a stream, {q}", lambda r, q=q: r["frames"][q], results, 100, gateways=those)

    def many_streams(self, count=1000):
        side = self.stoa
        runs = []
        for _ in range(2 if self.quick else 3):
            before = sides.resident_mb(side.process)
            load = self.load.begin(side, chat(side, "paced-60-200000", stream=True), clients=count, requests=count)
            time.sleep(4)
            early = sides.resident_mb(side.process)
            time.sleep(6)
            late = sides.resident_mb(side.process)
            result = checked(self.load.end(load), "1,000 streams")
            time.sleep(1)
            runs.append((before, early, late, sides.resident_mb(side.process), result))
        direct = self.ask(self.direct, chat(self.direct, "paced-60-200000", stream=True), clients=count, requests=count)
        self.add(f"{count:,} open streams: memory for each", "KB", [1000 * (run[2] - run[0]) / count for run in runs[:1]], [], None, 200)
        self.add(f"{count:,} open streams: growth of memory between 4 s and 10 s", "%", [100 * (late / early - 1) for _, early, late, _, _ in runs], [], None, 5)
        self.add(f"{count:,} open streams: growth of memory from the first run to the last", "%", [100 * (runs[-1][3] / runs[0][3] - 1)], [], None, 5)
        self.add(f"{count:,} open streams: events of the slowest when the fastest has ended, of the fastest's", "share", [r["least_frames"] / r["most_frames"] for *_, r in runs], [], None, 0.9, lower=False)
        for q in ("p50", "p99"):
            self.add(f"{count:,} open streams: added to each event, {q}", "ms", [(r["frames"][q] - direct["frames"][q]) / 1000 for *_, r in runs], [], None, 50)

    def memory(self, idle):
        for side in self.peers:
            self.add("resident memory, idle", "MB", [idle[self.stoa]], [idle[side]], side, 0)
            self.add("resident memory, after all of this", "MB", [sides.resident_mb(self.stoa.process)], [sides.resident_mb(side.process)], side, 0)

    def run(self, only):
        idle = {side: sides.resident_mb(side.process) for side in self.gateways}
        for name in ("one_client", "streams", "large_bodies", "saturation", "many_streams"):
            if not only or name in only:
                harness.say(f"measuring: {name.replace('_', ' ')}")
                getattr(self, name)()
        if not only or "memory" in only:
            self.memory(idle)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs of the same work")
    parser.add_argument("--soak", metavar="MINUTES", type=float, nargs="?", const=20, help="instead of the table: so long at 70 %% load with upstreams that fail (default 20)")
    parser.add_argument("--peers", default="nginx,litellm,portkey", help="which of nginx, litellm and portkey stand beside; the first also for bodies of 400 KB")
    parser.add_argument("--rows", default="", help="only these, of one_client, streams, large_bodies, saturation, many_streams and memory; with commas between")
    arguments = parser.parse_args()
    if arguments.soak is not None:
        return soak(arguments.soak)
    table = Table(arguments.quick, [name for name in arguments.peers.split(",") if name])
    try:
        table.run([name for name in arguments.rows.split(",") if name])
    finally:
        table.stop()
    harness.report("gateway", table.rows)


if __name__ == "__main__":
    main()
