"""Policies from the command line: tried out, set, explained, rolled back; from a folder; and every verb is decided on."""
import contextlib
import hashlib
import sqlite3
import subprocess

import pytest

from stoa_server import BINARY, Stoa, wait_until
from test_operation import VERBS


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house-rules")
    running = Stoa(tmp_path_factory.mktemp("policies"), models=False, environment={"STOA_POLICIES_FOLDER": str(folder), "STOA_SERVER_REGION": "eu-1"})
    running.folder = folder
    running.start()
    running.admin = running.key("root", "admin")
    running.ann = running.key("ann", "developer")
    yield running
    running.stop()


def test_a_policy_from_draft_to_rollback(server, tmp_path):
    draft = tmp_path / "evenings.policy"
    draft.write_text('policy "no-looking" { forbid usage.read when principal.user == "ann" because "ask the data office" }\n'
                     'test "ann does not look" { principal { role: "developer", user: "ann" } action usage.read expect deny by "no-looking" }\n')
    server.cli("usage", key=server.ann)
    dry = server.json("policies", "dry-run", str(draft), key=server.admin)
    assert dry["changed"] == 1 and dry["tests"] == {"run": 1, "failures": []}, dry
    change = dry["changes"][0]
    assert (change["user"], change["action"], change["from"]["decision"], change["to"]["decision"], change["to"]["rule"]) == ("ann", "usage.read", "permit", "deny", 'policy "no-looking"')
    assert "ann (developer) usage.read on usage: permit" in server.cli("policies", "dry-run", str(draft), key=server.admin).stdout
    server.cli("usage", key=server.ann)  # nothing has changed

    assert "version 1" in server.cli("policies", "set", "evenings", str(draft), "--comment", "ticket 7", key=server.admin).stdout
    refused = server.cli("usage", key=server.ann, check=False)
    assert refused.returncode == 4 and "ask the data office" in refused.stderr and "evenings@1:1" in refused.stderr, refused
    whose = next(key["id"] for key in server.json("keys", "list")["data"] if key["user"] == "ann")
    explained = server.cli("access", "explain", "--live", "--of", whose, "--action", "usage.read", key=server.admin).stdout
    assert explained.startswith("denied: ") and '"no-looking" applies: principal.user == "ann" holds' in explained, explained
    assert server.json("access", "explain", "--live", "--action", "usage.read", "--context", 'address: "10.0.0.1", purpose: "audit"', key=server.admin)["allowed"]

    draft.write_text('role "night-watch" { system.read, trace.read }\n')
    assert "version 2" in server.cli("policies", "set", "evenings", str(draft), "--expect", "1", key=server.admin).stdout
    assert server.cli("policies", "set", "evenings", str(draft), "--expect", "1", key=server.admin, check=False).returncode == 1
    server.cli("usage", key=server.ann)
    assert 'added role "night-watch"' in server.cli("policies", "diff", "evenings", "1", "2", key=server.admin).stdout
    assert "night-watch" in server.cli("roles", "list", key=server.admin).stdout
    watch = server.key("willy", "night-watch")  # on the data folder, so by another process
    server.cli("status", key=watch)
    assert server.cli("usage", key=watch, check=False).returncode == 4
    assert server.json("policies", "rollback", "evenings", "1", key=server.admin)["version"] == 3
    assert server.cli("status", key=watch, check=False).returncode == 4
    assert server.cli("policies", "show", "evenings", key=server.admin).stdout.startswith('policy "no-looking"')
    assert "ticket 7" in server.cli("policies", "history", "evenings", key=server.admin).stdout
    server.cli("policies", "remove", "evenings", key=server.admin)
    server.cli("usage", key=server.ann)
    kept = [entry for entry in server.json("audit", "list", "--action", "policy.set", key=server.admin)["data"] if entry["outcome"] == "allowed"]
    assert [entry["resource"] for entry in kept] == ["policy evenings@1", "policy evenings@2"] and all(entry["reason"].startswith("sha256:") and entry["trace_id"] for entry in kept)


def test_a_wrong_file_is_refused_with_its_place(server, tmp_path):
    wrong = tmp_path / "wrong.policy"
    for text, message in (("polcy", "x:1:1: "), ('policy "p" { permit model.use }\ntest "t" { principal { role: "viewer" } action model.use expect deny }', 'the test "t" fails'),
                          ('policy "freeze" { forbid * }', "you could not change policies any more")):
        wrong.write_text(text)
        done = server.cli("policies", "set", "x", str(wrong), key=server.admin, check=False)
        assert done.returncode == 2 and message in done.stderr, done
    assert server.cli("policies", "show", "x", key=server.admin, check=False).returncode == 5
    assert server.cli("policies", "set", "x", str(wrong), "--installation", key=server.admin, check=False).returncode == 2


