"""LoRA adapters of the default model: a project's own are loaded and unloaded by its operators while the server runs, and chosen by callers as
MODEL:ADAPTER; those of the installation are there for all."""
import hashlib
import json
import os
import pathlib
import sqlite3
import struct
import sys

import numpy as np
import openai
import pytest

from stoa_server import CHAT, MODELS, ROOT, Stoa, need_models

sys.path.insert(0, str(ROOT / "tests/models"))
import random_model  # noqa: E402

# SmolLM2-135M: 30 layers, 9 heads and 3 of keys and values, each of 64.
LAYERS, WIDTH, HEAD, KV_HEADS, HEADS = 30, 576, 64, 3, 9
SHAPES = {"attn_q": (WIDTH, WIDTH), "attn_v": (KV_HEADS * HEAD, WIDTH), "ffn_down": (WIDTH, 1536)}
MODULES = {"attn_q": "self_attn.q_proj", "attn_v": "self_attn.v_proj", "ffn_down": "mlp.down_proj"}
RANK, ALPHA = 4, 8
ASKED = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "max_tokens": 12}


def pairs(width=WIDTH, seed=1):
    """Low-rank changes of a fixed seed; only shapes count of the weights that they are for."""
    shapes = {f"blk.{layer}.{part}.weight": (rows, width if cols == WIDTH else cols) for layer in range(LAYERS) for part, (rows, cols) in SHAPES.items()}
    return random_model.adapter_of({name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}, ["blk."], RANK, seed)


