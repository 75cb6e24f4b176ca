"""Rights that nobody was given: roles and scopes that grow, headers and fields that claim somebody else, keys that should be dead."""
import json
import secrets
import time

import pytest

from routes import fill
from world import SECRET

LOW = ("vera", "peter", "olga")  # viewer, developers
MANAGED = [
    ("POST", "/v1/stoa/keys", {"role": "admin"}),
    ("POST", "/v1/stoa/keys", {"role": "viewer"}),
    ("GET", "/v1/stoa/keys", None),
    ("POST", "/v1/stoa/keys/{key}/rotate", {}),
    ("DELETE", "/v1/stoa/keys/{key}", None),
    ("GET", "/v1/stoa/audit", None),
    ("PUT", "/v1/stoa/models/smollm2-135m-instruct/adapters/x", None),
    ("DELETE", "/v1/stoa/models/smollm2-135m-instruct/adapters/x", None),
    ("GET", "/v1/stoa/policies", None),
    ("GET", "/v1/stoa/policies/x", None),
    ("PUT", "/v1/stoa/policies/x", {"text": 'policy "mine" { permit * }'}),
    ("DELETE", "/v1/stoa/policies/x", None),
    ("POST", "/v1/stoa/policies/x/rollback", {"version": 1}),
    ("POST", "/v1/stoa/policies/dry-run", {"text": "#"}),
    ("GET", "/v1/stoa/roles", None),
    ("GET", "/v1/stoa/protection", None),
    ("POST", "/v1/stoa/protection/rotate", {}),
    ("POST", "/v1/stoa/protection/revoke", {"destroy": True}),
    ("POST", "/v1/stoa/protection/restore", {}),
    ("POST", "/v1/stoa/protection/keep", {"keep": "all"}),
    ("POST", "/v1/stoa/projects", {"name": "mine"}),
    ("GET", "/v1/stoa/users", None),
    ("POST", "/v1/stoa/users", {"name": "mallory", "groups": ["admins"]}),
    ("POST", "/v1/stoa/users/adam/disable", None),
    ("POST", "/v1/stoa/users/adam/enable", None),
    ("POST", "/v1/stoa/groups/admins/users", {"user": "olga"}),
    ("DELETE", "/v1/stoa/groups/admins/users/adam", None),
    ("POST", "/v1/stoa/break-glass", {"reason": "INC-9: a developer is curious", "minutes": 5}),
    ("POST", "/v1/stoa/access/explain", {"action": "model.use"}),
]
WRITES = [
    ("POST", "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
    ("POST", "/v1/completions", {"model": "m", "prompt": "x"}),
    ("POST", "/v1/embeddings", {"model": "m", "input": "x"}),
    ("POST", "/v1/rerank", {"query": "x", "documents": ["y"]}),
    ("POST", "/v2/rerank", {"query": "x", "documents": ["y"]}),
    ("POST", "/v1/responses", {"input": "x"}),
    ("POST", "/v1/vector_stores", {"name": "x"}),
    ("POST", "/v1/vector_stores/{store}", {"name": "x"}),
    ("DELETE", "/v1/vector_stores/{store}", None),
    ("POST", "/v1/vector_stores/{store}/files", {"file_id": "file-x"}),
    ("POST", "/v1/vector_stores/{store}/file_batches", {"file_ids": ["file-x"]}),
    ("POST", "/v1/vector_stores/{store}/files/{file}", {"attributes": {}}),
    ("DELETE", "/v1/vector_stores/{store}/files/{file}", None),
    ("DELETE", "/v1/files/{file}", None),
    ("POST", "/v1/stoa/ingest/jobs", {"collection": "{store}", "source": "s", "files": []}),
    ("POST", "/v1/stoa/ingest/jobs/{job}/start", None),
    ("POST", "/v1/stoa/datasets/from-ratings", {"name": "x"}),
    ("GET", "/v1/stoa/ratings", None),
    ("GET", "/v1/stoa/datasets", None),
    ("GET", "/v1/stoa/traces", None),
    ("GET", "/v1/stoa/usage", None),
]


@pytest.mark.parametrize("method, path, body", MANAGED)
def test_low_roles_do_not_administer(world, method, path, body):
    for name in LOW:
        assert world.callers[name].call(method, fill(path, world.things), body).status == 403, name


@pytest.mark.parametrize("method, path, body", WRITES)
def test_a_viewer_does_not_write_or_spend(world, method, path, body):
    assert world.vera.call(method, fill(path, world.things), fill(body, world.things)).status == 403


def issue(admin, **fields):
    return admin.call("POST", "/v1/stoa/keys", fields)


@pytest.mark.parametrize("fields, statuses", [
    ({"role": "local-operator"}, (400,)), ({"role": "Admin"}, (400,)), ({"role": "admin\u0000"}, (400,)), ({"role": ["admin"]}, (400,)), ({"role": None, "user": "nobody-here"}, (400, 404)),
    ({"role": "root"}, (400,)), ({"scopes": ["*"]}, (400,)), ({"scopes": ["tenant.manage\n"]}, (400,)), ({"scopes": [""]}, (400,)), ({"scopes": [".*"]}, (400,)),
    ({"user": "boris"}, (404,)), ({"user": "local-operator-2"}, (404,)), ({"user": "../olga"}, (404,)), ({"user": "olga' --"}, (404,)), ({"user": "OLGA"}, (404,)), ({"user": "\u043elga"}, (404,)),
    ({"project": "{project of boris}"}, (404,)), ({"project": "' OR '1'='1"}, (404,)), ({"project": "default/../second"}, (404,)), ({"tenant": "other", "project": "nowhere"}, (404,)),
    ({"expires": "1970-01-01T00:00:00Z"}, (400,)), ({"expires": "soon"}, (400,)), ({"label": "x" * 10_000}, (400,))], ids=str)
def test_what_an_admin_cannot_put_into_a_key(world, fields, statuses):
    """The admin of one tenant, who may make any key of it: other tenants' users and projects, and roles that are none."""
    project = world.boris.ok("POST", "/v1/stoa/keys", {"role": "viewer"})["project"]
    answer = issue(world.adam, **fill(fields, {"project of boris": project}))
    assert answer.status in statuses, answer
    assert "sk-stoa-" not in answer.text


def test_a_limited_key_gives_no_more_than_it_has(world):
    limited = world.add_caller("limited", issue(world.adam, role="admin", scopes=["key.manage", "model.list"]).json["key"])
    for scopes in ([], ["audit.read"], ["key.*", "audit.read"], ["key.manage", "document.*"], ["model.*"]):
        answer = issue(limited, role="viewer", scopes=scopes)
        assert answer.status == 403 and "sk-stoa-" not in answer.text, scopes
    assert issue(limited, role="viewer", scopes=["model.list"]).status == 201
    for method, path in (("GET", "/v1/files"), ("GET", "/v1/stoa/audit"), ("GET", "/v1/stoa/traces"), ("GET", "/v1/stoa/usage"), ("POST", "/v1/stoa/search")):
        assert limited.call(method, path, {} if method == "POST" else None).status == 403, path
    # Replacing a key of more scopes would hand these out.
    whole = issue(world.adam, role="admin").json
    assert limited.call("POST", f"/v1/stoa/keys/{whole['id']}/rotate", {}).status == 403
    # Nor does it outlive its own end by making another in place of itself.
    short = world.add_caller("short", issue(world.adam, role="admin", expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))).json["key"])
    mine = short.ok("GET", "/v1/stoa/keys")["data"][0]
    replaced = short.ok("POST", f"/v1/stoa/keys/{mine['id']}/rotate", {})
    assert replaced["expires"], "the key in place of one that ends has to end"