def test_the_folder_holds_for_all_and_is_taken_over(server):
    may = lambda: server.cli("usage", key=server.ann, check=False).returncode == 0
    assert may()
    (server.folder / "house.policy").write_text('policy "region" { forbid usage.read when context.region == "eu-1" and principal.role == "developer" }')
    wait_until(lambda: not may(), 10, "the server takes the folder over")
    listed = server.json("policies", "list", key=server.admin)["data"]
    assert [item["file"] for item in listed if "file" in item] == ["built-in roles.policy", "house.policy"]
    (server.folder / "house.policy").write_text("policy")  # a mistake changes nothing, and is said
    wait_until(lambda: (may(), "changed policies were not taken over" in server.log_text())[1], 10, "the mistake is logged")
    assert not may()
    (server.folder / "house.policy").unlink()
    wait_until(may, 10, "the server takes over that it is gone")


def test_what_holds_for_all_is_the_local_operators(server, tmp_path):
    rules = tmp_path / "all.policy"
    rules.write_text('policy "nobody-looks" { forbid usage.read }')
    server.cli("policies", "set", "all", str(rules), "--local", "--installation")
    wait_until(lambda: server.cli("usage", key=server.admin, check=False).returncode == 4, 10, "another process sets policies")
    mine = tmp_path / "mine.policy"
    mine.write_text('policy "but-i" { permit usage.read }')
    server.cli("policies", "set", "mine", str(mine), key=server.admin)
    assert server.cli("usage", key=server.admin, check=False).returncode == 4
    assert server.cli("policies", "remove", "all", key=server.admin, check=False).returncode == 5  # there is none of that name among the tenant's
    server.cli("policies", "remove", "mine", key=server.admin)
    server.cli("policies", "remove", "all", "--local", "--installation")
    wait_until(lambda: server.cli("usage", key=server.admin, check=False).returncode == 0, 10, "and takes them back")


def test_documents_are_let_through_by_what_they_say_of_themselves(server, tmp_path):
    import openai

    client = lambda key: openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
    admin, bob, carla = client(server.admin), client(server.key("bob", "developer")), client(server.key("carla", "developer", "--group", "cleared"))
    store = admin.vector_stores.create(name="papers")
    for name, attributes in (("open", {}), ("secret", {"class": "restricted"}), ("draft", {"labels": "hr, draft"}), ("abroad", {"residency": "us-1"}), ("graded", {"class": 3, "labels": 2024})):
        file = admin.files.create(file=(f"{name}.txt", f"The {name} paper speaks of gardens.".encode()), purpose="assistants")
        admin.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, attributes=attributes)
    rules = tmp_path / "papers.policy"
    rules.write_text('policy "graded" { forbid document.read when exists resource.class and resource.class == "3" and resource.labels has "2024" }\n'
                     'policy "restricted" { forbid document.read when exists resource.class and resource.class == "restricted" and not principal.groups has "cleared" }\n'
                     'policy "drafts" { forbid document.read when exists resource.labels and resource.labels has "draft" and principal.role != "admin" }\n'
                     'policy "stay" { forbid document.read when exists resource.residency and resource.residency != context.region }\n')
    found = lambda who: sorted(hit.filename for hit in who.vector_stores.search(store.id, query="gardens", max_num_results=10))
    seen = lambda who: sorted(str(file.attributes.get("class", "-")) for file in who.vector_stores.files.list(store.id))
    assert len(found(bob)) == 5 and len(seen(bob)) == 5
    server.cli("policies", "set", "papers", str(rules), key=server.admin)
    assert (found(bob), found(carla), found(admin)) == (["open.txt"], ["open.txt", "secret.txt"], ["draft.txt", "open.txt"])
    assert (len(seen(bob)), len(seen(carla))) == (1, 2)
    server.cli("policies", "remove", "papers", key=server.admin)
    assert len(found(bob)) == 5


