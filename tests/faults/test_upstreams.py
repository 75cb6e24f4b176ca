"""Upstreams that die, hang and talk nonsense at every moment of an answer, for every dialect, plain and streamed, with and without a target to fall back to:
the next target is taken as long as nothing was sent, else the caller is told in its dialect's own way; never a bare end, never a made-up
success. And the ledger is what the upstreams served, request by request."""
import collections
import concurrent.futures
import itertools
import json
import random
import sqlite3
import urllib.request

import pytest

from dialects import DIALECTS, ask
from replays import AWS_KEYS
from stoa_server import Stoa, free_port
from upstreams import AFTER, BEFORE, HANGS, PROMPT, WORDS, Upstream

FAMILIES = {"openai": "/v1", "anthropic": "", "bedrock": "", "vertex": "/v1beta", "sagemaker": ""}
WITHOUT_PROMPTS = ("anthropic", "bedrock", "vertex")  # a prompt without turns is nothing that they take
MOMENTS = ("refused", *BEFORE, *AFTER, *HANGS)
PRICE = "per_compute_second: 0\n    per_million_input_tokens: 1000000\n    per_million_cached_tokens: 0\n    per_million_output_tokens: 2000000\n"


class World:
    def __init__(self, folder, upstream):
        self.upstream = upstream
        closed = f"http://127.0.0.1:{free_port()}"
        prices = folder / "prices.yaml"
        names = [*FAMILIES, *(f"{family}-gone" for family in FAMILIES), "spare"]
        prices.write_text('currency: USD\nas_of: "2026-11-21"\nsource: test\nprices:\n' + "".join(f'  - model: "{name}/*"\n    {PRICE}' for name in names))
        self.server = Stoa(folder / "home", models=False, environment={"STOA_EGRESS_PROVIDERS": f"{upstream.url}, {closed}", "STOA_COST_PRICES": str(prices), "STOA_SERVER_WORKERS": "256"})
        self.server.start()
        self.admin, self.key = self.server.key("ada", "admin"), self.server.key("ann")
        self.models = collections.defaultdict(list)
        self.closed = closed

    def provide(self):
        """Adds the providers with all the models that were thought of."""
        for name, models in self.models.items():
            family = name.removesuffix("-gone").replace("spare", "openai")
            url = (self.closed if name.endswith("-gone") else self.upstream.url) + FAMILIES[family]
            words = [word for model in models for word in ("--model", f"{model}=8192")]
            region = ["--option", "region=eu-1"] if family in ("bedrock", "sagemaker") else []
            self.server.cli("providers", "add", name, "--family", family, "--url", url, *words, *region, key=self.admin)
            if region:
                self.server.cli("providers", "set-key", name, key=self.admin, typed=AWS_KEYS)

    def route(self, name, text):
        fields = {"Authorization": f"Bearer {self.admin}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.server.url}/v1/stoa/model-routes/{name}", json.dumps({"text": text}).encode(), fields, method="PUT")
        urllib.request.urlopen(request, timeout=20).read()

    def ledger(self):
        """Request -> what was paid for it. The server has stopped: what was written behind is there."""
        rows = collections.defaultdict(list)
        with sqlite3.connect(self.server.home / "stoa.db") as database:
            for request, model, prompt, completion in database.execute("SELECT request, model, input_tokens, output_tokens FROM usage_ledger"):
                rows[request].append((model.split("/", 1)[1], prompt, completion))
        return rows


@pytest.fixture
def world(tmp_path):
    made = []

    def make(*arguments):
        made.append(World(tmp_path, Upstream(*arguments)))
        return made[0]

    yield make
    for each in made:
        each.server.stop()
        each.upstream.stop()


def owed(served):
    return sorted((each.model, each.prompt, each.completion) for each in served if each.completion > 0)


def expected(moment, stream, chain):
    """(statuses, text, how it ended)"""
    whole, part = "".join(WORDS), "".join(WORDS[:2])
    said = whole if moment == "noend" else part
    after = moment in AFTER or moment == "stall"
    if after and stream:
        return {200}, said, "error"
    if chain and moment not in HANGS:  # which take all the time that there is
        return {200}, whole, "whole"
    return ({504} if moment in HANGS else {429} if moment == "s429" else {502, 503}), "", "error"


