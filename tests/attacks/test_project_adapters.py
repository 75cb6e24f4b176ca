"""Adapters of one project, attacked from another tenant and from another project: they are seen, used, loaded and removed by nobody else."""
import os
import sqlite3
import sys

import numpy as np
import pytest

from attacker import Attacker
from stoa_server import CHAT, MODELS, ROOT, Stoa, need_models

sys.path.insert(0, str(ROOT / "tests/models"))
import random_model  # noqa: E402

ASKED = {"messages": [{"role": "user", "content": "Say something."}], "temperature": 0, "max_tokens": 8}


def write_adapter(path, seed):
    """A change of SmolLM2-135M's first queries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    changes = random_model.adapter_of({"blk.0.attn_q.weight": np.broadcast_to(np.float32(0), (576, 576))}, ["blk."], 4, seed)
    random_model.write_adapter(path, "llama", changes, 64)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Three projects with an operator each: the victim's, another of its tenant, one of another tenant. The victim has adapters, one of them loaded."""
    need_models()
    server = Stoa(tmp_path_factory.mktemp("adapters") / "home", models=False)
    folder = server.home / "models" / CHAT
    folder.mkdir(parents=True)
    for file in (MODELS / CHAT).resolve().iterdir():
        if file.is_file():
            os.symlink(file, folder / file.name)
    write_adapter(folder / "adapters/shared.gguf", 1)
    server.cli("projects", "create", "second")
    server.cli("tenants", "create", "rival")
    keys = {"olga": server.key("olga", "operator"), "paul": server.json("keys", "create", "--project", "second", "--user", "paul", "--role", "operator")["key"],
            "mallory": server.json("keys", "create", "--tenant", "rival", "--user", "mallory", "--role", "admin")["key"]}
    with sqlite3.connect(server.home / "stoa.db") as connection:
        projects = dict(connection.execute("SELECT t.name || '/' || p.name, p.id FROM projects p JOIN tenants t ON t.id = p.tenant"))
    for name, seed in (("secret", 2), ("waiting", 3)):
        write_adapter(folder / "project-adapters" / projects["default/default"] / f"{name}.gguf", seed)
    write_adapter(folder / "project-adapters" / projects["rival/default"] / "own.gguf", 4)
    server.start()
    server.callers = {name: Attacker(server.port, name, key, []) for name, key in keys.items()}
    server.olga = server.callers["olga"]
    assert server.olga.call("DELETE", f"/v1/stoa/models/{CHAT}/adapters/waiting").status == 200
    yield server
    server.stop()


def models_of(caller):
    return {each["id"] for each in caller.ok("GET", "/v1/models")["data"]}


def say(caller, model):
    return caller.call("POST", "/v1/chat/completions", {"model": model, **ASKED})


@pytest.mark.parametrize("who", ["mallory", "paul"])
def test_adapters_of_others_are_not_there(house, who):
    attacker, olga = house.callers[who], house.olga
    spoken = say(olga, f"{CHAT}:secret").json["choices"]
    assert {f"{CHAT}:secret", f"{CHAT}:shared"} <= models_of(olga)
    assert f"{CHAT}:shared" in models_of(attacker) and say(attacker, f"{CHAT}:shared").status == 200, "what is the installation's is for all"
    assert not any("secret" in each or "waiting" in each for each in models_of(attacker))
    for name in ("secret", "waiting"):
        absent = "absent"[:len(name)].ljust(len(name), "x")
        requests = [("GET", f"/v1/models/{CHAT}:%s", None), ("GET", "/v1/models/%s", None), ("PUT", f"/v1/stoa/models/{CHAT}/adapters/%s", None), ("DELETE", f"/v1/stoa/models/{CHAT}/adapters/%s", None)]
        requests += [("POST", path, {"model": model, **body}) for model in (f"{CHAT}:%s", "%s") for path, body in (
            ("/v1/chat/completions", ASKED), ("/v1/completions", {"prompt": "a", "max_tokens": 2}), ("/v1/responses", {"input": "a"}))]
        for method, path, body in requests:
            ask = lambda word: attacker.call(method, path.replace("%s", word), {key: value.replace("%s", word) if key == "model" else value for key, value in body.items()} if body else None)
            theirs, nothing = ask(name), ask(absent)
            assert theirs.status == nothing.status == 404, (method, path, theirs, nothing)
            assert theirs.text.replace(name, absent) == nothing.text, (method, path)
    again = say(olga, f"{CHAT}:secret")
    assert again.status == 200 and again.json["choices"] == spoken, "still there, and still the same"


def test_one_of_the_same_name_replaces_nothing(house):
    """The rival's operator puts a file of that name into the rival's folder."""
    olga, mallory = house.olga, house.callers["mallory"]
    spoken = say(olga, f"{CHAT}:secret").json["choices"]
    [own] = (house.home / "models" / CHAT / "project-adapters").glob("*/own.gguf")
    write_adapter(own.parent / "secret.gguf", 5)
    assert mallory.call("PUT", f"/v1/stoa/models/{CHAT}/adapters/secret").status == 200
    assert f"{CHAT}:secret" in models_of(mallory)
    assert say(olga, f"{CHAT}:secret").json["choices"] == spoken
    assert mallory.call("DELETE", f"/v1/stoa/models/{CHAT}/adapters/secret").status == 200
    assert say(olga, f"{CHAT}:secret").json["choices"] == spoken and f"{CHAT}:secret" not in models_of(mallory)


def test_the_installations_are_not_changed_by_tenants(house):
    for caller in house.callers.values():
        for method in ("PUT", "DELETE"):
            refused = caller.call(method, f"/v1/stoa/models/{CHAT}/adapters/shared")
            assert refused.status == 403 and "access.installation" in refused.text, refused
    assert f"{CHAT}:shared" in models_of(house.olga)