def test_what_policies_hide_takes_no_place_and_changes_no_score(server, tmp_path):
    """Twelve documents that bob may not read would stand before his own: he gets his, with the scores of a store that holds nothing else."""
    import openai

    client = lambda key: openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
    admin, bob = client(server.admin), client(server.key("bob", "developer"))
    both, alone = admin.vector_stores.create(name="both"), admin.vector_stores.create(name="alone")
    own = [f"The report number {i} tells of the merger with a neighbour, and of {'roses ' * i} besides." for i in range(1, 4)]
    for store, texts in ((both, [(text, {}) for text in own] + [(f"Merger report {i}: the merger, the report.", {"class": "restricted"}) for i in range(12)]), (alone, [(text, {}) for text in own])):
        for i, (text, attributes) in enumerate(texts):
            file = admin.files.create(file=(f"{i}.txt", text.encode()), purpose="assistants")
            admin.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, attributes=attributes)
    found = lambda who, store: [(hit.filename, hit.score) for hit in who.vector_stores.search(store.id, query="merger report", max_num_results=10)]
    assert len(found(bob, both)) == 10
    rules = {"class": 'exists resource.class and resource.class == "restricted"', "name": '((exists resource.name and resource.name == "nothing") or (exists resource.class and resource.class == "restricted"))'}
    for asks, condition in rules.items():
        file = tmp_path / f"{asks}.policy"
        file.write_text(f'policy "{asks}" {{ forbid document.read when {condition} and principal.role != "admin" }}\n')
        server.cli("policies", "set", "hidden", str(file), key=server.admin)
        if asks == "class":
            assert found(bob, both) == found(bob, alone) and len(found(bob, both)) == 3
        else:  # documents that a policy may name are left out of what was found
            assert [name for name, _ in found(bob, both)] == [name for name, _ in found(bob, alone)]
    assert len(found(admin, both)) == 10
    server.cli("policies", "remove", "hidden", key=server.admin)


# ---- Every verb

# What reaches the server does so with the caller's key, and what a bystander is told is no.
BY_SERVER = {
    "ask": ["x", "--store", "s"], "chat": [], "ingest": ["FILE", "--store", "s"], "collections list": [], "collections show": ["x"], "collections create": ["x"], "collections defaults": ["x"], "collections reindex": ["x"], "collections remove": ["x"], "search": ["x", "--store", "s"], "models show": ["x"], "status": [], "trace": ["x"], "traces": [], "usage": [], "rate": ["resp_x", "up"],
    "dataset from-ratings": ["x"], "dataset list": [], "dataset rows": ["x"], "audit list": [], "audit check": [], "audit checkpoint": [], "audit export": ["-"],
    "passport": ["resp_x"], "routes list": [], "routes show": ["x"], "routes status": ["x"], "routes set": ["x", "FILE"], "routes history": ["x"], "routes diff": ["x", "1", "2"], "routes rollback": ["x", "1"], "routes remove": ["x"],
    "limits list": [], "limits show": ["x"], "limits set": ["x", "FILE"], "limits history": ["x"], "limits diff": ["x", "1", "2"], "limits rollback": ["x", "1"], "limits remove": ["x"], "limits usage": [],
    "cache show": [], "cache set": ["FILE"], "cache history": [], "cache diff": ["1", "2"], "cache rollback": ["1"], "cache remove": [], "cache stats": [], "cache purge": ["--all"],
    "policies list": [], "policies show": ["x"], "policies set": ["x", "FILE"], "policies history": ["x"], "policies diff": ["x", "1", "2"], "policies rollback": ["x", "1"], "policies remove": ["x"],
    "providers list": [], "providers show": ["x"], "providers add": ["x", "--family", "openai", "--url", "http://127.0.0.1:9/v1"], "providers set-key": ["x"], "providers remove": ["x"], "providers check": ["x"],
    "batches create": ["FILE"], "batches list": [], "batches show": ["batch_x"], "batches results": ["batch_x"], "batches cancel": ["batch_x"], "batches window": [],
    "policies dry-run": ["FILE"], "roles list": [], "roles show": ["x"],
    "keys create": [], "keys list": [], "keys rotate": ["key_x"], "keys revoke": ["key_x"], "projects list": [], "projects create": ["x"], "users list": [], "users create": ["x"], "users disable": ["x"],
    "users enable": ["x"], "groups list": [], "groups add": ["g", "x"], "groups remove": ["g", "x"], "tokens create": ["x", "--allow", "dataset.read dataset x@1"], "tokens list": [], "tokens revoke": ["job_x"],
    "break-glass list": [], "break-glass end": ["glass_x"], "whoami": [],
}
# What acts on the data folder does so as the local operator, whom the walls hold: see test_the_local_operator_is_decided_on.
BY_LOCAL_OPERATOR = {"pull", "models remove", "tenants list", "tenants create", "kms status", "kms rotate", "kms rewrap", "kms revoke", "kms restore", "kms keep", "nodes add", "nodes list", "nodes revoke", "eval retrieval", "eval rag", "eval access"}
# What touches no tenant's data.
WITHOUT_DATA = {"serve", "models list", "models verify", "access test", "access explain", "config check", "config show", "completion", "quantize", "bench engine", "audit verify", "eval compare", "passport verify", "login", "logout"}


