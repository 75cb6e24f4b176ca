"""Routes: names that callers use as models. What answers behind one is changed while the server runs."""
import openai
import pytest

from stoa_server import CHAT

ASKED = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "max_tokens": 8}


@pytest.fixture(scope="module")
def admin(server):
    return server.key("root", "admin")


@pytest.fixture
def put(server, admin, tmp_path):
    def put(name, text, *more):
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        return server.json("routes", "set", name, str(file), *more, key=admin)

    yield put
    for route in server.json("routes", "list", key=admin)["data"]:
        server.cli("routes", "remove", route["name"], key=admin)


def test_a_route_answers_like_its_target(server, client, put, admin):
    put("house", f"description: the one we have\ntargets: [{{model: {CHAT}}}]")
    direct, routed = client.chat.completions.create(model=CHAT, **ASKED), client.chat.completions.create(model="house", **ASKED)
    assert routed.choices[0].message.content == direct.choices[0].message.content and routed.model == "house"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(model="house", stream=True, **ASKED)) == direct.choices[0].message.content
    assert client.responses.create(model="house", input="Hello", max_output_tokens=16, temperature=0).output_text
    assert "house" in [model.id for model in client.models.list().data] and client.models.retrieve("house").id == "house"
    usage = {row["key"]: row["requests"] for row in server.json("usage", "--by", "model", key=admin)["data"]}
    answer = server.json("passport", routed.id, key=admin)["record"]["model"]
    assert (answer["name"], answer["target"]) == ("house", CHAT) and answer["artifact"] == server.json("passport", direct.id, key=admin)["record"]["model"]["artifact"] != ""
    assert "house" not in usage and usage[CHAT] >= 4, "what did the work is what is paid"


def test_what_is_missing_is_passed_over(client, put):
    put("patient", f"choose: ordered\ntargets: [{{provider: nowhere, model: big}}]\nfallback: [{{model: {CHAT}}}]")
    assert client.chat.completions.create(model="patient", **ASKED).choices[0].message.content
    put("patient", "targets: [{provider: nowhere, model: big}, {model: none-such}]")
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="patient", **ASKED)
    assert "nowhere" in missing.value.message and "none-such" in missing.value.message and missing.value.param == "model"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nowhere/big", **ASKED)


def test_versions_are_compared_and_brought_back(server, client, put, admin):
    assert put("moving", f"targets:\n  - model: {CHAT}\n", "--comment", "first")["version"] == 1
    assert put("moving", "targets:\n  - model: none-such\n")["version"] == 2
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="moving", **ASKED)
    difference = server.cli("routes", "diff", "moving", "1", "2", key=admin).stdout.splitlines()
    assert [line.replace("\x1b[31m", "").replace("\x1b[32m", "").replace("\x1b[0m", "") for line in difference] == ["  targets:", f"-   - model: {CHAT}", "+   - model: none-such"]
    assert server.json("routes", "rollback", "moving", "1", key=admin)["version"] == 3
    assert client.chat.completions.create(model="moving", **ASKED).choices[0].message.content
    assert server.cli("routes", "show", "moving", key=admin).stdout == f"targets:\n  - model: {CHAT}\n"
    assert "first" in server.cli("routes", "history", "moving", key=admin).stdout
    refused = server.cli("routes", "set", "moving", "-", key=admin, check=False)
    assert refused.returncode == 2 and "targets" in refused.stderr


def test_rules_decide_which_targets_a_caller_reaches(server, client, put, admin, tmp_path):
    put("guarded", f"targets: [{{model: {CHAT}}}]")
    rules = tmp_path / "targets.policy"
    rules.write_text('policy "not-that-one" { forbid model.use when resource.kind == "target" and resource.labels has "on_prem" }')
    server.cli("policies", "set", "targets", str(rules), key=admin)
    try:
        with pytest.raises(openai.PermissionDeniedError):
            client.chat.completions.create(model="guarded", **ASKED)
        assert client.chat.completions.create(model=CHAT, **ASKED), "the model itself is no target"
    finally:
        server.cli("policies", "remove", "targets", key=admin)
    assert client.chat.completions.create(model="guarded", **ASKED)
