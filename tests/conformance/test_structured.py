"""Answers that are valid by construction: structured outputs, guided decoding, tool calls, streamed and whole."""
import json
import re
from typing import Literal, Optional

import openai
import pydantic
import pytest

from stoa_server import CHAT

ASK = [{"role": "user", "content": "What is the weather in Oslo today?"}]


class Step(pydantic.BaseModel):
    kind: Literal["look", "think", "answer"]
    minutes: int = pydantic.Field(ge=0, le=90)
    done: bool


class Report(pydantic.BaseModel):
    city: str = pydantic.Field(max_length=30)
    note: Optional[str] = pydantic.Field(max_length=40)
    steps: list[Step] = pydantic.Field(max_length=2)


class Weather(pydantic.BaseModel):
    """Tells the weather of a city."""

    city: str = pydantic.Field(max_length=20)
    unit: Literal["celsius", "fahrenheit"]
    days: int = pydantic.Field(ge=1, le=7)


STRICT = openai.pydantic_function_tool(Weather, name="weather")
LOOSE = {"type": "function", "function": {"name": "note", "description": "Keeps a note.", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}}


def ask(client, **options):
    return client.chat.completions.create(**{"model": CHAT, "temperature": 0, "max_tokens": 300, "messages": ASK, **options})


def refused(client, **options):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **options)
    return caught.value


def schema_format(schema, name="thing"):
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


def weather(call):
    assert call.id and call.type == "function" and call.function.name == "weather"
    return Weather.model_validate_json(call.function.arguments)


# --- structured outputs

@pytest.mark.parametrize("temperature", [0, 1.2])
def test_parse_fills_a_pydantic_model(client, temperature):
    answer = client.chat.completions.parse(model=CHAT, temperature=temperature, seed=4, max_tokens=300, messages=ASK, response_format=Report)
    assert answer.choices[0].finish_reason == "stop" and isinstance(answer.choices[0].message.parsed, Report)


def test_parse_filters_and_penalties(client):
    answer = client.chat.completions.parse(model=CHAT, temperature=1.5, top_p=0.6, seed=1, presence_penalty=0.5, max_tokens=300, messages=ASK, response_format=Report,
                                           logit_bias={"28": 5}, extra_body={"top_k": 30, "min_p": 0.02})
    assert isinstance(answer.choices[0].message.parsed, Report)


def test_parse_streamed(client):
    with client.chat.completions.stream(model=CHAT, temperature=0, max_tokens=300, messages=ASK, response_format=Report) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(pieces) == final.choices[0].message.content and len(pieces) > 3
    assert isinstance(final.choices[0].message.parsed, Report)


def test_stream_equals_whole(client):
    whole = ask(client, response_format=schema_format(Report.model_json_schema())).choices[0].message.content
    stream = ask(client, response_format=schema_format(Report.model_json_schema()), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole


def test_several_choices_are_all_valid(client):
    answer = client.chat.completions.parse(model=CHAT, temperature=1.4, seed=9, n=3, max_tokens=300, messages=ASK, response_format=Report)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all(isinstance(choice.message.parsed, Report) for choice in answer.choices)


def test_logprobs_belong_to_the_text(client):
    choice = ask(client, response_format=schema_format(Step.model_json_schema()), logprobs=True, top_logprobs=2).choices[0]
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    Step.model_validate_json(choice.message.content)


def streamed(client, **options):
    """The deltas of a stream of one choice, its finish reason, and its usage."""
    deltas, finish, usage, tokens = [], None, None, []
    for chunk in ask(client, stream=True, stream_options={"include_usage": True}, **options):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            deltas.append(choice.delta)
            finish = choice.finish_reason or finish
            tokens += choice.logprobs.content if choice.logprobs else []
    return deltas, finish, usage, tokens


def test_logprobs_of_a_structured_stream(client):
    options = {"response_format": schema_format(Step.model_json_schema()), "logprobs": True, "top_logprobs": 3}
    deltas, finish, usage, tokens = streamed(client, **options)
    text = "".join(delta.content or "" for delta in deltas)
    assert finish == "stop" and "".join(token.token for token in tokens) == text
    assert usage.completion_tokens - len(tokens) in (0, 1)  # the token that ends the answer has no text
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)
    whole = ask(client, **options).choices[0].logprobs.content
    assert [token.token for token in whole] == [token.token for token in tokens]
    # Guesses of what the schema prescribes may change a sum in its last bits, nothing more.
    assert [token.logprob for token in whole] == pytest.approx([token.logprob for token in tokens], abs=0.05)