def write_peft(folder, changes):
    """As PEFT saves it, which has the rows of a head's queries in another order than GGUF."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}))
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (a, b) in changes.items():
        _, layer, part, _ = name.split(".")
        if part == "attn_q":
            b = b.reshape(HEADS, HEAD // 2, 2, RANK).swapaxes(1, 2).reshape(b.shape)
        for letter, values in (("A", a), ("B", b)):
            piece = np.ascontiguousarray(values, "<f4").tobytes()
            header[f"base_model.model.model.layers.{layer}.{MODULES[part]}.lora_{letter}.weight"] = {
                "dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(piece)]}
            data += piece
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def break_adapters(folder):
    """Files that are cut short, garbage, without one half of a pair, or full of what is no number."""
    good = (folder / "late.gguf").read_bytes()
    (folder / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 60)
    (folder / "garbage.gguf").write_bytes(bytes(range(256)) * 8)
    (folder / "empty.gguf").write_bytes(b"")
    (folder / "cut.gguf").write_bytes(good[: len(good) // 2])
    (folder / "headless.gguf").write_bytes(good[:100])
    (folder / "halves.gguf").write_bytes(good.replace(b"blk.7.attn_q.weight.lora_b", b"blk.7.attn_k.weight.lora_b"))
    changes = pairs()
    first = next(iter(changes))
    changes[first][1][0, 0] = np.nan
    random_model.write_adapter(folder / "nan.gguf", "llama", changes, ALPHA)
    random_model.write_adapter(folder / "foreign.gguf", "llama", {"token_embd.weight": changes[first]}, ALPHA)
    weights = (folder / "peft/adapter_model.safetensors").read_bytes()
    config = (folder / "peft/adapter_config.json").read_text()
    for name, data, settings in [("cut-peft", weights[: len(weights) // 2], config), ("garbage-peft", b"\xff" * 400, config), ("halves-peft", weights.replace(b"layers.7.mlp.down_proj.lora_A", b"layers.7.mlp.gate_proj.lora_A"), config),
                                 ("dtype-peft", weights.replace(b'"F32"', b'"F77"', 1), config), ("config-peft", weights, config[:20]), ("dora-peft", weights, config.replace("{", '{"use_dora": true, ', 1))]:
        (folder / name).mkdir()
        (folder / name / "adapter_model.safetensors").write_bytes(data)
        (folder / name / "adapter_config.json").write_text(settings)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server whose model has adapters: one of the installation's from the start, and some of the project's for later."""
    need_models()
    server = Stoa(tmp_path_factory.mktemp("adapters"), models=False)
    adapters = server.home / "models" / CHAT / "adapters"
    adapters.mkdir(parents=True)
    for file in filter(pathlib.Path.is_file, (MODELS / CHAT).resolve().iterdir()):
        os.symlink(file, server.home / "models" / CHAT / file.name)
    random_model.write_adapter(adapters / "early.gguf", "llama", pairs(seed=2), ALPHA)
    server.start()
    with sqlite3.connect(server.home / "stoa.db") as connection:
        project, = connection.execute("SELECT id FROM projects").fetchone()
    adapters = server.home / "models" / CHAT / "project-adapters" / project
    adapters.mkdir(parents=True)
    random_model.write_adapter(adapters / "late.gguf", "llama", pairs(), ALPHA)
    write_peft(adapters / "peft", pairs())
    random_model.write_adapter(adapters / "wider.gguf", "llama", pairs(width=960), ALPHA)
    write_peft(adapters / "wider-peft", pairs(width=960))
    random_model.write_adapter(adapters / "qwen.gguf", "qwen2", pairs(), ALPHA)
    break_adapters(adapters)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def developer(house):
    return openai.OpenAI(api_key=house.key(), base_url=house.url + "/v1", max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def operator(house):
    return openai.OpenAI(api_key=house.key("olga", "operator"), base_url=house.url + "/v1", max_retries=0, timeout=120)


def load(client, adapter, model=CHAT):
    return client.put(f"/stoa/models/{model}/adapters/{adapter}", cast_to=object)


def unload(client, adapter, model=CHAT):
    return client.delete(f"/stoa/models/{model}/adapters/{adapter}", cast_to=object)


def say(client, model):
    answer = client.chat.completions.create(model=model, **ASKED)
    assert answer.model == model
    return answer.choices[0].message.content


def listed(client):
    return {model.id for model in client.models.list()}


def test_those_in_the_folder_are_there_from_the_start(developer):
    assert f"{CHAT}:early" in listed(developer)
    assert say(developer, f"{CHAT}:early") != say(developer, CHAT)


def test_loaded_chosen_and_unloaded_while_the_server_runs(developer, operator):
    plain = say(developer, CHAT)
    with pytest.raises(openai.NotFoundError):
        say(developer, f"{CHAT}:late")
    assert load(operator, "late") == {"id": f"{CHAT}:late", "object": "stoa.adapter", "loaded": True}
    assert load(operator, "peft")["loaded"]
    assert {f"{CHAT}:late", f"{CHAT}:peft"} <= listed(developer)
    assert developer.models.retrieve(f"{CHAT}:late").parent == CHAT
    adapted = say(developer, f"{CHAT}:late")
    assert adapted != plain
    assert say(developer, f"{CHAT}:peft") == adapted, "the same numbers in the other format"
    assert say(developer, CHAT) == plain, "the model itself is as it was"
    stream = developer.chat.completions.create(model=f"{CHAT}:late", stream=True, **ASKED)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == adapted

    with pytest.raises(openai.ConflictError):
        load(operator, "late")
    for name in ("late", "peft"):
        assert unload(operator, name) == {"id": f"{CHAT}:{name}", "object": "stoa.adapter", "loaded": False}
        assert f"{CHAT}:{name}" not in listed(developer)
        with pytest.raises(openai.NotFoundError) as caught:
            say(developer, f"{CHAT}:{name}")
        assert caught.value.code == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            unload(operator, name)


@pytest.mark.parametrize("adapter, mentions", [
    ("wider", ["blk.0.attn_q.weight.lora_a", "[4, 960]", "[r, 576]"]),
    ("wider-peft", ["layers.0.self_attn.q_proj.lora_A.weight", "[4, 960]", "[r, 576]"]),
    ("qwen", ["qwen2", "llama"]),
])
def test_an_adapter_of_another_model_is_refused_with_names_and_numbers(operator, developer, adapter, mentions):
    with pytest.raises(openai.BadRequestError) as caught:
        load(operator, adapter)
    assert all(part in caught.value.message for part in mentions), caught.value.message
    assert f"{CHAT}:{adapter}" not in listed(developer)


@pytest.mark.parametrize("adapter, mentions", [
    ("broken", ["broken.gguf", "4294967295"]),
    ("garbage", ["garbage.gguf", "not a GGUF file"]),
    ("empty", ["empty.gguf", "0 left"]),
    ("cut", ["cut.gguf", "tensor", "lora_", "bytes at offset"]),
    ("headless", ["headless.gguf", "tensor count 180"]),
    ("halves", ["halves.gguf", "blk.7.attn_", "other half"]),
    ("nan", ["nan.gguf", "blk.0.attn_q.weight.lora_b", "nan at index 0"]),
    ("foreign", ["foreign.gguf", "token_embd.weight.lora_"]),
    ("cut-peft", ["adapter_model.safetensors", "lora_", "data_offsets end at"]),
    ("garbage-peft", ["adapter_model.safetensors", "header length"]),
    ("halves-peft", ["adapter_model.safetensors", "layers.7.mlp.", "other half"]),
    ("dtype-peft", ["adapter_model.safetensors", "F77"]),
    ("config-peft", ["adapter_config.json"]),
    ("dora-peft", ["adapter_config.json", "use_dora"]),
])
def test_a_broken_or_unfit_file_is_the_callers_mistake(operator, developer, adapter, mentions):
    with pytest.raises(openai.APIStatusError) as caught:
        load(operator, adapter)
    assert caught.value.status_code in (400, 413), caught.value.message
    assert all(part in caught.value.message for part in mentions), caught.value.message
    assert f"{CHAT}:{adapter}" not in listed(developer)
    assert say(developer, CHAT)


@pytest.mark.parametrize("model, adapter, mentions", [
    ("gpt-99", "late", "gpt-99"), (CHAT, "nowhere", "nowhere"), (CHAT, "..late", "there is no adapter")])
def test_what_is_not_there_is_not_found(operator, model, adapter, mentions):
    with pytest.raises(openai.NotFoundError) as caught:
        load(operator, adapter, model)
    assert mentions in caught.value.message
    with pytest.raises(openai.NotFoundError):
        unload(operator, adapter, model)


@pytest.mark.parametrize("adapter", ["%2E%2E%2Flate", "..%2F..%2F" + CHAT])
def test_names_with_a_way_up_are_refused(operator, adapter):
    for change in (load, unload):
        with pytest.raises(openai.BadRequestError):
            change(operator, adapter, CHAT)


def test_the_passport_names_model_and_adapter(house, developer, operator):
    adapters = house.home / "models" / CHAT / "adapters"
    answer = developer.chat.completions.create(model=f"{CHAT}:early", **ASKED)
    model = house.json("passport", answer.id, key=developer.api_key)["record"]["model"]
    assert model["name"] == f"{CHAT}:early" and model["adapter"]["base"] == CHAT
    assert model["adapter"]["artifact"] == "sha256:" + hashlib.sha256((adapters / "early.gguf").read_bytes()).hexdigest()
    plain = developer.chat.completions.create(model=CHAT, **ASKED)
    alone = house.json("passport", plain.id, key=developer.api_key)["record"]["model"]
    assert alone["adapter"] == {"base": "", "artifact": ""} and alone["artifact"] == model["artifact"] != ""


def test_the_installations_own_are_not_changed_over_http(developer, operator):
    for change in (load, unload):
        with pytest.raises(openai.PermissionDeniedError) as caught:
            change(operator, "early")
        assert "access.installation" in caught.value.message
    assert say(developer, f"{CHAT}:early")


def test_only_operators_change_what_is_served(house, developer):
    for change in (load, unload):
        with pytest.raises(openai.PermissionDeniedError):
            change(developer, "early")
    assert f"{CHAT}:early" in listed(developer)
    stranger = openai.OpenAI(api_key="sk-stoa-wrong", base_url=house.url + "/v1", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        load(stranger, "late")
