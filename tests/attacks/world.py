"""Two tenants on one server: the victim's things, those who attack them, and ids that look like the victim's but name nothing."""
import hashlib
import json
import secrets
import time

from attacker import Attacker

SECRET = "zanzibarquokka"  # stands in the victim's documents, names and comments, and nowhere else
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # of ids
PUBLIC = b"# Handbook\n\nThe roof garden opens in April and closes in October. Keys are rotated every ninety days.\n"
PRIVATE = f"# Payroll\n\nThe {SECRET} project pays nine hundred florins to the roof garden in April.\n".encode()


def twin(identifier):
    """An id of the same form, length and time that names nothing."""
    return identifier[:-4] + "".join(ALPHABET[(ALPHABET.index(c) + 7) % 32] if c in ALPHABET else c for c in identifier[-4:])


class World:
    def __init__(self, server):
        self.server = server
        self.refused = []
        self.callers = {}
        self.things, self.absent = {}, {}

    def __getattr__(self, name):
        try:
            return self.__dict__["callers"][name]
        except KeyError:
            raise AttributeError(name) from None

    def add_caller(self, name, key):
        self.callers[name] = Attacker(self.server.port, name, key, self.refused)
        return self.callers[name]

    def add_thing(self, name, identifier, absent=None):
        self.things[name], self.absent[name] = identifier, absent or twin(identifier)

    def wait_indexed(self, caller, store, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            counts = caller.ok("GET", f"/v1/vector_stores/{store}")["file_counts"]
            if counts["in_progress"] == 0:
                return counts
            time.sleep(0.05)
        raise AssertionError(f"vector store {store} is not indexed after {seconds} s")


def own_things(caller):
    """A store and a file of the attacker's own, for requests that mix own and foreign ids."""
    uploaded = caller.upload("own.md", b"# Own\n\nNothing to see.\n")
    if uploaded.status != 200:  # a viewer
        return
    caller.identity |= {"file": uploaded.json["id"], "store": caller.ok("POST", "/v1/vector_stores", {"name": "own"})["id"]}


def plant(world):
    """What the victim has; returned ids are what attackers guess."""
    olga = world.olga
    world.add_thing("file", olga.upload(f"{SECRET}.md", PRIVATE, access="user:olga").json["id"])
    store = olga.ok("POST", "/v1/vector_stores", {"name": f"{SECRET}-store", "metadata": {"note": SECRET}})["id"]
    world.add_thing("store", store)
    batch = olga.ok("POST", f"/v1/vector_stores/{store}/file_batches", {"files": [{"file_id": world.things["file"], "attributes": {"team": SECRET}}]})
    world.add_thing("batch", batch["id"])
    assert world.wait_indexed(olga, store)["completed"] == 1

    found = olga.ok("POST", "/v1/stoa/search", {"query": SECRET, "vector_store_ids": [store], "mode": "text"})["data"]
    world.add_thing("document", found[0]["document_id"])
    world.link = found[0]["url"].removeprefix(world.server.url).partition("#")[0]

    answered = olga.call("POST", "/v1/responses", {"input": f"What does the {SECRET} project pay?", "metadata": {"stoa.answer": "extractive"},
                                                   "tools": [{"type": "file_search", "vector_store_ids": [store]}]})
    assert answered.status == 200 and SECRET in answered.text, answered
    world.add_thing("response", answered.json["id"])
    world.add_thing("trace", answered.headers["x-stoa-trace-id"], secrets.token_hex(16))
    world.add_thing("request", answered.headers["x-request-id"])

    line = {"custom_id": SECRET, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "none", "messages": [{"role": "user", "content": SECRET}]}}
    lines = olga.upload(f"{SECRET}.jsonl", json.dumps(line).encode(), access="user:olga", purpose="batch").json["id"]
    world.add_thing("work", olga.ok("POST", "/v1/batches", {"input_file_id": lines, "endpoint": line["url"], "completion_window": "24h", "metadata": {"note": SECRET}})["id"])
    world.add_thing("messages", olga.ok("POST", "/v1/messages/batches", {"requests": [{"custom_id": SECRET, "params": line["body"]}]})["id"])
    world.add_thing("upload", olga.ok("POST", "/v1/uploads", {"filename": SECRET, "bytes": 9, "mime_type": "text/plain", "purpose": "assistants", "stoa_access": "user:olga"})["id"])
    world.add_thing("lines", lines)

    rating = olga.ok("POST", "/v1/stoa/ratings", {"answer_id": answered.json["id"], "score": 1, "comment": SECRET})
    world.add_thing("rating", rating["id"])
    name = f"{SECRET}-data"
    version = olga.ok("POST", "/v1/stoa/datasets/from-ratings", {"name": name})
    world.add_thing("dataset", name, "a" * len(name))
    world.add_thing("version", version["version"], version["version"][:-4] + secrets.token_hex(2))

    content = SECRET.encode()
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    job = olga.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": SECRET, "access": "user:olga",
                                                    "files": [{"path": f"{SECRET}.txt", "digest": digest, "bytes": len(content)}]})
    world.add_thing("job", job["id"])
    world.digest = digest

    # Keys are the admin's: one that may be lost.
    key = world.adam.ok("POST", "/v1/stoa/keys", {"user": "olga", "label": SECRET, "role": "viewer"})
    world.add_thing("key", key["id"])
    world.add_thing("prefix", key["prefix"], secrets.token_hex(8))
    world.add_thing("project", key["project"])
    world.add_thing("token", olga.ok("POST", "/v1/stoa/tokens", {"name": SECRET, "grants": [f"dataset.read dataset {name}"], "seconds": 3000})["id"])
    world.add_thing("glass", world.adam.ok("POST", "/v1/stoa/break-glass", {"reason": f"{SECRET} is on fire", "minutes": 60})["id"])
    world.add_thing("user", "olga", "olgz")
    listed = world.adam.ok("GET", "/v1/stoa/audit?limit=1000")["data"]
    world.add_thing("olga", next(entry["principal"] for entry in listed if "/v1/stoa/ratings" in entry["resource"]))
    world.job_content = content


def blindfold(world):
    """What each caller must never be shown."""
    private = {SECRET} | {world.things[name] for name in ("file", "document", "response", "job", "work", "messages", "upload", "lines")}
    project = private | set(world.things.values())
    for name, caller in world.callers.items():
        if name in ("peter", "vera", "oscar", "adam"):  # of the same project: its stores, traces, ratings and datasets are theirs as well
            caller.blind_to = set()
        elif name != "olga":
            caller.blind_to = project
    world.private = private
