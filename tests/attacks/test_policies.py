"""Policies cannot be used to get out: each holds in its own tenant, gives nobody what the walls keep, and every route asks them."""
import contextlib

from routes import fill
from world import SECRET


@contextlib.contextmanager
def policies(caller, text, name="attack"):
    caller.ok("PUT", f"/v1/stoa/policies/{name}", {"text": text})
    try:
        yield
    finally:
        caller.ok("DELETE", f"/v1/stoa/policies/{name}")


def test_every_route_of_the_server_is_decided_on(world):
    routes = world.adam.ok("GET", "/v1/stoa/routes")["data"]
    assert len(routes) > 60 and all(route["guard"] for route in routes)
    reasons = {route["pattern"]: route["guard"] for route in routes if route["public"]}
    assert {path for path in reasons if not path.startswith("/console")} == {"/", "/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready", "/v1/stoa/login", "/v1/stoa/documents/{id}/content"}, reasons
    with policies(world.adam, 'role "bystander" { model.priority }'):
        key = world.adam.ok("POST", "/v1/stoa/keys", {"role": "bystander"})
        bystander = world.add_caller("bystander", key["key"])
        for route in routes:
            if route["public"]:
                continue
            path = route["pattern"].replace("...", "").replace("{", "").replace("}", "")
            assert world.stranger.call(route["method"], path).status == 401, route
            refused = bystander.call(route["method"], path, None if route["method"] == "GET" else {})
            assert refused.status == 403 and route["guard"] in refused.text, (route, refused)
        world.adam.ok("DELETE", f"/v1/stoa/keys/{key['id']}")


def test_a_role_that_is_gone_gives_nothing(world):
    with policies(world.adam, 'role "guest" { document.read, system.read }'):
        key = world.adam.ok("POST", "/v1/stoa/keys", {"role": "guest"})
        guest = world.add_caller("guest", key["key"])
        guest.ok("GET", "/v1/stoa/status")
    assert guest.call("GET", "/v1/stoa/status").status == 403
    world.adam.ok("DELETE", f"/v1/stoa/keys/{key['id']}")


def test_what_one_tenant_permits_opens_nothing_of_another(world):
    """The admin of another tenant permits everything to everybody there."""
    with policies(world.boris, 'policy "all" { permit * }\nrole "superuser" { * }'):
        assert world.dora.call("GET", "/v1/stoa/audit").status == 200, "in their own tenant it holds"
        for path in ("/v1/files/{file}", "/v1/vector_stores/{store}", "/v1/stoa/traces/{trace}", "/v1/stoa/documents/{document}", "/v1/stoa/usage?project={project}"):
            for caller in (world.boris, world.dora):
                assert caller.call("GET", fill(path, world.things)).status == 404, path
        assert world.vera.call("GET", "/v1/stoa/audit").status == 403, "and not in the victim's"
        assert world.adam.call("POST", "/v1/stoa/keys", {"role": "superuser"}).status == 400
        assert "superuser" not in str(world.adam.ok("GET", "/v1/stoa/roles"))
        projects = {entry["project"] for entry in world.dora.ok("GET", "/v1/stoa/audit?limit=1000")["data"]}
        assert world.things["project"] not in projects, "her own tenant's log, in which her own guesses stand"
    assert world.dora.call("GET", "/v1/stoa/audit").status == 403


def test_a_policy_of_others_is_neither_seen_nor_changed(world):
    with policies(world.adam, f'policy "secret-{SECRET}" {{ forbid model.use when principal.user == "nobody-here" }}', "ours"):
        theirs, nothing = (world.boris.call("GET", f"/v1/stoa/policies/{name}") for name in ("ours", "none"))
        assert theirs.status == nothing.status == 404 and theirs.without("ours") == nothing.without("none")
        assert SECRET not in world.boris.call("GET", "/v1/stoa/policies").text
        for method, path, body in (("DELETE", "ours", None), ("POST", "ours/rollback", {"version": 1}), ("GET", "ours/history", None), ("GET", "ours/diff?from=1&to=1", None)):
            assert world.boris.call(method, f"/v1/stoa/policies/{path}", body).status == 404
        explained = world.boris.ok("POST", "/v1/stoa/access/explain", {"action": "model.use"})
        assert SECRET not in str(explained)
        keys = world.adam.ok("GET", "/v1/stoa/keys")["data"]
        assert world.boris.call("POST", "/v1/stoa/access/explain", {"action": "model.use", "key": keys[0]["id"]}).status == 404
        world.adam.ok("GET", "/v1/stoa/policies/ours")