def test_logprobs_of_streamed_calls(client):
    deltas, finish, _, tokens = streamed(client, tools=[STRICT], tool_choice="required", parallel_tool_calls=False, logprobs=True, top_logprobs=1)
    arguments = "".join(call.function.arguments or "" for delta in deltas for call in delta.tool_calls or [])
    assert finish == "tool_calls" and Weather.model_validate_json(arguments)
    assert arguments in "".join(token.token for token in tokens)  # those of the markers and the name are there, too


def test_many_alternatives_share_their_prompt(client):
    answer = ask(client, n=20, temperature=1.2, seed=1, max_tokens=6, messages=[{"role": "user", "content": "Name a colour. " + "Any will do. " * 40}])
    assert [choice.index for choice in answer.choices] == list(range(20))
    assert len({choice.message.content for choice in answer.choices}) > 5
    again = ask(client, n=20, temperature=1.2, seed=1, max_tokens=6, messages=[{"role": "user", "content": "Name a colour. " + "Any will do. " * 40}])
    assert again.usage.prompt_tokens == answer.usage.prompt_tokens and again.usage.prompt_tokens_details.cached_tokens > 0


def test_usage_has_reasoning_tokens(client):
    usage = ask(client, max_tokens=4).usage
    assert usage.completion_tokens_details.reasoning_tokens == 0  # this model does not reason
    assert client.responses.create(model=CHAT, input="Hello.", max_output_tokens=16).usage.output_tokens_details.reasoning_tokens == 0


def test_json_object(client):
    # A small model may go on for long: what was said until then is the beginning of an object.
    choice = ask(client, response_format={"type": "json_object"}, max_tokens=200).choices[0]
    assert choice.message.content.startswith("{")
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content), dict)


def test_the_token_limit_may_cut(client):
    choice = ask(client, response_format=schema_format(Report.model_json_schema()), max_tokens=4).choices[0]
    assert choice.finish_reason == "length" and choice.message.content.startswith("{")


@pytest.mark.parametrize("schema, place", [
    ({"type": "object", "properties": {"a": {"not": {}}}}, "properties/a"),
    ({"type": "object", "properties": {"a": {"type": "string", "minLength": 5, "maxLength": 2}}, "required": ["a"]}, "nothing can satisfy"),
    ({"$ref": "https://example.com/schema"}, "$ref"),
    ({"type": "number", "fancy": 1}, "fancy"),
])
def test_schemas_that_cannot_be_enforced_name_the_place(client, schema, place):
    error = refused(client, response_format=schema_format(schema))
    assert error.param == "response_format.json_schema.schema" and place in error.message


@pytest.mark.parametrize("field, value, param", [
    ("response_format", {"type": "xml"}, "response_format.type"),
    ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema"),
    ("tools", [{"type": "web_search"}], "tools[0].type"),
    ("tools", [{"type": "function", "function": {"name": "two words"}}], "tools"),
    ("tool_choice", "required", "tool_choice"),
    ("functions", [{"name": "f"}], "functions"),
    ("service_tier", "gold", "service_tier"),
    ("n", 129, "n"),
])
def test_bad_requests_name_the_field(client, field, value, param):
    assert refused(client, **{field: value}).param == param


# --- guided decoding