def test_every_moment_in_every_dialect(world):
    world = world()
    cases = []
    for family, moment, dialect, stream, chain in itertools.product(FAMILIES, MOMENTS, DIALECTS, (False, True), (False, True)):
        if family in WITHOUT_PROMPTS and dialect.name == "completions":
            continue
        provider = f"{family}-gone" if moment == "refused" else family
        model = f"{moment}.{family}.{dialect.name}"  # of four requests: a target that fails five times is left alone
        if model not in world.models[provider]:
            world.models[provider].append(model)
        cases.append((family, moment, dialect, stream, chain, provider, model))
    world.models["spare"] = ["fine"]
    world.provide()
    for provider, models in world.models.items():
        for model in models if provider != "spare" else ():
            world.route(model, f"choose: ordered\nattempts: 2\ntargets: [{{provider: {provider}, model: {model}}}]\nfallback: [{{provider: spare, model: fine}}]")

    def run(case):
        number, (family, moment, dialect, stream, chain, provider, model) = case
        headers = {"x-stoa-timeout-ms": "4000"} if moment in HANGS else {}
        return ask(world.server.port, world.key, dialect, dialect.body(model if chain else f"{provider}/{model}", f"id=case{number} say it", stream), headers)

    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        outcomes = list(pool.map(run, enumerate(cases)))
    world.server.stop()
    ledger = world.ledger()
    wrong = []
    for number, ((family, moment, dialect, stream, chain, *_), outcome) in enumerate(zip(cases, outcomes)):
        name = f"{family} {moment} {dialect.name} {'stream' if stream else 'plain'} {'chain' if chain else 'single'}"
        statuses, text, ended = expected(moment, stream, chain)
        if outcome.status not in statuses or outcome.text != text or outcome.ended != ended:
            wrong.append(f"{name}: {outcome}, not {statuses} {ended} {text!r}")
        served = world.upstream.served[f"case{number}"]
        if sorted(ledger[outcome.request]) != owed(served):
            wrong.append(f"{name}: served {served}, paid {ledger[outcome.request]}")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:30])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_ledger_is_what_the_upstreams_served(world, seed):
    """Random requests: dialects, streams, alternatives, faults on the way, callers who leave."""
    chance = random.Random(seed)
    moments = [chance.choice(("fine", "fine", "fine", *BEFORE, *AFTER)) for _ in range(4096)]

    def moment_of(model, request):
        return "fine" if model == "sure" else moments[(int(request[1:]) * 7 + len(model)) % len(moments)]

    world = world(moment_of)
    for name in (*FAMILIES, "spare"):
        world.models[name] = [f"shaky{'x' * i}" for i in range(8)] + ["sure"]
    world.provide()
    for i in range(8):
        first, second = chance.sample([*FAMILIES], 2)
        world.route(f"route{i}", f"choose: ordered\nattempts: 3\ntargets: [{{provider: {first}, model: shaky{'x' * i}}}]\n"
                    f"fallback: [{{provider: {second}, model: shaky{'x' * i}}}, {{provider: spare, model: sure}}]")

    def plan(number):
        dialect = chance.choice(DIALECTS)
        body = dialect.body(f"route{chance.randrange(8)}", f"id=r{number} say it", chance.random() < 0.5)
        if dialect.name == "chat":
            body["n"] = chance.choice((1, 1, 2, 3))
        return dialect, body, chance.randrange(1, 400) if body["stream"] and chance.random() < 0.15 else None

    plans = [plan(number) for number in range(400)]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(lambda each: ask(world.server.port, world.key, each[0], each[1], leave_after=each[2]), plans))
    world.server.stop()
    ledger = world.ledger()
    wrong = []
    for number, ((dialect, body, _), outcome) in enumerate(zip(plans, outcomes)):
        assert outcome.ended != "bare", outcome
        served, paid = world.upstream.served[f"r{number}"], ledger[outcome.request]
        total = lambda rows: tuple(map(sum, zip(*((prompt, completion) for _, prompt, completion in rows)))) or (0, 0)  # noqa: E731
        # Who leaves, and an alternative that fails, ends what is under way: of that the upstream may have sent more than was read, and had the prompt.
        stopped = outcome.ended == "left" or (body.get("n", 1) > 1 and outcome.ended == "error")
        most = PROMPT * len(served), sum(each.completion for each in served)
        fits = total(paid) == total(owed(served)) or (stopped and all(one <= other for one, other in zip(total(paid), most)))
        if not fits:
            wrong.append(f"{dialect.name} n={body.get('n', 1)} stream={body['stream']} {outcome}: served {served}, paid {paid}")
    assert not wrong, f"{len(wrong)} of {len(plans)}:\n" + "\n".join(wrong[:20])
    assert sum(outcome.ended == "whole" for outcome in outcomes) > len(plans) / 4, "most are answered"
    assert PROMPT * 100 < sum(prompt for rows in ledger.values() for _, prompt, _ in rows)
