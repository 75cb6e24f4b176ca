"""What a thief of the data folder finds, and what remains readable when a project's key is taken away."""
import base64
import hashlib
import hmac
import http.client
import json
import re
import secrets
import shutil
import sqlite3
import subprocess
import time

import pytest

from stoa_server import BINARY, Stoa, wait_until

# Each stands in one kind of content and nowhere else; none may be found in the folder.
WORDS = {name: f"{name}{secrets.token_hex(5)}" for name in (
    "doctext", "heading", "filename", "attribute", "storename", "metadata", "ingestpath", "ingestsource", "ingesttext", "question", "comment", "correction",
    "failing", "batchline", "batchnote", "uploadname", "uploadpart", "background")}


class Client:
    def __init__(self, port, key):
        self.port, self.key = port, key

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if isinstance(body, dict):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, body, {"Authorization": f"Bearer {self.key}", **(headers or {})})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    def ok(self, method, path, body=None, headers=None):
        status, text = self.call(method, path, body, headers)
        assert status in (200, 201), f"{method} {path}: {status} {text}"
        return json.loads(text)

    def upload(self, name, content):
        mark = secrets.token_hex(8)
        body = (f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--{mark}\r\n'
                f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n{content}\r\n--{mark}--\r\n')
        return self.ok("POST", "/v1/files", body.encode(), {"Content-Type": f"multipart/form-data; boundary={mark}"})["id"]

    def settled(self, store):
        wait_until(lambda: self.ok("GET", f"/v1/vector_stores/{store}")["file_counts"]["in_progress"] == 0, 30, "documents are indexed")

    def search(self, store, query):
        return self.call("POST", "/v1/stoa/search", {"query": query, "vector_store_ids": [store], "mode": "text"})


def ingest(client, store, path, source, text):
    data = text.encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    job = client.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": source, "access": "public", "attributes": {"kind": WORDS["attribute"]},
                                                      "files": [{"path": path, "digest": digest, "bytes": len(data)}]})
    if digest in job["missing"]:
        client.ok("PUT", f"/v1/stoa/ingest/jobs/{job['id']}/blobs/{digest}", data)
    client.ok("POST", f"/v1/stoa/ingest/jobs/{job['id']}/start")
    wait_until(lambda: client.ok("GET", f"/v1/stoa/ingest/jobs/{job['id']}")["status"] == "completed", 30, "the job is done")


def later(client, store):
    """Work that is done later, and what becomes of it."""
    batch = client.ok("POST", "/v1/messages/batches", {"requests": [{"custom_id": WORDS["batchnote"], "params": {"model": "none", "max_tokens": 4, "messages": [{"role": "user", "content": WORDS["batchline"]}]}}]})["id"]
    upload = client.ok("POST", "/v1/uploads", {"filename": WORDS["uploadname"], "bytes": 40, "mime_type": "text/plain", "purpose": "assistants"})["id"]
    mark = secrets.token_hex(8)
    part = f'--{mark}\r\nContent-Disposition: form-data; name="data"; filename="part"\r\n\r\n{WORDS["uploadpart"]}\r\n--{mark}--\r\n'
    client.ok("POST", f"/v1/uploads/{upload}/parts", part.encode(), {"Content-Type": f"multipart/form-data; boundary={mark}"})
    response = client.ok("POST", "/v1/responses", {"input": WORDS["background"], "background": True, "metadata": {"stoa.answer": "extractive"},
                                                   "tools": [{"type": "file_search", "vector_store_ids": [store]}]})["id"]
    wait_until(lambda: client.ok("GET", f"/v1/responses/{response}")["status"] == "completed", 30, "the response is made")
    wait_until(lambda: client.ok("GET", f"/v1/messages/batches/{batch}")["processing_status"] == "ended", 30, "the batch has ended")
    assert WORDS["batchnote"] in client.call("GET", f"/v1/messages/batches/{batch}/results")[1]
    assert WORDS["background"] in client.call("GET", f"/v1/responses/{response}/input_items")[1]


