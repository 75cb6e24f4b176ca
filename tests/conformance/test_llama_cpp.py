"""A real llama.cpp server, from its Python package, as the upstream of a provider: what it answers comes through whole."""
import json
import pathlib

import pytest

from stoa_server import CHAT, MODELS, Stoa, free_port, need_models

xllamacpp = pytest.importorskip("xllamacpp")
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


@pytest.fixture(scope="module")
def llama():
    """Its address."""
    need_models()
    params = xllamacpp.CommonParams()
    params.model.path = str(next(pathlib.Path(MODELS / CHAT).glob("*.gguf")))
    params.n_ctx, params.n_parallel, params.warmup, params.hostnames, params.port = 1024, 1, False, ["127.0.0.1"], free_port()
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(params)
    yield server.listening_address


@pytest.fixture(scope="module")
def behind(tmp_path_factory, llama):
    prices = tmp_path_factory.mktemp("prices") / "prices.yaml"
    prices.write_text('currency: USD\nas_of: "2026-11-21"\nsource: test\nprices:\n  - model: "llama/*"\n    per_compute_second: 0\n    per_million_input_tokens: 1000000\n'
                      "    per_million_cached_tokens: 0\n    per_million_output_tokens: 2000000\n")
    server = Stoa(tmp_path_factory.mktemp("llama"), models=False, environment={"STOA_EGRESS_PROVIDERS": llama, "STOA_COST_PRICES": str(prices)}).start()
    try:
        admin = server.key("ada", "admin")
        server.cli("providers", "add", "llama", "--family", "openai", "--url", llama + "/v1", "--option", "server=llama.cpp", "--model", "small=100000", key=admin)
        checked = server.cli("providers", "check", "llama", "--model", "small", key=admin).stdout
        assert "reached: 1 model" in checked and "small: answered" in checked
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ask(behind):
    import openai
    client = openai.OpenAI(base_url=behind.url + "/v1", api_key=behind.key("ann"), max_retries=0, timeout=120)
    return lambda **more: client.chat.completions.create(**({"model": "llama/small", "messages": QUESTION, "temperature": 0, "max_tokens": 16} | more))


def test_plain_and_stream(ask):
    answer = ask()
    assert "Paris" in answer.choices[0].message.content and answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens > 10 and answer.usage.completion_tokens > 0
    pieces = list(ask(stream=True, stream_options={"include_usage": True}))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == answer.choices[0].message.content
    assert pieces[-1].usage.completion_tokens == answer.usage.completion_tokens


def test_schema_grammar_and_logprobs(ask):
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"], "additionalProperties": False}
    answer = ask(max_tokens=40, response_format={"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, "strict": True}})
    assert json.loads(answer.choices[0].message.content)["colour"] in ("red", "green")
    assert ask(extra_body={"guided_grammar": 'root ::= "yes" | "no"'}).choices[0].message.content in ("yes", "no")
    logprobs = ask(logprobs=True, top_logprobs=2, max_tokens=2).choices[0].logprobs
    assert logprobs.content and logprobs.content[0].logprob <= 0 and len(logprobs.content[0].top_logprobs) == 2


def test_limits_and_too_long_prompts(ask):
    import openai
    assert ask(max_tokens=1).choices[0].finish_reason == "length"
    with pytest.raises(openai.BadRequestError) as caught:
        ask(messages=[{"role": "user", "content": "word " * 1500}])
    assert caught.value.code == "context_length_exceeded"
