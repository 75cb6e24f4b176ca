"""Limits hold for whom they are set, and nobody uses up, sees or changes those of others."""
import pytest

from stoa_server import EMBED


@pytest.fixture(scope="module", autouse=True)
def needs_models(world):
    if not world.server.has_models:
        pytest.skip("no models")


@pytest.fixture
def victims_limits(world):
    who = world.olga.ok("GET", "/v1/stoa/whoami")["principal"]
    world.adam.ok("PUT", "/v1/stoa/limits/hers", {"text": f"limits: [{{per: user, principals: [{who}], requests_per_minute: 3}}]"})
    yield
    world.adam.ok("DELETE", "/v1/stoa/limits/hers")


def embed(caller):
    return caller.call("POST", "/v1/embeddings", {"model": EMBED, "input": "x"})


def test_others_neither_use_up_nor_see_nor_lift_them(world, victims_limits):
    for _ in range(6):
        assert embed(world.dora).status == 200, "another tenant"
        assert embed(world.peter).status == 200, "another user of the project"
    assert [embed(world.olga).status for _ in range(4)] == [200, 200, 200, 429]
    assert world.dora.ok("GET", "/v1/stoa/limits")["data"] == [] and world.dora.call("GET", "/v1/stoa/limits/hers").status == 404
    assert world.dora.ok("GET", "/v1/stoa/limit-standings")["data"] == []
    for caller in (world.dora, world.olga, world.peter):
        for method, path, body in (("DELETE", "/v1/stoa/limits/hers", None), ("PUT", "/v1/stoa/limits/hers", {"text": "limits: [{concurrent: 99}]"}), ("POST", "/v1/stoa/limits/hers/rollback", {"version": 1})):
            assert caller.call(method, path, body).status in (403, 404), (caller.name, method)
    # Whatever a caller says of itself, it is counted by its key.
    assert embed(world.olga).status == 429
    for headers in ({"x-forwarded-for": "9.9.9.9"}, {"x-stoa-purpose": "audit"}, {"openai-organization": "other"}, {"openai-project": "other"}):
        assert world.olga.call("POST", "/v1/embeddings", {"model": EMBED, "input": "x", "user": "somebody"}, headers=headers).status == 429
