"""The audit log as an auditor sees it: an export checked by this program's own verb, and by an independent reading of docs/formats/audit-log.md."""
import base64
import hashlib
import json
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from stoa_server import BINARY


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    cut = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:cut]), root(leaves[cut:]))


def opened(note, key):
    """Size and root that a checkpoint states; raises where the key has not signed it."""
    body, _, signatures = note.partition("\n\n")
    name, _, public = key.split("+", 2)
    blob = base64.b64decode(signatures.removeprefix(f"\u2014 {name} "))
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public)[1:]).verify(blob[4:], (body + "\n").encode())
    log, size, digest = body.split("\n")
    assert log == name
    return int(size), base64.b64decode(digest)


@pytest.fixture(scope="module")
def admin(stoa):
    return stoa.key("auditor", role="admin")


@pytest.fixture(scope="module")
def export(stoa, admin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    stoa.cli("status", key=admin)
    stoa.cli("usage", key=admin)
    key = stoa.json("audit", "checkpoint", key=admin)["key"]
    stoa.cli("audit", "export", str(folder / "audit.jsonl"), key=admin)
    return folder / "audit.jsonl", key


def verify(path, key):
    return subprocess.run([BINARY, "audit", "verify", str(path), "--key", key, "--json"], capture_output=True, text=True, timeout=60)


def test_an_export_proves_itself_to_anyone(export):
    path, key = export
    leaves, lines = [], path.read_text().splitlines()
    assert json.loads(lines[0]) == {"format": "stoa-audit/2", "after": 0, "subtrees": []}
    for line in lines[1:-1]:
        item = json.loads(line)
        leaves.append(bytes.fromhex(item["leaf"]))
        if "entry" in item:
            text = line.removeprefix('{"leaf":"' + item["leaf"] + '","entry":').removesuffix("}")
            assert hashlib.sha256(b"\0" + text.encode()).digest() == leaves[-1]
            assert item["entry"]["sequence"] == len(leaves)
    last = json.loads(lines[-1])
    assert opened(last["checkpoint"], key) == (len(leaves), root(leaves)) and last["proof"] == []
    with pytest.raises(InvalidSignature):
        opened(last["checkpoint"].replace(f"\n{len(leaves)}\n", f"\n{len(leaves) + 1}\n"), key)


def test_the_verb_says_where_an_export_was_changed(export, tmp_path):
    path, key = export
    whole = verify(path, key)
    assert whole.returncode == 0 and json.loads(whole.stdout)["intact"], whole.stdout
    text = path.read_text()
    number = next(index for index, line in enumerate(text.splitlines(), 1) if "identity.key.create" in line)
    changed = tmp_path / "changed.jsonl"
    for forged, where in ((text.replace("identity.key.create", "identity.key.Create", 1), f"line {number} "), ("\n".join(text.splitlines()[:-1]) + "\n", "without a checkpoint")):
        changed.write_text(forged)
        found = verify(changed, key)
        assert found.returncode == 1 and where in json.loads(found.stdout)["error"]["message"], found.stdout
    changed.write_text(text)
    assert verify(changed, key[:-8] + "AAAAAAA=").returncode != 0


def test_the_log_is_listed_and_checked(stoa, admin):
    assert stoa.json("audit", "check", key=admin)["intact"]
    made = stoa.json("audit", "list", "--action", "identity.key.create", key=admin)["data"]
    assert made and all(entry["action"] == "identity.key.create" for entry in made)
    events = [json.loads(line) for line in stoa.cli("audit", "export", "-", "--format", "ocsf", key=admin).stdout.splitlines()]
    assert {event["class_uid"] for event in events} == {6003} and any(event["api"]["operation"] == "identity.key.create" for event in events)
