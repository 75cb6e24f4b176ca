"""Every endpoint with somebody else's ids: the answer is the one for ids that name nothing, in every byte that could tell."""
import json
import urllib.parse

import pytest

from attacker import REFUSALS
from routes import IN_BODIES, LISTS, OPEN, OTHERS, OWN, PROJECT, TENANT, WITH_IDS, fill, pattern_of
from world import SECRET

# Those who attack a thing. Where the thing is the whole project's, its members are no attackers.
ATTACKERS = {OWN: ("peter", "vera", "adam", "nora", "boris", "dora", "stranger"), PROJECT: ("nora", "boris", "dora", "stranger"), TENANT: ("peter", "vera", "boris", "dora", "stranger")}


def test_every_route_is_attacked(world):
    served = {(route["method"], route["pattern"]) for route in world.adam.ok("GET", "/v1/stoa/routes")["data"] if not route["pattern"].startswith("/console")}
    assert len(served) > 60, served

    def routes_of(method, path):
        return method, pattern_of(path, {pattern for way, pattern in served if way == method})

    attacked = {routes_of(method, path) for method, path, *_ in WITH_IDS + IN_BODIES}
    attacked |= {routes_of("GET", path) for path in LISTS} | {("GET", path) for path in OPEN}
    attacked |= {(method, path) for method, paths in OTHERS.items() for path in paths}
    assert not served - attacked, f"no attack in routes.py for {sorted(served - attacked)}"
    assert not attacked - served, f"routes.py attacks what is not served: {sorted(attacked - served, key=str)}"


def names_for(world, caller, things):
    own = {f"own {name}": identifier for name, identifier in caller.identity.items()}
    return {"own store": "vs_none", "own file": "file-none", "digest": world.digest} | own | things


def ask(world, caller, method, path, body, things):
    names = names_for(world, caller, things)
    if method == "PUT" and "/blobs/" in path:
        return caller.call(method, fill(path, names), world.job_content)
    return caller.call(method, fill(path, names), fill(body, names))


