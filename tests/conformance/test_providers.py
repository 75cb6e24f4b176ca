"""The official SDKs of OpenAI and Anthropic over providers of every family: what an application does with a model does not change with where the model is."""
import json

import anthropic
import openai
import pydantic
import pytest

import replays
from replays import CALL, TEXT
from stoa_server import wait_until

COUNTED = (replays.PROMPT_TOKENS, replays.ANSWER_TOKENS)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
families = pytest.mark.parametrize("family", replays.FAMILIES)


class Answer(pydantic.BaseModel):
    ok: bool


@pytest.fixture(scope="module")
def client(stoa):
    return openai.OpenAI(api_key=stoa.ann, base_url=stoa.url + "/v1", max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def claude(stoa):
    return anthropic.Anthropic(api_key=stoa.ann, base_url=stoa.url, max_retries=0, timeout=60)


def turns(question):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]


@families
def test_chat(client, family):
    completions, ask = client.chat.completions, {"model": f"{family}/big", "max_tokens": 64}
    answer = completions.create(messages=turns("What is the capital?"), **ask)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason, answer.model) == (TEXT, "stop", f"{family}/big")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == COUNTED
    with completions.stream(messages=turns("What is the capital?"), stream_options={"include_usage": True}, **ask) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(pieces) == final.choices[0].message.content == TEXT and len(pieces) > 1
    assert (final.usage.prompt_tokens, final.usage.completion_tokens) == COUNTED
    assert completions.parse(messages=turns("Is it?"), response_format=Answer, **ask).choices[0].message.parsed == Answer(ok=True)
    tools = [{"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": PARAMETERS, "strict": True}}]
    called = completions.create(messages=turns("How is the weather?"), tools=tools, **ask).choices[0]
    with completions.stream(messages=turns("How is the weather?"), tools=tools, **ask) as stream:
        streamed = stream.get_final_completion().choices[0]
    for choice in (called, streamed):
        call = choice.message.tool_calls[0]
        assert (choice.finish_reason, call.function.name, json.loads(call.function.arguments)) == ("tool_calls", *CALL)
        told = [*turns("How is the weather?"), choice.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        assert completions.create(messages=told, **ask).choices[0].message.content == TEXT


@families
def test_responses(client, family):
    responses, ask = client.responses, {"model": f"{family}/big", "instructions": "Be brief.", "max_output_tokens": 64}
    first = responses.create(input="What is the capital?", **ask)
    assert (first.status, first.output_text, first.usage.input_tokens, first.usage.output_tokens) == ("completed", TEXT, *COUNTED)
    assert responses.retrieve(first.id).output_text == TEXT
    assert responses.create(input="And again?", previous_response_id=first.id, **ask).output_text == TEXT
    with responses.stream(input="What is the capital?", **ask) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == TEXT
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed" and kinds.count("response.output_text.delta") > 1
    assert responses.parse(input="Is it?", text_format=Answer, **ask).output_parsed == Answer(ok=True)
    called = responses.create(input="How is the weather?", tools=[{"type": "function", "name": "weather", "description": "of a city", "parameters": PARAMETERS, "strict": True}], **ask)
    call = next(item for item in called.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == CALL
    told = responses.create(input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}], previous_response_id=called.id, **ask)
    assert told.output_text == TEXT
    later = responses.create(input="What is the capital?", background=True, **ask)
    wait_until(lambda: responses.retrieve(later.id).status == "completed", 60, "the response in the background")
    assert responses.retrieve(later.id).output_text == TEXT


@families
def test_messages(claude, family):
    ask = {"model": f"{family}/big", "system": "Be brief.", "max_tokens": 64}
    question = lambda text: [{"role": "user", "content": text}]  # noqa: E731
    answer = claude.messages.create(messages=question("What is the capital?"), **ask)
    assert (answer.content[0].text, answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == (TEXT, "end_turn", *COUNTED)
    with claude.messages.stream(messages=question("What is the capital?"), **ask) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == final.content[0].text == TEXT and len(pieces) > 1 and (final.usage.input_tokens, final.usage.output_tokens) == COUNTED
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    kept = claude.messages.create(messages=question("Is it?"), output_config={"format": {"type": "json_schema", "schema": schema}}, **ask)
    assert json.loads(kept.content[0].text) == {"ok": True}
    tools = [{"name": "weather", "description": "of a city", "input_schema": PARAMETERS}]
    called = claude.messages.create(messages=question("How is the weather?"), tools=tools, **ask)
    with claude.messages.stream(messages=question("How is the weather?"), tools=tools, **ask) as stream:
        streamed = stream.get_final_message()
    for message in (called, streamed):
        use = next(block for block in message.content if block.type == "tool_use")
        assert (message.stop_reason, use.name, use.input) == ("tool_use", *CALL)
        told = [*question("How is the weather?"), {"role": "assistant", "content": message.content}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}]}]
        assert claude.messages.create(messages=told, **ask).content[0].text == TEXT


@families
def test_errors(client, claude, family):
    model = f"{family}/big"
    for text, of_openai, of_anthropic in (("FAIL 429", openai.RateLimitError, anthropic.RateLimitError), ("FAIL 500", openai.InternalServerError, anthropic.InternalServerError)):
        for stream in (False, True):
            failing = [(of_openai, lambda: client.chat.completions.create(model=model, messages=turns(text), stream=stream)), (of_openai, lambda: client.responses.create(model=model, input=text, stream=stream)),
                       (of_anthropic, lambda: claude.messages.create(model=model, max_tokens=64, messages=[{"role": "user", "content": text}], stream=stream))]
            for kind, ask in failing:
                with pytest.raises(kind):
                    ask()
                # A target that does nothing but fail would be left alone for a moment.
                assert client.chat.completions.create(model=model, messages=turns("What is the capital?")).choices[0].message.content == TEXT
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=f"{family}/small", messages=turns("Hello"))


def test_batches_of_both_dialects(client, claude):
    lines = [{"custom_id": family, "method": "POST", "url": "/v1/chat/completions", "body": {"model": f"{family}/big", "messages": turns("What is the capital?")}} for family in replays.FAMILIES]
    file = client.files.create(file=("requests.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", 60, "the batch")
    output = map(json.loads, client.files.content(client.batches.retrieve(batch.id).output_file_id).text.splitlines())
    assert {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in output} == dict.fromkeys(replays.FAMILIES, TEXT)
    requests = [{"custom_id": family, "params": {"model": f"{family}/big", "max_tokens": 64, "messages": [{"role": "user", "content": "What is the capital?"}]}} for family in replays.FAMILIES]
    asked = claude.messages.batches.create(requests=requests)
    wait_until(lambda: claude.messages.batches.retrieve(asked.id).processing_status == "ended", 60, "the batch of messages")
    assert {one.custom_id: one.result.message.content[0].text for one in claude.messages.batches.results(asked.id)} == dict.fromkeys(replays.FAMILIES, TEXT)
