"""A Stoa without a model of its own, in front of another: routes over a provider that is the real thing, with what it served compared to what was paid."""
import json

import openai
import pytest

from stoa_server import CHAT, Stoa, wait_until

ASKED = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "max_tokens": 8}
PRICES = f"""currency: USD
as_of: "2026-11-21"
source: test
prices:
  - {{model: "*", per_compute_second: 27}}
  - {{model: "house/{CHAT}", per_million_input_tokens: 1000000, per_million_output_tokens: 2000000}}
"""
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


@pytest.fixture(scope="module")
def front(server, tmp_path_factory):
    home = tmp_path_factory.mktemp("front")
    (home / "prices.yaml").write_text(PRICES)
    running = Stoa(home, models=False, environment={"STOA_EGRESS_PROVIDERS": "http://127.0.0.1:*", "STOA_COST_PRICES": str(home / "prices.yaml")}).start()
    running.admin = running.key("root", "admin")
    credential = home / "house.key"
    credential.write_text(server.key("front"))
    running.cli("providers", "add", "house", "--family", "openai", "--url", server.url + "/v1", "--model", f"{CHAT}=2048", "--key-file", str(credential), key=running.admin)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def near(front):
    return openai.OpenAI(api_key=front.key(), base_url=front.url + "/v1", max_retries=0, timeout=60)


def route(front, name, **what):
    file = front.home / f"{name}.json"
    file.write_text(json.dumps(what))
    front.cli("routes", "set", name, str(file), key=front.admin)


def paid(front):
    return {row["key"]: row for row in front.json("usage", "--by", "model", key=front.admin)["data"]}


def test_the_same_request_gives_the_same_answer(front, near, client):
    direct = client.chat.completions.create(model=CHAT, **ASKED)
    through = near.chat.completions.create(model=f"house/{CHAT}", **ASKED)
    assert through.choices[0].message.content == direct.choices[0].message.content and through.choices[0].finish_reason == direct.choices[0].finish_reason
    assert (through.usage.prompt_tokens, through.usage.completion_tokens) == (direct.usage.prompt_tokens, direct.usage.completion_tokens)
    chunks = list(near.chat.completions.create(model=f"house/{CHAT}", stream=True, stream_options={"include_usage": True}, **ASKED))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == direct.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == direct.usage.completion_tokens
    forced = {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}, "temperature": 0, "max_tokens": 64, "messages": ASKED["messages"]}
    calls = [who.chat.completions.create(model=name, **forced).choices[0].message.tool_calls[0].function for who, name in ((client, CHAT), (near, f"house/{CHAT}"))]
    assert calls[0].name == calls[1].name == "weather" and json.loads(calls[0].arguments) == json.loads(calls[1].arguments)


def test_what_the_upstream_served_is_what_is_paid(front, near):
    route(front, "assistant", targets=[{"provider": "house", "model": CHAT}])
    before = paid(front).get(f"house/{CHAT}", {"requests": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost_micro_usd": 0})
    told = [near.chat.completions.create(model="assistant", **ASKED).usage, near.chat.completions.create(model="assistant", **ASKED, n=2).usage,
            near.responses.create(model="assistant", input="Hello", max_output_tokens=16, temperature=0).usage]
    tokens = lambda usage: (getattr(usage, "prompt_tokens", None) or usage.input_tokens, getattr(usage, "completion_tokens", None) or usage.output_tokens)
    after = paid(front)[f"house/{CHAT}"]
    assert after["requests"] - before["requests"] == 3
    assert after["prompt_tokens"] - before["prompt_tokens"] == sum(tokens(usage)[0] for usage in told)
    assert after["completion_tokens"] - before["completion_tokens"] == sum(tokens(usage)[1] for usage in told)
    assert after["cost_micro_usd"] > before["cost_micro_usd"]


def test_a_dead_target_is_followed_by_the_next(front, near):
    front.cli("providers", "add", "dead", "--family", "openai", "--url", "http://127.0.0.1:9/v1", "--model", "m", key=front.admin)
    route(front, "unpriced", choose="ordered", targets=[{"provider": "dead", "model": "m"}])
    with pytest.raises(openai.NotFoundError) as missing:
        near.chat.completions.create(model="unpriced", **ASKED)
    assert "price" in missing.value.message, "nothing is served that cannot be paid"
    (front.home / "prices.yaml").write_text(PRICES + '  - {model: "dead/*"}\n')
    front.stop()
    front.start()
    route(front, "patient", choose="ordered", targets=[{"provider": "dead", "model": "m"}, {"provider": "house", "model": CHAT}])
    for _ in range(7):
        assert near.chat.completions.create(model="patient", **ASKED).choices[0].message.content
    route(front, "hopeless", targets=[{"provider": "dead", "model": "m"}])
    with pytest.raises(openai.InternalServerError) as gone:
        near.chat.completions.create(model="hopeless", **ASKED)
    assert gone.value.status_code == 503


def test_policies_keep_requests_in_the_house(front, near):
    route(front, "anywhere", targets=[{"provider": "house", "model": CHAT}])
    rules = front.home / "stay.policy"
    rules.write_text('policy "stay" { forbid model.use when resource.kind == "target" and not resource.labels has "on_prem" }')
    front.cli("policies", "set", "stay", str(rules), key=front.admin)
    with pytest.raises(openai.PermissionDeniedError):
        near.chat.completions.create(model="anywhere", **ASKED)
    front.cli("policies", "remove", "stay", key=front.admin)
    wait_until(lambda: near.chat.completions.create(model="anywhere", **ASKED).choices, 5, "allowed again")