def test_what_policies_forbid_does_not_show_in_counts(world):
    """A low role of the same project counts the same documents before and after one is added that a policy keeps from it."""
    olga, vera = world.olga, world.vera
    store = olga.ok("POST", "/v1/vector_stores", {"name": "counted"})["id"]

    def add(name, attributes):
        file = olga.upload(name, f"# {name}\n\nThe gate is painted every other year.\n".encode(), access="public").json["id"]
        return olga.ok("POST", f"/v1/vector_stores/{store}/file_batches", {"files": [{"file_id": file, "attributes": attributes}]})["id"]

    def counted(caller):
        one = caller.ok("GET", f"/v1/vector_stores/{store}")
        [listed] = [each for each in caller.ok("GET", "/v1/vector_stores?limit=100")["data"] if each["id"] == store]
        return (one["file_counts"], one["usage_bytes"], listed["file_counts"], listed["usage_bytes"], caller.ok("GET", "/v1/stoa/status")["documents"],
                len(caller.ok("GET", f"/v1/vector_stores/{store}/files")["data"]))

    for what in ('resource.class == "restricted"', 'resource.labels has "secret"', 'resource.residency == "mars"'):
        add("open.md", {"class": "public"})
        world.wait_indexed(olga, store)
        name = what.partition(" ")[0]
        with policies(world.adam, f'policy "kept" {{ forbid document.read when exists {name} and {what} and principal.role == "viewer" }}'):
            before, whole = counted(vera), counted(olga)
            assert before[0]["completed"] == whole[0]["completed"] > 0 and before[1] > 0
            batch = add("kept.md", {"class": "restricted", "labels": "other, secret", "residency": "mars"})
            assert world.wait_indexed(olga, store)["completed"] == whole[0]["completed"] + 1
            assert counted(vera) == before, what
            assert vera.ok("GET", f"/v1/vector_stores/{store}/file_batches/{batch}")["file_counts"]["total"] == 0
        after = counted(vera)
        assert after[:4] == counted(olga)[:4] != before[:4] and after[4]["documents"] == before[4]["documents"] + 1, "it is the policy that hides it"
        olga.ok("DELETE", f"/v1/vector_stores/{store}")
        store = olga.ok("POST", "/v1/vector_stores", {"name": "counted"})["id"]


def test_nobody_locks_everybody_out(world):
    for text in ('policy "freeze" { forbid * }', 'policy "freeze" { forbid policy.* }', 'boundary "cap" { at most model.use }', 'policy "odd" { forbid policy.manage when exists principal.id }'):
        refused = world.adam.call("PUT", "/v1/stoa/policies/freeze", {"text": text})
        assert refused.status == 400 and "you could not change policies any more" in refused.text, refused


def test_a_custom_role_gives_no_more_than_it_has(world):
    """Whoever makes keys gives at most what their own role gives, whatever the roles are called."""
    with policies(world.adam, 'role "key-maker" { key.manage, document.read }\nrole "admin2" { key.manage, audit.read }'):
        made = world.adam.ok("POST", "/v1/stoa/keys", {"role": "key-maker"})
        maker = world.add_caller("maker", made["key"])
        for role in ("admin", "admin2", "auditor", "viewer", "developer"):
            assert maker.call("POST", "/v1/stoa/keys", {"role": role}).status == 403, role
        again = maker.ok("POST", "/v1/stoa/keys", {"role": "key-maker"})
        for key in (again, made):
            world.adam.ok("DELETE", f"/v1/stoa/keys/{key['id']}")
