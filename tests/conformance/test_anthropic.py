"""The official Anthropic SDK: messages, streams, tools, counting, errors."""
import base64
import json

import anthropic
import pytest

from pdf import pdf_of
from stoa_server import CHAT

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
WEATHER = {"name": "weather", "description": "The weather of a city.",
           "input_schema": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}, "strict": True}
COLOUR = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"], "additionalProperties": False}


@pytest.fixture(scope="session")
def claude(server, key):
    def make(**options):
        return anthropic.Anthropic(**{"api_key": key, "base_url": server.url, "max_retries": 0, "timeout": 120, **options})

    return make


@pytest.fixture(scope="session")
def messages(claude):
    return claude().messages


def ask(messages, make="create", /, **options):
    body = {"model": CHAT, "max_tokens": 24, "messages": QUESTION, "extra_body": {"temperature": 0}} | options
    return getattr(messages, make)(**body)


def test_plain(messages):
    answer = ask(messages)
    assert answer.id.startswith("msg_") and (answer.type, answer.role, answer.model) == ("message", "assistant", CHAT)
    assert [block.type for block in answer.content] == ["text"] and "Paris" in answer.content[0].text
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 10 and answer.usage.output_tokens > 0
    assert answer._request_id.startswith("req_")


def test_the_same_request_means_the_same(messages, client):
    system, turns = "Answer in one word.", [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "Another one."}]
    mine = ask(messages, system=system, messages=turns)
    other = client.chat.completions.create(model=CHAT, temperature=0, max_tokens=24, messages=[{"role": "system", "content": system}, *turns])
    assert mine.content[0].text == other.choices[0].message.content
    assert mine.usage.input_tokens + mine.usage.cache_read_input_tokens == other.usage.prompt_tokens
    assert mine.usage.output_tokens == other.usage.completion_tokens


def test_stream_equals_plain(messages):
    plain = ask(messages)
    with ask(messages, "stream") as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == plain.content[0].text == final.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == (plain.stop_reason, plain.usage.output_tokens)
    kinds = [event.type for event in ask(messages, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"] and kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_why_it_stopped(messages):
    assert ask(messages, max_tokens=1).stop_reason == "max_tokens"
    with ask(messages, "stream", stop_sequences=["Paris"]) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", "Paris")
    assert "Paris" not in "".join(block.text for block in final.content)


@pytest.mark.parametrize("make", ["create", "stream"])
def test_tools_there_and_back(messages, make):
    turns = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = ask(messages, make, max_tokens=60, messages=turns, tools=[WEATHER], tool_choice={"type": "any", "disable_parallel_tool_use": True})
    if make == "stream":
        with answer as stream:
            answer = stream.get_final_message()
    call = answer.content[-1]
    assert (answer.stop_reason, call.type, call.name) == ("tool_use", "tool_use", "weather") and call.input["city"] in ("Paris", "Rome")
    turns += [{"role": "assistant", "content": answer.content},
              {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "Sunny, 20 degrees."}]}]}]
    assert ask(messages, messages=turns, tools=[WEATHER], tool_choice={"type": "none"}).content[0].text


def test_json_schema(messages):
    answer = ask(messages, output_config={"format": {"type": "json_schema", "schema": COLOUR}}, messages=[{"role": "user", "content": "Name a colour as JSON."}], max_tokens=40)
    assert json.loads(answer.content[0].text)["colour"] in ("red", "green")


def test_count_tokens(messages):
    counted = messages.count_tokens(model=CHAT, messages=QUESTION, system="Be brief.").input_tokens
    used = ask(messages, system="Be brief.").usage
    assert counted == used.input_tokens + used.cache_read_input_tokens
    assert messages.count_tokens(model=CHAT, messages=QUESTION, system="Be brief.", tools=[WEATHER]).input_tokens > counted


@pytest.mark.parametrize("options, kind, type_, text", [
    ({"model": "gpt-99"}, anthropic.NotFoundError, "not_found_error", "gpt-99"),
    ({"max_tokens": 0}, anthropic.BadRequestError, "invalid_request_error", "max_tokens"),
    ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]}, anthropic.BadRequestError, "invalid_request_error", "reads text, and no images"),
    ({"messages": [{"role": "user", "content": "word " * 9000}]}, anthropic.BadRequestError, "invalid_request_error", "prompt is too long"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, anthropic.BadRequestError, "invalid_request_error", "tools[0].type"),
    ({"extra_headers": {"anthropic-version": "new"}}, anthropic.BadRequestError, "invalid_request_error", "anthropic-version"),
])
def test_errors(messages, options, kind, type_, text):
    for make in ("create", "stream"):
        with pytest.raises(kind) as caught:
            answer = ask(messages, make, **options)
            with answer:
                pass
        body = caught.value.body
        assert (body["type"], body["error"]["type"]) == ("error", type_) and text in body["error"]["message"]
        assert body["request_id"] == caught.value.request_id