@pytest.mark.parametrize("fields, pattern", [
    ({"guided_choice": ["yes", "no", "may be (?)"]}, r"yes|no|may be \(\?\)"),
    ({"guided_regex": r"[A-Z][a-z]{2,8}, [0-9]{4}"}, r"[A-Z][a-z]{2,8}, [0-9]{4}"),
    ({"guided_grammar": 'root ::= item (" + " item){1,2}\nitem ::= [0-9]{1,3}'}, r"\d{1,3}( \+ \d{1,3}){1,2}"),
    ({"guided_json": {"type": "integer", "minimum": 10, "maximum": 99}}, r"\d\d"),
    ({"structured_outputs": {"choice": ["red", "green"]}}, "red|green"),
])
@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_guided(client, fields, pattern, endpoint):
    options = {"model": CHAT, "temperature": 0.9, "seed": 2, "max_tokens": 40, "extra_body": fields}
    if endpoint == "chat":
        text = client.chat.completions.create(**options, messages=ASK).choices[0].message.content
    else:
        text = client.completions.create(**options, prompt="The answer is").choices[0].text
    assert re.fullmatch(pattern, text), text


@pytest.mark.parametrize("fields, param", [
    ({"guided_regex": "(?=a)b"}, "guided_regex"), ({"guided_grammar": "root ::= other"}, "guided_grammar"),
    ({"guided_choice": []}, "guided_choice"), ({"guided_json": {"not": {}}}, "guided_json"), ({"guided_regex": "a", "guided_choice": ["b"]}, "guided_choice"),
    ({"structured_outputs": {"regex": "["}}, "structured_outputs.regex"), ({"guided_regex": "(a|b)*a" + "(a|b)" * 30}, "guided_regex")])
def test_guided_refusals(client, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, extra_body=fields)
    assert caught.value.param == param


# --- tools

@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
@pytest.mark.parametrize("temperature", [0, 1.3])
def test_calls_are_valid(client, choice, temperature):
    answer = ask(client, tools=[STRICT], tool_choice=choice, temperature=temperature, seed=3, parallel_tool_calls=False).choices[0]
    assert answer.finish_reason == "tool_calls" and answer.message.content is None
    (call,) = answer.message.tool_calls
    weather(call)


def test_several_calls_in_one_answer(client):
    # The small model calls until it may not, which is after 16.
    answer = ask(client, tools=[STRICT], tool_choice="required", max_tokens=1500).choices[0]
    assert answer.finish_reason == "tool_calls" and 1 < len(answer.message.tool_calls) <= 16
    assert len({call.id for call in answer.message.tool_calls}) == len(answer.message.tool_calls)
    for call in answer.message.tool_calls:
        weather(call)


def test_parse_fills_arguments(client):
    answer = client.chat.completions.parse(model=CHAT, temperature=0, max_tokens=200, messages=ASK, tools=[STRICT], tool_choice="required", parallel_tool_calls=False)
    (call,) = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Weather)


def test_loose_arguments_are_an_object(client):
    answer = ask(client, tools=[LOOSE, STRICT], tool_choice={"type": "function", "function": {"name": "note"}}, parallel_tool_calls=False, max_tokens=400).choices[0]
    (call,) = answer.message.tool_calls
    assert call.function.name == "note"
    if answer.finish_reason == "tool_calls":
        assert isinstance(json.loads(call.function.arguments), dict)


def test_streamed_calls(client):
    names, arguments, finish, ids = {}, {}, None, {}
    for chunk in ask(client, tools=[STRICT], tool_choice="required", max_tokens=1500, stream=True):
        choice = chunk.choices[0]
        finish = choice.finish_reason or finish
        for call in choice.delta.tool_calls or []:
            if call.id:
                assert call.index == len(ids) and call.type == "function"
                ids[call.index], names[call.index] = call.id, call.function.name
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert finish == "tool_calls" and set(names.values()) == {"weather"}
    for text in arguments.values():
        Weather.model_validate_json(text)


