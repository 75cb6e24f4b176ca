"""What an upstream does not count, a tokenizer of this server counts: as the model it belongs to counts the same texts."""
import openai
import pytest

import replays
from stoa_server import CHAT, Stoa, need_models

QUESTION = {"messages": [{"role": "user", "content": "Wie heißt die Hauptstadt von Österreich?"}], "temperature": 0}
ANSWER = "Wien, natürlich — what else? 12345"
WHOLE = ('data: {"choices":[{"index":0,"delta":{"content":"Wien, "}}]}\n\ndata: {"choices":[{"index":0,"delta":{"content":"natürlich — what else? 12345"}}]}\n\n'
         'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
BROKEN = WHOLE[:WHOLE.index('data: {"choices":[{"index":0,"delta":{},')]


@pytest.fixture(scope="module")
def stoa(tmp_path_factory):
    need_models()
    upstream = replays.Upstream()
    folder = tmp_path_factory.mktemp("counts")
    running = Stoa(folder / "home", environment={"STOA_EGRESS_PROVIDERS": upstream.url, "STOA_COST_PRICES": str(replays.prices(folder))}).start()
    admin = running.key("ada", "admin")
    running.cli("providers", "add", "openai", "--family", "openai", "--url", upstream.url + "/v1", "--model", "big=8192", "--option", f"tokenizer={CHAT}", key=admin)
    running.cli("providers", "add", "azure", "--family", "openai", "--url", upstream.url + "/v1", "--model", "big=8192", "--option", "tokenizer=no-such-model", key=admin)
    running.upstream, running.ann = upstream, openai.OpenAI(base_url=running.url + "/v1", api_key=running.key("ann"), max_retries=0)
    yield running
    running.stop()
    upstream.server.shutdown()


def tokens(stoa, **what):
    return stoa.ann.completions.create(model=CHAT, max_tokens=1, temperature=0, **what).usage.prompt_tokens


@pytest.mark.parametrize("reply", [WHOLE, BROKEN], ids=["whole", "broken"])
def test_the_counts_are_those_of_the_model(stoa, reply):
    stoa.upstream.replies["/v1/chat/completions"] = (200, "text/event-stream", reply.encode())
    own = stoa.ann.chat.completions.create(model=CHAT, max_tokens=1, **QUESTION).usage.prompt_tokens
    begins = tokens(stoa, prompt="a") - 1
    pieces, usage = "", None
    try:
        for chunk in stoa.ann.chat.completions.create(model="openai/big", stream=True, stream_options={"include_usage": True}, **QUESTION):
            pieces += chunk.choices[0].delta.content or "" if chunk.choices else ""
            usage = chunk.usage or usage
    except openai.APIError:
        assert reply is BROKEN
    assert pieces == ANSWER
    paid = stoa.json("usage", "--by", "model", key=stoa.key("aud", "admin"))["data"]
    row = next(row for row in paid if row["key"] == "openai/big")
    expected = (own, tokens(stoa, prompt=ANSWER) - begins)
    assert (row["prompt_tokens"], row["completion_tokens"]) == tuple(count * row["requests"] for count in expected), "every one so far"
    assert usage is None or (usage.prompt_tokens, usage.completion_tokens) == expected


def test_a_tokenizer_that_is_not_there_is_said(stoa):
    with pytest.raises(openai.APIStatusError) as refused:
        stoa.ann.chat.completions.create(model="azure/big", **QUESTION)
    assert "no-such-model" in str(refused.value) and "tokenizer of the provider 'azure'" in str(refused.value)