def test_credentials(claude, key):
    for options in ({"api_key": "sk-stoa-wrong"}, {"api_key": "sk-stoa-" + "a" * 400}):
        with pytest.raises(anthropic.AuthenticationError):
            ask(claude(**options).messages)
    assert ask(claude(api_key=None, auth_token=key).messages).content


def test_no_such_route_speaks_the_dialect(claude):
    with pytest.raises(anthropic.NotFoundError) as caught:
        claude().post("/v1/messages/none", body={}, cast_to=object)
    assert caught.value.body["error"]["type"] == "not_found_error"


def test_a_stream_that_fails_on_the_way_says_so(messages):
    for _ in range(5):  # a story may happen to end in time
        text = []
        try:
            with ask(messages, "stream", max_tokens=4000, messages=[{"role": "user", "content": "Write a very long story about the sea."}], extra_headers={"x-stoa-timeout-ms": "1500"},
                     extra_body={"temperature": 1}) as stream:
                for piece in stream.text_stream:
                    text.append(piece)
        except anthropic.APIStatusError as failure:
            assert failure.body["error"]["type"] == "timeout_error"
            if text:
                return
    pytest.fail("five stories ended before their time was over, or had not begun")


TEXT = "The colour printer on the third floor is called Gutenberg. Keys are rotated every ninety days by the security team."


def document(source, **more):
    return {"type": "document", "source": source, "citations": {"enabled": True}, **more}


def about(question, *blocks):
    return [{"role": "user", "content": [*blocks, {"type": "text", "text": question}]}]


SOURCES = {
    "char_location": document({"type": "text", "media_type": "text/plain", "data": TEXT}, title="Handbook"),
    "page_location": document({"type": "base64", "media_type": "application/pdf",
                               "data": base64.b64encode(pdf_of("Lunch is served at noon.", "Keys are rotated every ninety days by the security team.")).decode()}, title="Handbook"),
    "content_block_location": document({"type": "content", "content": [{"type": "text", "text": text} for text in TEXT.split(". ")]}, title="Handbook"),
    "search_result_location": {"type": "search_result", "source": "https://stoa.example/handbook", "title": "Handbook", "citations": {"enabled": True},
                               "content": [{"type": "text", "text": text} for text in TEXT.split(". ")]},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_citations(messages, kind):
    turns = about("How often are keys rotated?", SOURCES[kind])
    answer = ask(messages, max_tokens=120, messages=turns)
    citations = [citation for block in answer.content for citation in block.citations or []]
    assert citations and "ninety days" in "".join(block.text for block in answer.content)
    assert {citation.type for citation in citations} == {kind}
    first = next(citation for citation in citations if "ninety days" in citation.cited_text)
    if kind == "char_location":
        assert TEXT[first.start_char_index:first.end_char_index] == first.cited_text and (first.document_index, first.document_title) == (0, "Handbook")
    elif kind == "page_location":
        assert (first.start_page_number, first.end_page_number) == (2, 3)
    else:
        assert (first.start_block_index, first.end_block_index) == (1, 2) and first.cited_text == TEXT.split(". ")[1]
    with ask(messages, "stream", max_tokens=120, messages=turns) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_message()
    assert "citation" in events
    assert [block.model_dump(exclude={"parsed_output"}) for block in final.content] == [block.model_dump(exclude={"parsed_output"}) for block in answer.content]


def test_what_the_documents_do_not_say(messages):
    answer = ask(messages, max_tokens=120, messages=about("What is the capital of France?", SOURCES["char_location"]))
    assert not any(block.citations for block in answer.content) and "Paris" not in answer.content[0].text
    with pytest.raises(anthropic.BadRequestError, match="citations"):
        ask(messages, messages=about("?", SOURCES["char_location"], {**SOURCES["char_location"], "citations": {"enabled": False}}))


def test_documents_without_citations_are_read(messages):
    plain = {key: value for key, value in SOURCES["char_location"].items() if key != "citations"}
    turns = about("What is the printer called?", plain)
    answer = ask(messages, messages=turns)
    assert answer.content[0].citations is None and answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 30
    assert messages.count_tokens(model=CHAT, messages=turns).input_tokens > 30
