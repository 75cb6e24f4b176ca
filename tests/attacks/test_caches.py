"""What is kept of one tenant's requests helps no other tenant: measured by what the engine says it computed, not by clocks."""
import random
import statistics
import time

import pytest

from stoa_server import CHAT

WORDS = "amber birch cedar delta ember flint grove heron islet juniper kestrel larch maple nettle otter pebble quartz raven sedge thistle umber violet willow yarrow".split()


@pytest.fixture(scope="module", autouse=True)
def needs_models(world):
    if not world.server.has_models:
        pytest.skip("no models")


def prompt(seed):
    """Some two hundred tokens that no other prompt begins with."""
    return " ".join(random.Random(seed).choices(WORDS, k=120))


def chat(caller, text):
    """(cached tokens, prompt tokens, seconds)"""
    started = time.monotonic()
    usage = caller.ok("POST", "/v1/chat/completions", {"model": CHAT, "messages": [{"role": "user", "content": text}], "max_tokens": 1, "temperature": 0})["usage"]
    return usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"], time.monotonic() - started


def completion(caller, text):
    usage = caller.ok("POST", "/v1/completions", {"model": CHAT, "prompt": text, "max_tokens": 1, "temperature": 0})["usage"]
    return usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]


def response(caller, text):
    usage = caller.ok("POST", "/v1/responses", {"model": CHAT, "input": text, "max_output_tokens": 1, "temperature": 0, "store": False})["usage"]
    return usage["input_tokens_details"]["cached_tokens"], usage["input_tokens"]


def test_a_prompt_warmed_by_another_tenant_is_cold(world, record_property):
    cold, warmed_by_other, warm = [], [], []
    shared = max(chat(world.dora, "hi")[0], chat(world.dora, "ho")[0])  # what all prompts begin with, of the template
    for seed in range(2):
        victims, unseen = prompt(seed), prompt(1000 + seed)
        chat(world.olga, victims)
        again = chat(world.olga, victims)
        assert again[0] > again[1] // 2, f"the cache does not work at all: {again}"
        theirs, nobodys = chat(world.dora, victims), chat(world.dora, unseen)
        assert theirs[0] <= shared and nobodys[0] <= shared, f"{theirs} cached of a prompt that another tenant asked; {nobodys} of one that nobody asked"
        warmed_by_other.append(theirs[2]), cold.append(nobodys[2])
        warm.append(chat(world.dora, victims)[2])
    # For whoever reads the report; clocks decide nothing here.
    for name, seconds in (("cold", cold), ("warmed by another tenant", warmed_by_other), ("warm", warm)):
        record_property(f"seconds, {name}", round(statistics.median(seconds), 4))


@pytest.mark.parametrize("ask", [completion, response])
def test_so_is_it_through_every_dialect(world, ask):
    text = prompt(ask.__name__)
    ask(world.olga, text)
    assert ask(world.olga, text)[0] > 50
    assert ask(world.dora, text)[0] <= ask(world.dora, prompt(ask.__name__ + "unseen"))[0] + 16


def test_what_a_tenant_is_charged_tells_nothing(world):
    """Cached tokens in the sums of use are those of one's own prompts."""
    def cached(caller):
        return sum(row["cached_tokens"] for row in caller.ok("GET", "/v1/stoa/usage?by=kind")["data"])

    text = prompt("charged")
    chat(world.olga, text)
    before = cached(world.dora)
    hit = chat(world.dora, text)[0]
    assert cached(world.dora) - before == hit and hit < 50