def fill(client):
    """Something of every kind that is kept; gives the ids by which it is found again."""
    file = client.upload(f"{WORDS['filename']}.md", f"# {WORDS['heading']}\n\nThe {WORDS['doctext']} garden opens in April.\n")
    broken = client.upload(f"{WORDS['failing']}.pdf", "%PDF-1.4 broken")
    store = client.ok("POST", "/v1/vector_stores", {"name": WORDS["storename"], "metadata": {"note": WORDS["metadata"]}})["id"]
    for each in (file, broken):
        client.ok("POST", f"/v1/vector_stores/{store}/files", {"file_id": each, "attributes": {"team": WORDS["attribute"]}})
    client.settled(store)
    ingest(client, store, f"{WORDS['ingestpath']}/a.txt", WORDS["ingestsource"], f"The {WORDS['ingesttext']} cellar closes in October.\n")
    ingest(client, store, f"{WORDS['failing']}.pdf", WORDS["failing"], "%PDF-1.4 " + WORDS["failing"])
    answer = client.ok("POST", "/v1/responses", {"input": f"When does the {WORDS['doctext']} garden open, {WORDS['question']}?", "metadata": {"stoa.answer": "extractive"},
                                                 "tools": [{"type": "file_search", "vector_store_ids": [store]}]})
    assert WORDS["doctext"] in json.dumps(answer)
    later(client, store)
    client.ok("POST", "/v1/stoa/ratings", {"answer_id": answer["id"], "score": -1, "comment": WORDS["comment"], "correction": WORDS["correction"]})
    client.ok("POST", "/v1/stoa/datasets/from-ratings", {"name": "ratings"})
    client.call("POST", "/v1/stoa/search", {"query": WORDS["question"], "vector_store_ids": ["vs_none"]})
    return {"store": store, "file": file, "answer": answer["id"]}


def everything(client, things):
    """All that can be read of it: status and text of each reply."""
    paths = [f"/v1/files/{things['file']}", f"/v1/files/{things['file']}/content", f"/v1/vector_stores/{things['store']}", f"/v1/vector_stores/{things['store']}/files",
             f"/v1/responses/{things['answer']}", f"/v1/responses/{things['answer']}/input_items", "/v1/stoa/ratings", "/v1/stoa/datasets/ratings/rows"]
    replies = [client.call("GET", path) for path in paths]
    replies += [client.search(things["store"], WORDS[name]) for name in ("doctext", "ingesttext")]
    return replies


def words_in(replies):
    """What is the same in each reading: links and times are not."""
    return [(status, sorted(name for name, word in WORDS.items() if word in text)) for status, text in replies]


def traces_of(words):
    """Every spelling a word, or bytes, could have in a file."""
    for word in words:
        plain = word if isinstance(word, bytes) else word.encode()
        if plain is not word:
            yield from (plain.upper(), word.encode("utf-16-le"), word.encode("utf-16-be"))
        yield from (plain, plain.hex().encode(), plain.hex().upper().encode())
        for shift in range(3):  # base64 of it inside a longer text
            text = base64.b64encode(b"\0" * shift + plain)[4 if shift else 0:-4]
            yield from {text, text.translate(bytes.maketrans(b"+/", b"-_"))}


def found_in(folder, words):
    needles = re.compile(b"|".join(re.escape(each) for each in traces_of(words)))
    return [(str(path), match.group()) for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 28
            for match in needles.finditer(path.read_bytes())]


@pytest.fixture
def server(tmp_path):
    made = Stoa(tmp_path / "home", models=False, environment={"STOA_TRACE_CONTENT": "true"})
    made.start()
    yield made
    made.stop()


def other_project(server):
    """A key in a second project of the same tenant."""
    admin = Client(server.port, server.key("adam", "admin"))
    with sqlite3.connect(server.home / "stoa.db") as connection:
        tenant, = connection.execute("SELECT tenant FROM projects LIMIT 1").fetchone()
        connection.execute("INSERT INTO projects (id, tenant, name, created) VALUES ('proj_second', ?, 'second', 1)", (tenant,))
    return Client(server.port, server.json("keys", "create", "--project", "second", "--user", "bob", "--role", "developer")["key"]), admin