@pytest.mark.parametrize("method, path, body, whose", WITH_IDS + IN_BODIES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_not_yours_does_not_exist(world, method, path, body, whose):
    for name in ATTACKERS[whose]:
        caller = world.callers[name]
        theirs = ask(world, caller, method, path, body, world.things)
        nothing = ask(world, caller, method, path, body, world.absent)
        things = [*world.things.values()], [*world.absent.values()]
        if "/usage" in path:  # of a project that is not yours
            assert theirs.status in (401, 403, 404), (name, theirs)
        elif "after=" not in path:
            assert theirs.status in (401, 403, 404), (name, theirs)
        assert theirs.without(*things[0]) == nothing.without(*things[1]), f"{name} can tell that it exists: {theirs} but {nothing}"
        if name == "stranger":
            assert theirs.status == 401, theirs
        elif name == "boris" and "/usage" not in path and "after=" not in path and path != "/v1/stoa/documents/{document}/content":  # for whoever has a link
            assert theirs.status == 404, f"an admin may all in their own tenant, so only the wall answers: {theirs}"


def test_the_victim_still_has_everything(world):
    """What was attacked is there, whole and unchanged; run after the attacks above."""
    things = world.things
    for path in ("/v1/files/{file}", "/v1/vector_stores/{store}", "/v1/vector_stores/{store}/files/{file}", "/v1/vector_stores/{store}/file_batches/{batch}", "/v1/responses/{response}",
                 "/v1/stoa/documents/{document}", "/v1/stoa/traces/{trace}", "/v1/stoa/datasets/{dataset}", "/v1/stoa/ingest/jobs/{job}"):
        world.olga.ok("GET", fill(path, things))
    assert world.olga.ok("GET", fill("/v1/vector_stores/{store}", things))["name"] == f"{SECRET}-store"
    assert world.olga.ok("GET", fill("/v1/stoa/ingest/jobs/{job}", things))["status"] == "waiting"
    assert SECRET in [rating["comment"] for rating in world.olga.ok("GET", "/v1/stoa/ratings")["data"]]
    counts = world.olga.ok("GET", fill("/v1/vector_stores/{store}", things))["file_counts"]
    assert counts["total"] == 1, counts


# --- ids that are none

CONFUSABLE = str.maketrans({"e": "\u0435", "i": "\u0456", "s": "\u0455", "d": "\u0501", "_": "\uff3f", "-": "\u2010", **{str(digit): chr(0xff10 + digit) for digit in range(10)}})
MALFORMED = {
    "up": "..%2f..%2f..%2fetc%2fpasswd",
    "dots": "%2e%2e",
    "encoded dots": "%252e%252e%252f",
    "NUL": "%00",
    "NUL behind": "{id}%00",
    "NUL and more": "{id}%00.txt",
    "long": "x" * 3000,
    "very long id": "{id}" + "0" * 2000,
    "one more": "{id}0",
    "one less": "{cut}",
    "upper case": "{upper}",
    "space behind": "{id}%20",
    "space before": "%20{id}",
    "slash behind": "{id}%2f",
    "confusable": "{confusable}",
    "zero width": "{id}%E2%80%8B",
    "right to left": "%E2%80%AE{id}",
    "not UTF-8": "%ff%fe",
    "overlong dot": "%c0%ae%c0%ae",
    "surrogate": "%ed%a0%80",
    "SQL": "' OR '1'='1",
    "SQL comment": "{id}'--",
    "SQL union": "' UNION SELECT hash FROM api_keys --",
    "SQL pattern": "%25",
    "two ids": "{id},{id}",
    "header": "{id}%0d%0aX-Injected:%20yes",
    "format": "%25s%25n{{}}",
    "JSON": "%22%7D%2C%22a%22%3A%7B",
    "number": "-1",
    "null": "null",
}
ROUTES_WITH_IDS = [(method, path) for method, path, body, whose in WITH_IDS if "own" not in path and body is None]


@pytest.mark.parametrize("method, path", ROUTES_WITH_IDS)
def test_malformed_ids_are_refused(world, method, path):
    """As the owner, whom no wall holds back."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    for position in names:
        slow = "/traces/" in path  # a trace that is not there is waited for
        for kind, form in list(MALFORMED.items())[:8 if slow else None]:
            real = {**world.things, "digest": world.digest}
            identifier = real[position]
            bad = form.format(id=identifier, cut=identifier[:-1], upper=identifier.upper(), confusable=urllib.parse.quote(identifier.translate(CONFUSABLE)))
            if bad == identifier:
                continue  # of digits alone: it has no upper case
            answer = world.adam.call(method, fill(path, {**real, position: bad.replace(" ", "%20")})) if position in ("key", "prefix") else \
                world.olga.call(method, fill(path, {**real, position: bad.replace(" ", "%20")}), b"x" if method == "PUT" else None)
            assert answer.status in REFUSALS, (kind, answer)
            assert answer.json["error"]["message"], (kind, answer)
            assert "x-injected" not in answer.headers and "root:" not in answer.text and "SQL" not in answer.text.replace("SQL", "", bad.count("SQL")), (kind, answer)


@pytest.mark.parametrize("identifier", ["", " ", "' OR 1=1 --", "../../x", "\u0000", "x" * 5000, "\ud83d\ude00"])
def test_malformed_ids_in_bodies_are_refused(world, identifier):
    answer = world.olga.call("POST", "/v1/stoa/search", {"query": "garden", "vector_store_ids": [identifier]})
    assert answer.status in (400, 404), answer
    for body in ({"file_id": identifier}, {"file_id": [identifier]}, {"file_id": {"$ne": None}}, {"file_id": None}):
        answer = world.olga.call("POST", fill("/v1/vector_stores/{store}/files", world.things), body)
        assert answer.status in (400, 404), answer
    answer = world.olga.call("POST", "/v1/responses", {"input": "x", "max_output_tokens": 1, "previous_response_id": identifier or " "})
    assert answer.status in (400, 404), answer
