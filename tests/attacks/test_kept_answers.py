"""What a project's cache keeps is found by that project alone: exact, alike, at the same time, and of embeddings."""
import threading

import pytest

from stoa_server import CHAT, EMBED

SETTINGS = {"text": "{answers: all, semantic: {threshold: 0.5}, embeddings: true}"}


@pytest.fixture(scope="module", autouse=True)
def kept(world):
    if not world.server.has_models:
        pytest.skip("no models")
    managers = [world.adam, world.boris]
    for caller in managers:
        caller.ok("PUT", "/v1/stoa/cache", SETTINGS)
    yield
    for caller in managers:
        caller.ok("DELETE", "/v1/stoa/cache")


def ask(caller, text, **headers):
    answer = caller.call("POST", "/v1/chat/completions", {"model": CHAT, "messages": [{"role": "user", "content": text}], "max_tokens": 6, "temperature": 0}, headers=headers)
    assert answer.status == 200, answer
    return answer.headers.get("x-stoa-cache"), answer


def test_another_tenant_finds_nothing(world):
    text = "Which florins does the garden pay in April?"
    first, again = ask(world.olga, text), ask(world.peter, text)
    assert (first[0], again[0]) == ("miss", "hit"), "within the project it is shared"
    own = set()
    for caller, words in ((world.nora, text), (world.dora, text), (world.dora, "Which florins does the garden pay in June?"), (world.boris, text + " ")):
        kind, answer = ask(caller, words)
        if caller is world.nora or not own:
            assert kind not in ("hit", "semantic", "shared"), (caller.name, kind)
        # What it finds are answers to its own tenant's questions.
        source = answer.headers.get("x-stoa-cache-source")
        assert source is None or source in own, (caller.name, kind)
        assert first[1].headers["x-request-id"] not in answer.text + str(answer.headers)
        if caller is not world.nora:
            own.add(answer.headers["x-request-id"])
    key = first[1].headers["x-stoa-cache-key"]
    purge = world.dora.call("POST", "/v1/stoa/cache/purge", {"key": key})
    assert purge.status in (403, 404) or purge.json["purged"] == 0
    assert ask(world.olga, text)[0] == "hit", "nor does it forget it"


def test_nor_what_is_on_its_way(world):
    text, kinds = "Tell a long tale of a garden and of those who keep it.", {}
    gate = threading.Barrier(2)

    def run(caller):
        gate.wait()
        kinds[caller.name] = ask(caller, text)[0]

    threads = [threading.Thread(target=run, args=(caller,)) for caller in (world.olga, world.dora)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds["dora"] in (None, "miss"), kinds


def test_nor_embeddings(world):
    body = {"model": EMBED, "input": "the victim's very own words"}
    world.olga.ok("POST", "/v1/embeddings", body)
    assert world.olga.ok("POST", "/v1/embeddings", body)["usage"]["stoa"]["cache"]["kind"] == "exact"
    assert "cache" not in world.dora.ok("POST", "/v1/embeddings", body)["usage"]["stoa"]


def test_low_roles_neither_change_nor_empty_it(world):
    for caller in (world.olga, world.vera):
        for method, path, body in (("PUT", "/v1/stoa/cache", SETTINGS), ("DELETE", "/v1/stoa/cache", None), ("POST", "/v1/stoa/cache/purge", {"all": True}), ("POST", "/v1/stoa/cache/rollback", {"version": 1})):
            assert caller.call(method, path, body).status == 403, (caller.name, method, path)