def test_a_stolen_folder_reveals_nothing(server, tmp_path):
    ann = Client(server.port, server.key("ann"))
    things = fill(ann)
    before = everything(ann, things)
    assert all(status == 200 for status, _ in before), before
    read = " ".join(text for _, text in before)
    for name in ("doctext", "filename", "storename", "metadata", "ingestpath", "question", "comment", "correction"):
        assert WORDS[name] in read, f"{name} cannot be read back, so that not finding it says nothing"
    time.sleep(0.2)  # the last trace is written
    assert not found_in(server.home, WORDS.values()), "while it runs: the database's log as well"
    server.stop()
    assert not found_in(server.home, WORDS.values())

    # The key lies beside the folder, for its owner alone; the folder without it opens for nobody.
    key_file = tmp_path / "home.keys"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert server.log_text().count("made a new master key") == 1
    shutil.move(key_file, tmp_path / "elsewhere")
    refused = subprocess.run([BINARY, "serve", "--port", "0"], env=server.env, capture_output=True, text=True, timeout=30)
    assert refused.returncode != 0 and "home.keys" in refused.stderr and not key_file.exists(), refused.stderr
    shutil.move(tmp_path / "elsewhere", key_file)
    server.start()
    assert words_in(everything(Client(server.port, ann.key), things)) == words_in(before)


def test_a_revoked_project_is_unreadable_at_once(server):
    ann = Client(server.port, server.key("ann"))
    bob, admin = other_project(server)
    ours = fill(ann)
    store = bob.ok("POST", "/v1/vector_stores", {"name": "theirs"})["id"]
    ingest(bob, store, "b.txt", "theirs", "The lighthouse is white.\n")

    admin.ok("POST", "/v1/stoa/protection/revoke", {})
    for status, text in everything(ann, ours):
        assert status == 403 and "revoked" in text, (status, text)
        assert not any(word in text for word in WORDS.values())
    assert ann.call("POST", "/v1/vector_stores", {"name": "more"})[0] == 403
    assert "lighthouse" in bob.search(store, "lighthouse")[1]
    admin.ok("POST", "/v1/stoa/protection/restore", {})
    assert all(status == 200 for status, _ in everything(ann, ours))

    # By another process on the same folder: at work within a second; the index is loaded again when it is given back.
    server.cli("kms", "revoke", "default")
    wait_until(lambda: ann.search(ours["store"], WORDS["doctext"])[0] == 403, 20, "the server takes notice")
    assert "lighthouse" in bob.search(store, "lighthouse")[1]
    server.cli("kms", "restore", "default")
    wait_until(lambda: WORDS["doctext"] in ann.search(ours["store"], WORDS["doctext"])[1], 20, "the documents are searchable again")
    actions = [entry["action"] for entry in admin.ok("GET", "/v1/stoa/audit?limit=1000")["data"]]
    assert actions.count("protection.revoke") >= 2 and actions.count("protection.restore") >= 2

    server.cli("kms", "revoke", "default", "--destroy")
    wait_until(lambda: "destroyed" in ann.search(ours["store"], "garden")[1], 20, "the server takes notice")
    assert server.cli("kms", "restore", "default", check=False).returncode != 0
    assert "lighthouse" in bob.search(store, "lighthouse")[1]


def test_rotation_survives_being_killed(server):
    ann = Client(server.port, server.key("ann"))
    things = fill(ann)
    for number in range(40):
        ann.upload(f"n{number}.txt", f"note {number}\n" * 40)
    before = everything(ann, things)
    for _ in range(2):
        server.cli("kms", "rotate", "default")
        server.cli("kms", "rotate")
        time.sleep(0.6)
        server.kill()
        server.start()
        assert words_in(everything(ann, things)) == words_in(before)
    status = server.json("kms", "status")
    assert status["provider"] == "file" and status["current"] == "3"
    assert {key["master"] for project in status["projects"] for key in project["versions"]} | {each["master"] for each in status["secrets"]} == {"3"}
    wait_until(lambda: "sealed anew" in server.log_text(), 10, "the rest is sealed anew behind")
    assert words_in(everything(ann, things)) == words_in(before)


