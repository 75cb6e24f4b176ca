"""The passport of an answer: made by a real answer from documents, checked by the program's verb and by an independent reading of docs/formats/passport.md."""
import base64
import hashlib
import json
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from stoa_server import BINARY, CHAT

HANDBOOK = "The office opens at eight in the morning. Visitors sign the book at the gate. Keys are rotated every ninety days by the facility team.\n"


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def root_of(leaf, index, size, proof):
    """RFC 9162, section 2.1.3.2."""
    fn, sn, digest = index, size - 1, leaf
    for step in proof:
        assert sn
        if fn & 1 or fn == sn:
            digest = hashlib.sha256(b"\1" + step + digest).digest()
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            digest = hashlib.sha256(b"\1" + digest + step).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return digest


@pytest.fixture(scope="module")
def key(stoa):
    return stoa.key("petra")


@pytest.fixture(scope="module")
def admin(stoa):
    return stoa.key("pat", role="admin")


@pytest.fixture(scope="module")
def answer(stoa, key, tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    (folder / "house.txt").write_text(HANDBOOK)
    stoa.cli("ingest", str(folder), "--store", "house-passport", key=key)
    return stoa.json("ask", "How often are keys rotated?", "--store", "house-passport", key=key)


@pytest.fixture(scope="module")
def passport(stoa, key, admin, answer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("passport")
    stoa.cli("passport", answer["id"], "-o", str(folder / "answer.json"), "--html", str(folder / "answer.html"), key=key)
    (folder / "audit.key").write_text(stoa.json("audit", "checkpoint", key=admin)["key"] + "\n")
    return folder


def verify(passport, name="answer.json"):
    done = subprocess.run([BINARY, "--json", "passport", "verify", str(passport / name), "--key", str(passport / "audit.key")], capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def test_it_tells_what_happened(passport, answer):
    record = json.loads((passport / "answer.json").read_text())["record"]
    text = next(item for item in answer["output"] if item["type"] == "message")["content"][0]
    assert record["id"] == answer["id"] and record["kind"] == "response"
    assert record["asked_by"]["user"] == "petra" and record["asked_by"]["role"] == "developer"
    assert {decision["action"] for decision in record["asked_by"]["decisions"]} >= {"document.read", "model.use"}
    assert all(decision["rule"] for decision in record["asked_by"]["decisions"])
    assert record["model"]["name"] == CHAT and record["model"]["artifact"].startswith("sha256:")
    assert record["model"]["prompt"]["version"].startswith("sha256:")
    version = "sha256:" + hashlib.sha256(HANDBOOK.encode()).hexdigest()
    assert [source["version"] for source in record["grounds"]["sources"]] == [version] and record["grounds"]["sources"][0]["readers"] == "public"
    assert len(record["grounds"]["citations"]) == len(text["annotations"]) > 0
    salted = lambda part: "sha256:" + hashlib.sha256((record["content"]["salt"] + part).encode()).hexdigest()
    assert record["content"]["question"] == salted("How often are keys rotated?") and record["content"]["answer"] == salted(text["text"])
    assert record["usage"]["prompt_tokens"] == answer["usage"]["input_tokens"] and record["cost"]["micros"] >= 0
    assert "ninety" not in (passport / "answer.json").read_text(), "no content"


def test_anyone_with_the_key_can_check_it(passport):
    document = json.loads((passport / "answer.json").read_text())
    entry, audit = document["audit"]["entry"], document["audit"]
    assert entry["resource"] == "POST /v1/responses" and entry["answer"] == document["record"]["id"] and entry["request_id"] == document["record"]["request_id"]
    assert entry["record"] == "sha256:" + hashlib.sha256(compact(document["record"])).hexdigest()
    body, _, signatures = audit["checkpoint"].partition("\n\n")
    name, size, root = body.split("\n")
    public = base64.b64decode((passport / "audit.key").read_text().split("+", 2)[2])[1:]
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signatures.removeprefix(f"\u2014 {name} "))[4:], (body + "\n").encode())
    leaf = hashlib.sha256(b"\0" + compact(entry)).digest()
    assert root_of(leaf, entry["sequence"] - 1, int(size), [bytes.fromhex(step) for step in audit["proof"]]) == base64.b64decode(root)


def test_the_verb_checks_it_offline(passport):
    code, found = verify(passport)
    assert code == 0 and found["verified"], found
    text = (passport / "answer.json").read_text()
    for before, after in (('"petra"', '"peter"'), ('"outcome":"allowed","reason"', '"outcome":"failed","reason"'), (CHAT, "another-model")):
        assert before in text
        (passport / "forged.json").write_text(text.replace(before, after, 1))
        code, found = verify(passport, "forged.json")
        assert code == 1 and found["error"]["code"] == "data_loss", found


def test_the_page_is_whole(passport, answer):
    page = (passport / "answer.html").read_text()
    assert answer["id"] in page and "petra" in page and "<script" not in page and "{{" not in page and "http" not in page.replace("http://127.0.0.1", "")


def test_others_do_not_see_it(stoa, admin, answer):
    other = stoa.cli("passport", answer["id"], key=stoa.key("oscar"), check=False)
    missing = stoa.cli("passport", "resp_none", key=stoa.key("oscar"), check=False)
    assert other.returncode == missing.returncode == 5
    assert other.stderr.replace(answer["id"], "resp_none") == missing.stderr
    assert stoa.json("passport", answer["id"], key=admin)["record"]["id"] == answer["id"], "an auditor does"
    request = stoa.json("passport", answer["id"], key=admin)["record"]["request_id"]
    assert stoa.json("passport", request, key=admin)["record"]["id"] == answer["id"]


@pytest.mark.parametrize("stream", [False, True])
def test_chat_has_passports_too(stoa, key, stream):
    import openai

    client = openai.OpenAI(base_url=stoa.url + "/v1", api_key=key)
    asked = dict(model=CHAT, messages=[{"role": "user", "content": "Say hello."}], max_tokens=8, temperature=0.5, seed=7)
    reply = list(client.chat.completions.create(stream=True, **asked))[0] if stream else client.chat.completions.create(**asked)
    record = stoa.json("passport", reply.id, key=key)["record"]
    assert record["kind"] == "chat" and record["grounds"]["sources"] == []
    assert record["model"]["parameters"] == {"temperature": "0.5", "top_p": "1", "seed": "7", "max_tokens": "8"}
    assert record["usage"]["completion_tokens"] > 0 and record["content"]["answer"]
