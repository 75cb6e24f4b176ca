"""Listings, searches and counts: nothing of others in them, and nothing in them changes because others are there."""
import json

import pytest

from routes import LISTS, fill
from stoa_server import wait_until
from world import PRIVATE, PUBLIC, SECRET

OUTSIDERS = ("nora", "boris", "dora")


@pytest.mark.parametrize("path", LISTS)
def test_lists_hold_nothing_of_others(world, path):
    """That no answer holds the victim's ids or words is checked by every call (Attacker.call)."""
    for name in OUTSIDERS:
        caller = world.callers[name]
        answer = caller.call("GET", fill(path, world.things))
        assert answer.status in (200, 400, 403, 404), answer
        if "{" in path:
            assert answer.without(*world.things.values()) == caller.call("GET", fill(path, world.absent)).without(*world.absent.values()), path
        if answer.status == 200 and "limit=1" in path and "limit=1000" not in path:
            assert answer.json["has_more"] in (False, len(own_ids(caller, path)) > 1)
    assert world.stranger.call("GET", fill(path, world.things)).status == 401


def test_the_audit_log_of_others_is_not_shown(world):
    """An auditor sees their tenant's entries; of the others' an export has hashes, made with a salt, and nothing else."""
    boris = world.boris
    mine = {caller.ok("GET", "/v1/stoa/traces?limit=1")["data"][0]["principal"] for caller in (boris, world.dora)}
    listed = boris.ok("GET", "/v1/stoa/audit?limit=1000")["data"]
    assert listed and {entry["principal"] for entry in listed} <= mine | {"local-operator"}
    events = [json.loads(line) for line in boris.call("GET", "/v1/stoa/audit/export?format=ocsf").text.splitlines()]
    assert events and {event["actor"]["user"]["uid"] for event in events} <= mine | {"local-operator"}
    lines = [json.loads(line) for line in boris.call("GET", "/v1/stoa/audit/export").text.splitlines()]
    others = [line for line in lines[1:-1] if "entry" not in line]
    assert others and all(set(line) == {"leaf", "sequence"} for line in others)
    assert {line["entry"]["principal"] for line in lines[1:-1] if "entry" in line} <= mine | {"local-operator"}
    proof = boris.ok("GET", f"/v1/stoa/audit/proof?sequence={others[-1]['sequence']}")
    assert set(proof) == {"sequence", "leaf", "proof", "entries", "checkpoint"}, "a proof of another tenant's entry holds hashes only"
    for query in ("sequence=0", "sequence=-1", "sequence=99999999999999999999", "sequence=1%20OR%201", f"sequence={len(lines) + 10**6}"):
        assert boris.call("GET", f"/v1/stoa/audit/proof?{query}").status in (400, 404), query
    for caller in (world.olga, world.peter, world.vera, world.dora, world.nora):
        for path in ("", "/check", "/checkpoint", "/proof?sequence=1", "/consistency?from=1", "/export"):
            assert caller.call("GET", "/v1/stoa/audit" + path).status == 403, path


def own_ids(caller, path):
    return [item["id"] for item in caller.ok("GET", path.partition("?")[0] + "?limit=100")["data"]]


def test_private_documents_do_not_show_in_counts(world):
    """To a colleague of the same project a store with somebody's private document is an empty one."""
    for name in ("peter", "vera", "adam"):
        caller = world.callers[name]
        store = caller.ok("GET", fill("/v1/vector_stores/{store}", world.things))
        assert store["file_counts"] == {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0} and store["usage_bytes"] == 0, store
        for listed in ("/v1/vector_stores/{store}/files?limit=1", "/v1/vector_stores/{store}/files?filter=completed", "/v1/vector_stores/{store}/file_batches/{batch}/files"):
            answer = caller.ok("GET", fill(listed, world.things))
            assert answer["data"] == [] and answer["has_more"] is False, answer
        batch = caller.ok("GET", fill("/v1/vector_stores/{store}/file_batches/{batch}", world.things))
        assert batch["file_counts"]["total"] == 0, batch
        files = caller.ok("GET", "/v1/files?limit=1000")["data"]
        assert world.things["file"] not in [file["id"] for file in files] and SECRET not in str(files)
        assert caller.ok("GET", "/v1/stoa/status")["documents"]["documents"] == 0


MODES = ("hybrid", "text", "vector")
QUERIES = (SECRET, "nine hundred florins", "roof garden April", "payroll")