SECRETS = ("api-keys", "audit-signing", "token-signing")


def plant_secrets(home):
    """The secrets of an installation as releases before wrapping kept them."""
    (home / "secrets").mkdir(mode=0o700, exist_ok=True)
    plain = {name: secrets.token_bytes(32) for name in SECRETS}
    for name, each in plain.items():
        (home / "secrets" / name).write_text(each.hex() + "\n")
        (home / "secrets" / name).chmod(0o600)
    return plain


def hashed_with(server, key):
    """Whether the stored hash of an API key was made with the secret."""
    with sqlite3.connect(server.home / "stoa.db") as connection:
        hashes = [value for row in connection.execute("SELECT * FROM api_keys") for value in row]
    return lambda secret: any(value in hashes for digest in [hmac.new(secret, key.encode(), "sha256")] for value in (digest.digest(), digest.hexdigest()))


def test_secrets_of_the_installation_are_wrapped(tmp_path):
    made = Stoa(tmp_path / "home", models=False)
    plain = plant_secrets(made.home)
    made.start()
    try:
        key = made.key("ann")
        Client(made.port, key).ok("GET", "/v1/models")
        assert hashed_with(made, key)(plain["api-keys"]), "the secrets are the ones that were there"
        assert not hashed_with(made, key)(plain["audit-signing"])
        assert not found_in(made.home, plain.values()), "neither while it runs"
        made.cli("kms", "rotate")
        status = made.json("kms", "status")
        assert sorted(each["name"] for each in status["secrets"]) == sorted(SECRETS) and {each["master"] for each in status["secrets"]} == {"2"}
    finally:
        made.stop()
    assert not found_in(made.home, plain.values()), "nor after it"
    assert sorted(each.name for each in (made.home / "secrets").iterdir()) == sorted(SECRETS)

    # Another installation's master key, and none.
    key_file = tmp_path / "home.keys"
    Stoa(tmp_path / "other", models=False).cli("keys", "list")
    ours = key_file.read_text()
    key_file.write_text((tmp_path / "other.keys").read_text())
    for refused in (made.cli("keys", "list", check=False), made.cli("serve", "--port", "0", check=False)):
        assert refused.returncode != 0 and "home/secrets/" in refused.stderr and "bring back the master key" in refused.stderr, refused.stderr
    key_file.unlink()
    refused = made.cli("keys", "list", check=False)
    assert refused.returncode != 0 and "home.keys" in refused.stderr and not key_file.exists(), refused.stderr
    key_file.touch(mode=0o600)
    key_file.write_text(ours)
    made.cli("keys", "list")


def test_wrapping_secrets_survives_being_killed(tmp_path):
    made = Stoa(tmp_path / "home", models=False)
    made.cli("keys", "list")
    for delay in range(12):
        plain = plant_secrets(made.home)
        running = subprocess.Popen([BINARY, "keys", "list"], env=made.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay * 0.002)
        running.kill()
        running.wait()
        key = made.key(f"user{delay}")
        assert hashed_with(made, key)(plain["api-keys"])
        assert not found_in(made.home / "secrets", plain.values())


def test_keys_of_other_tenants_are_named_by_their_tenant(tmp_path):
    running = Stoa(tmp_path / "home", models=False).start()
    try:
        running.cli("tenants", "create", "acme")
        key = running.json("keys", "create", "--home", str(running.home), "--tenant", "acme", "--user", "ann", "--role", "developer")["key"]
        Client(running.port, key).call("POST", "/v1/vector_stores", {"name": "plans"})
        listed = lambda *more: [project["name"] for project in running.json("kms", "status", *more)["projects"]]
        assert listed("--tenant", "acme") == ["default"] and listed() == []
        running.cli("kms", "revoke", "default", "--tenant", "acme")
        wait_until(lambda: Client(running.port, key).call("GET", "/v1/vector_stores")[0] != 200, 20, "another process takes the key away")
        assert running.cli("kms", "status", "--tenant", "nobody", check=False).returncode == 5
    finally:
        running.stop()