def test_streamed_calls_through_the_helper(client):
    with client.chat.completions.stream(model=CHAT, temperature=0, max_tokens=1500, messages=ASK, tools=[STRICT], tool_choice="required") as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert done and all(isinstance(event.parsed_arguments, Weather) for event in done)


def test_choice_none_gives_text(client):
    answer = ask(client, tools=[STRICT], tool_choice="none", max_tokens=40).choices[0]
    assert answer.message.tool_calls is None and answer.message.content


@pytest.mark.parametrize("seed", range(3))
def test_choice_auto_gives_text_or_valid_calls(client, seed):
    answer = ask(client, tools=[STRICT], temperature=1, seed=seed, max_tokens=200).choices[0]
    assert (answer.finish_reason == "tool_calls") == bool(answer.message.tool_calls) or answer.finish_reason == "length"
    for call in (answer.message.tool_calls or []) if answer.finish_reason != "length" else []:
        weather(call)


def test_the_whole_round(client):
    first = ask(client, tools=[STRICT], tool_choice="required", parallel_tool_calls=False).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "It rains in Oslo."}
    answer = ask(client, messages=[*ASK, first, result], tools=[STRICT], tool_choice="none", max_tokens=60)
    assert "rain" in answer.choices[0].message.content.lower()


def test_tool_answers_have_to_answer_a_call(client):
    error = refused(client, messages=[*ASK, {"role": "tool", "tool_call_id": "call_x", "content": "?"}], tools=[STRICT])
    assert error.param == "messages[1].tool_call_id"


def test_calls_with_several_choices_and_logprobs(client):
    answer = ask(client, tools=[STRICT], tool_choice="required", n=2, temperature=1.2, seed=5, logprobs=True, top_logprobs=1, parallel_tool_calls=False)
    for choice in answer.choices:
        weather(choice.message.tool_calls[0])
        assert weather(choice.message.tool_calls[0]).city in "".join(token.token for token in choice.logprobs.content)


# --- responses

def test_responses_structured(client):
    answer = client.responses.parse(model=CHAT, input="Report on Oslo.", temperature=0, max_output_tokens=300, text_format=Report)
    assert isinstance(answer.output_parsed, Report)


FUNCTION = {"type": "function", "name": "weather", "parameters": Weather.model_json_schema(), "strict": True}


def test_responses_calls_and_their_answers(client):
    answer = client.responses.create(model=CHAT, input="What is the weather in Oslo?", temperature=0, max_output_tokens=300, tools=[FUNCTION],
                                     tool_choice={"type": "function", "name": "weather"}, parallel_tool_calls=False)
    (call,) = answer.output
    assert call.type == "function_call" and call.name == "weather" and call.status == "completed"
    Weather.model_validate_json(call.arguments)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains in Oslo."}
    told = client.responses.create(model=CHAT, input=[output], previous_response_id=answer.id, temperature=0, max_output_tokens=60)
    assert "Oslo" in told.output_text  # which only the stored turn and the answer of the tool speak of
    items = client.responses.input_items.list(told.id)
    assert [item.type for item in items] == ["function_call_output"]


def test_responses_calls_streamed(client):
    events = list(client.responses.create(model=CHAT, input="What is the weather in Oslo?", temperature=0, max_output_tokens=300, tools=[FUNCTION],
                                          tool_choice="required", parallel_tool_calls=False, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-3:] == ["response.function_call_arguments.done", "response.output_item.done", "response.completed"]
    deltas = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    assert deltas == events[-3].arguments == events[-1].response.output[0].arguments
    Weather.model_validate_json(deltas)
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("options, param", [
    ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"not": {}}}}}, "text.format.schema"),
    ({"tools": [{"type": "computer_use"}]}, "tools[0].type"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "other"}}, "tool_choice"),
    ({"tools": [FUNCTION, {"type": "file_search", "vector_store_ids": ["vs_x"]}]}, "tools")])
def test_responses_refusals(client, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=CHAT, input="Hello.", **options)
    assert caught.value.param == param