def test_every_verb_is_decided_on(server, tmp_path):
    leaves = {verb for verb in VERBS if not any(other.startswith(verb + " ") for other in VERBS)}
    listed = set(BY_SERVER) | BY_LOCAL_OPERATOR | WITHOUT_DATA
    undecided = leaves - listed
    assert not undecided, f"say in this file who decides on {sorted(undecided)}"
    file = tmp_path / "x.policy"
    file.write_text('role "bystander" { protection.manage }')
    server.cli("policies", "set", "bystander", str(file), key=server.admin)
    bystander = server.key("bob", "bystander")
    for verb, arguments in BY_SERVER.items():
        done = subprocess.run([str(part) for part in (BINARY, *verb.split(), *(str(file) if part == "FILE" else part for part in arguments))],
                              env={**server.env, "STOA_API_KEY": bystander}, input="hello\n", capture_output=True, text=True, timeout=60)
        assert done.returncode == 4, (verb, done)
    server.cli("policies", "remove", "bystander", key=server.admin)


def test_the_local_operator_is_decided_on(server):
    made = server.json("keys", "create", "--role", "viewer")
    server.cli("keys", "revoke", made["id"])
    entries = server.json("audit", "list", "--action", "identity.key.revoke", key=server.admin)["data"]
    assert [(entry["principal"], entry["resource"]) for entry in entries][-1] == ("local-operator", "key " + made["id"])
    assert server.cli("policies", "list", "--local", "--tenant", "nowhere", check=False).returncode == 5


# Verbs that change something on the data folder, in this order, and the entry that each makes. Those that change through a server are its requests.
CHANGES = [
    (["pull", "file://MODEL", "--unpinned"], "model.pull", "model tiny"), (["models", "remove", "tiny"], "model.remove", "model tiny"),
    (["tenants", "create", "acme"], "identity.tenant.create", "tenant"), (["projects", "create", "lab"], "identity.project.create", "project"),
    (["users", "create", "una"], "identity.user.create", "user una"), (["users", "disable", "una"], "identity.user.disable", "user una"), (["users", "enable", "una"], "identity.user.enable", "user una"),
    (["groups", "add", "crew", "una"], "identity.user.groups", "user una"), (["groups", "remove", "crew", "una"], "identity.user.groups", "user una"),
    (["keys", "create", "--user", "una", "--role", "viewer"], "identity.key.create", "key "), (["keys", "rotate", "KEY"], "identity.key.rotate", "key "), (["keys", "revoke", "KEY"], "identity.key.revoke", "key "),
    (["policies", "set", "p", "FILE", "--local"], "policy.set", "policy p"), (["policies", "rollback", "p", "1", "--local"], "policy.rollback", "policy p"), (["policies", "remove", "p", "--local"], "policy.remove", "policy p"),
    (["kms", "rotate"], "protection.master.rotate", "master key"), (["kms", "keep", "default", "none"], "protection.keep.none", "project "), (["kms", "rotate", "default"], "protection.rotate", "project "),
    (["kms", "rewrap"], "protection.rewrap", "master key"), (["kms", "revoke", "default"], "protection.revoke", "project "), (["kms", "restore", "default"], "protection.restore", "project "),
]


def test_every_change_on_the_data_folder_is_in_the_audit_log(tmp_path_factory):
    files = tmp_path_factory.mktemp("files")
    (files / "tiny.gguf").write_bytes(b"GGUF" + bytes(20))
    (files / "p.policy").write_text('role "helper" { system.read }')
    own = Stoa(tmp_path_factory.mktemp("changes"), models=False)
    words = {"file://MODEL": f"file://{files}/tiny.gguf", "FILE": str(files / "p.policy")}
    seen = 0
    for arguments, action, resource in CHANGES:
        done = own.json(*(words.get(word, word) for word in arguments))
        if arguments[0] == "keys":
            words["KEY"] = done["id"]
        with contextlib.closing(sqlite3.connect(own.home / "stoa.db")) as database:
            entries = database.execute("SELECT sequence, principal, action, resource, outcome, reason FROM audit_log WHERE sequence > ? ORDER BY sequence", (seen,)).fetchall()
        fitting = [entry for entry in entries if entry[1] == "local-operator" and entry[2].startswith(action) and entry[3].startswith(resource)]
        assert fitting and fitting[-1][4] == "allowed", (arguments, entries)
        if arguments[0] in ("pull", "models"):
            assert "sha256:" + hashlib.sha256((files / "tiny.gguf").read_bytes()).hexdigest() in fitting[-1][5], fitting
        seen = entries[-1][0]