HEADERS = [
    {"X-Forwarded-User": "adam"}, {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1;by=localhost"}, {"X-Remote-User": "adam"}, {"X-Original-URL": "/v1/stoa/audit"},
    {"X-Rewrite-URL": "/v1/stoa/audit"}, {"X-HTTP-Method-Override": "DELETE"}, {"X-Method-Override": "GET"}, {"X-Stoa-Tenant": "default"}, {"X-Stoa-Role": "admin"}, {"X-Stoa-Principal": "local-operator"},
    {"OpenAI-Organization": "default", "OpenAI-Project": "default"}, {"Cookie": "session=admin; role=admin"}, {"Api-Key": "sk-stoa-x"}, {"X-SSL-Client-Verify": "SUCCESS", "X-SSL-Client-S-DN": "CN=adam"},
    {"X-Forwarded-Client-Cert": "Hash=0;Subject=CN=adam"}, {"Proxy-Authorization": "Basic YWRhbTo="}, {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Host": "localhost"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
def test_headers_claim_nothing(world, headers):
    for caller in (world.stranger, world.vera, world.dora):
        expected = 401 if caller is world.stranger else 403
        assert caller.call("GET", "/v1/stoa/audit", headers=headers).status == expected
        assert caller.call("GET", fill("/v1/files/{file}", world.things), headers=headers).status == (401 if expected == 401 else 404)
        assert caller.call("POST", "/healthz", headers=headers).status == 405


@pytest.mark.parametrize("query", ["_method=DELETE", "api_key={key}", "access_token={key}", "key={key}", "token={key}", "tenant=default", "role=admin", "user=adam"])
def test_queries_claim_nothing(world, query):
    real = world.adam.key
    assert world.stranger.call("GET", "/v1/stoa/audit?" + fill(query, {"key": real})).status == 401
    assert world.vera.call("GET", "/v1/stoa/audit?" + fill(query, {"key": real})).status == 403
    world.olga.ok("GET", fill("/v1/files/{file}?" + query.partition("=")[0] + "=x", world.things))


def test_the_user_field_is_only_a_label(world):
    """OpenAI's `user`, `metadata` and `safety_identifier` say nothing about who asks."""
    body = {"input": "garden", "user": "olga", "safety_identifier": "olga", "metadata": {"stoa.answer": "extractive", "user": "olga", "tenant": "default"}, "previous_response_id": world.things["response"],
            "tools": [{"type": "file_search", "vector_store_ids": [world.things["store"]]}]}
    assert world.dora.call("POST", "/v1/responses", body).status in (400, 404)
    answer = world.peter.call("POST", "/v1/responses", {key: value for key, value in body.items() if key != "previous_response_id"})
    assert "florins" not in answer.text
    rated = world.olga.ok("POST", "/v1/stoa/ratings", {"answer_id": world.things["response"], "score": 1, "comment": SECRET, "user": "adam", "principal": "adam"})
    assert rated["user"] == "olga" and rated["principal"] == world.things["olga"]


def statuses_of(caller):
    return {caller.call("GET", path).status for path in ("/v1/models", "/v1/files", "/v1/stoa/status", fill("/v1/stoa/documents/x", {}))}


def test_dead_keys_are_dead_at_once(world):
    """Revoked, expired, replaced, of a disabled user: the next request is refused, with the answer that a key that never was gets."""
    never = world.add_caller("never", f"sk-stoa-{secrets.token_hex(8)}-{secrets.token_hex(32)}")
    refused = never.call("GET", "/v1/files")
    assert refused.status == 401

    revoked = issue(world.adam, role="developer").json
    caller = world.add_caller("revoked", revoked["key"])
    assert caller.call("GET", "/v1/files").status == 200
    world.adam.ok("DELETE", f"/v1/stoa/keys/{revoked['id']}")
    assert statuses_of(caller) == {401} and caller.call("GET", "/v1/files").without() == refused.without()

    replaced = issue(world.adam, role="developer").json
    caller = world.add_caller("replaced", replaced["key"])
    world.adam.ok("POST", f"/v1/stoa/keys/{replaced['id']}/rotate", {"overlap_seconds": 0})
    assert statuses_of(caller) == {401} and caller.call("GET", "/v1/files").without() == refused.without()

    expired = issue(world.adam, role="developer", expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))).json
    caller = world.add_caller("expired", expired["key"])
    time.sleep(3.2)
    assert statuses_of(caller) == {401} and caller.call("GET", "/v1/files").without() == refused.without()


def test_a_key_of_a_project_is_changed_from_inside(world):
    """An admin of another tenant who names the victim's project changes their own."""
    before = world.adam.ok("GET", "/v1/stoa/protection")
    for path in ("rotate", "restore"):
        world.boris.call("POST", f"/v1/stoa/protection/{path}?project={before['project']}", {"project": before["project"], "tenant": "default"})
    assert world.adam.ok("GET", "/v1/stoa/protection") == before
    assert world.boris.ok("GET", f"/v1/stoa/protection?project={before['project']}")["project"] != before["project"]


def test_a_disabled_user_is_out_at_once(world):
    issued = issue(world.adam, user="peter", role="developer").json
    caller = world.add_caller("dismissed", issued["key"])
    assert caller.call("GET", "/v1/files").status == 200
    world.adam.ok("POST", "/v1/stoa/users/peter/disable")
    try:
        assert statuses_of(caller) == {401} and statuses_of(world.peter) == {401}
    finally:
        world.adam.ok("POST", "/v1/stoa/users/peter/enable")
    assert caller.call("GET", "/v1/files").status == 200


def test_break_glass_is_for_a_reason_and_a_while(world):
    """And for nobody of another tenant; what is done under it ends with it."""
    for body in ({"reason": "", "minutes": 5}, {"reason": "x", "minutes": 5}, {"minutes": 5}, {"reason": "INC-2: looking around", "minutes": 10**6}, {"reason": "INC-2: looking around", "minutes": -1}):
        assert world.oscar.call("POST", "/v1/stoa/break-glass", body).status == 400, body
    made = world.oscar.ok("POST", "/v1/stoa/break-glass", {"reason": "INC-3: looking into the log", "minutes": 5})
    broken = world.add_caller("broken", made["token"])
    assert broken.call("GET", "/v1/stoa/audit?limit=1").status == 200
    for path in ("/v1/files/{file}", "/v1/stoa/documents/{document}", "/v1/responses/{response}"):
        assert broken.call("GET", fill(path, world.things)).status in (403, 404), "private documents stay private"
    assert broken.call("POST", "/v1/stoa/keys", {"role": "admin"}).status == 403, "nothing outlives it"
    assert world.boris.call("DELETE", f"/v1/stoa/break-glass/{made['id']}").status == 404
    world.oscar.ok("DELETE", f"/v1/stoa/break-glass/{made['id']}")
    assert broken.call("GET", "/v1/stoa/audit?limit=1").status == 401


def test_a_link_ends_with_the_key_that_asked_for_it(world):
    issued = issue(world.adam, user="olga", role="developer").json
    caller = world.add_caller("leaver", issued["key"])
    url = caller.ok("GET", fill("/v1/stoa/documents/{document}", world.things))["url"].removeprefix(world.server.url)
    assert world.stranger.call("GET", url, sees=True).status == 200
    world.adam.ok("DELETE", f"/v1/stoa/keys/{issued['id']}")
    assert world.stranger.call("GET", url).status == 401


def test_keys_of_others_are_not_told_apart(world):
    """Keys that differ from a working one in their parts get the same answer as nonsense."""
    key = world.olga.key
    start, prefix, secret = key.rpartition("-")[0].rpartition("-")[0], key.split("-")[2], key.split("-")[3]
    wrong = [f"{start}-{prefix}-{'0' * 64}", f"{start}-{'0' * 16}-{secret}", f"{start}-{prefix}-{secret[:-1]}", f"{start}-{prefix}-{secret}0", key.upper(), key + "x", f"{key},{key}", f"{key} {key}", f"{start}-{prefix}-{secret.upper()}",
             f"{start}-{prefix.upper()}-{secret}", key.replace("sk-", "SK-"), world.boris.key[:32] + key[32:], "x" * 10, "sk-stoa-" + "f" * 4000]
    wrong = [each for each in wrong if each != key]  # a prefix of digits alone has no capitals
    answers = set()
    for each in wrong:
        caller = world.add_caller("wrong", each)
        answer = caller.call("GET", "/v1/files")
        assert answer.status == 401, each
        answers.add(json.dumps(answer.without()[2]))
    assert len(answers) <= 2, answers  # nonsense that is longer than any key may be called so