@pytest.fixture(scope="module")
def stores(world):
    """Two stores with the same public document; one holds twenty private ones besides."""
    olga, made = world.olga, {}
    public = olga.upload("handbook.md", PUBLIC).json["id"]
    hidden = [olga.upload(f"{SECRET}{i}.md", PRIVATE + f"\nNumber {i}.\n".encode(), access="user:olga").json["id"] for i in range(20)]
    for name, files in (("plain", [public]), ("shared", [public, *hidden])):
        store = olga.ok("POST", "/v1/vector_stores", {"name": name})["id"]
        olga.ok("POST", f"/v1/vector_stores/{store}/file_batches", {"files": [{"file_id": file, "attributes": {"kind": "public" if file == public else SECRET}} for file in files]})
        made[name] = store
    for store in made.values():
        world.wait_indexed(olga, store)
    return made


def search(world, caller, store, **body):
    answer = caller.call("POST", "/v1/stoa/search", {"vector_store_ids": [store], **body})
    if answer.status == 400 and not world.server.has_models:
        pytest.skip("no embedder")
    assert answer.status == 200, answer
    return [{key: item[key] for key in ("text", "score", "path") if key in item} | {"explain": item.get("explain")} for item in answer.json["data"]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", QUERIES)
def test_search_is_the_same_with_hidden_documents(world, stores, mode, query):
    """Results, ranks and scores of a colleague do not depend on documents that he may not read."""
    for options in ({}, {"explain": True}, {"max_num_results": 50}, {"filters": {"type": "eq", "key": "kind", "value": SECRET}}, {"filters": {"type": "ne", "key": "kind", "value": "public"}},
                    {"min_score": 0.01}):
        for name in ("peter", "vera", "adam"):
            plain, shared = (search(world, world.callers[name], stores[store], query=query, mode=mode, **options) for store in ("plain", "shared"))
            assert plain == shared, (name, options)
            assert SECRET not in str(shared) or SECRET == query and SECRET not in str([item["text"] for item in shared])


def test_the_owner_finds_what_others_do_not(world, stores):
    assert any(SECRET in item["text"] for item in search(world, world.olga, stores["shared"], query=SECRET, mode="text"))


def test_answers_do_not_quote_hidden_documents(world, stores):
    for name in ("peter", "adam"):
        answer = world.callers[name].ok("POST", "/v1/responses", {"input": f"What does the {SECRET} project pay?", "metadata": {"stoa.answer": "extractive"},
                                                                  "include": ["file_search_call.results"], "tools": [{"type": "file_search", "vector_store_ids": [stores["shared"]]}]})
        assert "florins" not in str(answer["output"]), answer["output"]


def test_a_colleague_cannot_replace_or_prune_what_he_does_not_see(world):
    """An ingest job over the same source and path touches only what its owner sees, and counts nothing else."""
    olga, peter = world.olga, world.peter
    store = world.things["store"]
    digest = world.digest
    job = peter.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": SECRET, "access": "user:peter", "prune": True,
                                                    "files": [{"path": f"{SECRET}.txt", "digest": digest, "bytes": len(world.job_content)}]})
    assert job["missing"] == [digest], "that somebody else has sent these bytes is not told"
    peter.call("PUT", f"/v1/stoa/ingest/jobs/{job['id']}/blobs/{digest}", world.job_content)
    peter.ok("POST", f"/v1/stoa/ingest/jobs/{job['id']}/start")
    wait_until(lambda: peter.ok("GET", f"/v1/stoa/ingest/jobs/{job['id']}")["status"] == "completed", 30, "the job is done")
    done = peter.ok("GET", f"/v1/stoa/ingest/jobs/{job['id']}")
    assert done["removed"] == 0 and done["unchanged"] == 0, done
    assert olga.ok("GET", fill("/v1/vector_stores/{store}/files/{file}", world.things))["status"] == "completed"
    peter.ok("DELETE", f"/v1/vector_stores/{store}/files/{peter.ok('GET', f'/v1/vector_stores/{store}/files')['data'][0]['id']}")


def test_file_and_document_links(world):
    """A link opens one document to whom it was given; changed in any part it opens nothing."""
    path, _, token = world.link.partition("?token=")
    good = world.stranger.call("GET", world.link, sees=True)
    assert good.status == 200 and SECRET in good.text
    payload, _, signature = token.partition(".")
    other = world.things["document"]
    forged = {
        "no token": path, "empty": f"{path}?token=", "no signature": f"{path}?token={payload}", "empty signature": f"{path}?token={payload}.",
        "other signature": f"{path}?token={payload}.{'A' * len(signature)}", "changed payload": f"{path}?token={payload[:-2]}AA.{signature}",
        "another document": f"{path.replace(other, world.absent['document'])}?token={token}", "twice": f"{path}?token=x&token={token}",
        "cut": f"{path}?token={token[:-1]}", "longer": f"{path}?token={token}A", "upper": f"{path}?token={token.upper()}", "long": f"{path}?token={'A' * 9000}.{signature}",
    }
    for kind, link in forged.items():
        for caller in (world.stranger, world.boris, world.peter):
            assert caller.call("GET", link).status in ((414,) if kind == "long" else (401, 404)), kind
