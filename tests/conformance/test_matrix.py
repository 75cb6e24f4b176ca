"""Every dialect in, every family of providers out: text, streams, tools, a schema and errors mean the same, and cost what the provider counted."""
import json
import urllib.error
import urllib.parse
import urllib.request

import openai
import pytest
from botocore.eventstream import EventStreamBuffer

import replays

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TEXT, CALL, OK = replays.TEXT, replays.CALL, replays.JSON_ANSWER
COUNTED = (replays.PROMPT_TOKENS, replays.ANSWER_TOKENS)


def post(stoa, path, body):
    request = urllib.request.Request(stoa.url + path, json.dumps(body).encode(), {"Authorization": "Bearer " + stoa.ann, "Content-Type": "application/json", "anthropic-version": "2023-06-01"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read()


def events_of(raw):
    found = [line[6:] for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in found if line != "[DONE]"], found[-1:] == ["[DONE]"]


def said(text="", calls=(), usage=(0, 0)):
    return {"text": text, "calls": [(name, arguments if isinstance(arguments, dict) else json.loads(arguments)) for name, arguments in calls], "usage": tuple(usage)}


def chat(model, kind, question, stream):
    body = {"model": model, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}], "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if kind == "tools":
        body["tools"] = [{"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": PARAMETERS}}]
    if kind == "schema":
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    return "/v1/chat/completions", body


def read_chat(raw, stream):
    if not stream:
        answer = json.loads(raw)
        message, usage = answer["choices"][0]["message"], answer["usage"]
        return said(message["content"] or "", [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or ()], (usage["prompt_tokens"], usage["completion_tokens"]))
    chunks, done = events_of(raw)
    assert done
    text, calls, usage = "", {}, None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or ():
                known = calls.setdefault(call["index"], ["", ""])
                known[0] += call["function"].get("name") or ""
                known[1] += call["function"].get("arguments") or ""
    return said(text, calls.values(), (usage["prompt_tokens"], usage["completion_tokens"]))


def responses(model, kind, question, stream):
    body = {"model": model, "instructions": "Be brief.", "input": question, "stream": stream}
    if kind == "tools":
        body["tools"] = [{"type": "function", "name": "weather", "description": "of a city", "parameters": PARAMETERS}]
    if kind == "schema":
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}}
    return "/v1/responses", body


def read_responses(raw, stream):
    if stream:
        events, _ = events_of(raw)
        assert events[0]["type"] == "response.created" and events[-1]["type"] == "response.completed" and [event["sequence_number"] for event in events] == list(range(len(events)))
        answer = events[-1]["response"]
        assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == "".join(part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"])
    else:
        answer = json.loads(raw)
    text = "".join(part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"])
    return said(text, [(item["name"], item["arguments"]) for item in answer["output"] if item["type"] == "function_call"], (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]))


def messages(model, kind, question, stream):
    body = {"model": model, "max_tokens": 100, "system": "Be brief.", "messages": [{"role": "user", "content": question}], "stream": stream}
    if kind == "tools":
        body["tools"] = [{"name": "weather", "description": "of a city", "input_schema": PARAMETERS}]
    if kind == "schema":
        body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    return "/v1/messages", body


def read_messages(raw, stream):
    if not stream:
        answer = json.loads(raw)
        return said("".join(block["text"] for block in answer["content"] if block["type"] == "text"), [(block["name"], block["input"]) for block in answer["content"] if block["type"] == "tool_use"],
                    (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]))
    events, _ = events_of(raw)
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop"
    text, calls = "", {}
    for event in events:
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            calls[event["index"]] = [event["content_block"]["name"], ""]
        if event["type"] == "content_block_delta":
            text += event["delta"].get("text", "")
            if "partial_json" in event["delta"]:
                calls[event["index"]][1] += event["delta"]["partial_json"]
    usage = events[-2]["usage"]
    return said(text, calls.values(), (usage["input_tokens"], usage["output_tokens"]))


def converse(model, kind, question, stream):
    body = {"system": [{"text": "Be brief."}], "messages": [{"role": "user", "content": [{"text": question}]}]}
    if kind == "tools":
        body["toolConfig"] = {"tools": [{"toolSpec": {"name": "weather", "description": "of a city", "inputSchema": {"json": PARAMETERS}}}]}
    if kind == "schema":
        body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "answer"}}}}
    return f"/model/{urllib.parse.quote(model, safe='')}/converse{'-stream' if stream else ''}", body


def read_converse(raw, stream):
    if not stream:
        answer = json.loads(raw)
        content = answer["output"]["message"]["content"]
        return said("".join(block.get("text", "") for block in content), [(block["toolUse"]["name"], block["toolUse"]["input"]) for block in content if "toolUse" in block],
                    (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]))
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    events = [(event.headers[":event-type"], json.loads(event.payload)) for event in buffer]
    assert [name for name, _ in events][:1] + [name for name, _ in events][-2:] == ["messageStart", "messageStop", "metadata"]
    text, calls = "", {}
    for name, event in events:
        if name == "contentBlockStart":
            calls[event["contentBlockIndex"]] = [event["start"]["toolUse"]["name"], ""]
        delta = event.get("delta", {})
        text += delta.get("text", "")
        if "toolUse" in delta:
            calls[event["contentBlockIndex"]][1] += delta["toolUse"]["input"]
    usage = events[-1][1]["usage"]
    return said(text, calls.values(), (usage["inputTokens"], usage["outputTokens"]))


def completions(model, kind, question, stream):
    body = {"model": model, "prompt": question, "max_tokens": 100, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if kind == "schema":
        body["guided_json"] = SCHEMA
    return "/v1/completions", body


def read_completions(raw, stream):
    if not stream:
        answer = json.loads(raw)
        return said(answer["choices"][0]["text"], usage=(answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]))
    chunks, done = events_of(raw)
    assert done
    usage = chunks[-1]["usage"]
    return said("".join(choice["text"] for chunk in chunks for choice in chunk["choices"]), usage=(usage["prompt_tokens"], usage["completion_tokens"]))


DIALECTS = {"chat": (chat, read_chat), "completions": (completions, read_completions), "responses": (responses, read_responses), "messages": (messages, read_messages), "converse": (converse, read_converse)}
WANTED = {"plain": said(TEXT, usage=COUNTED), "tools": said(calls=[CALL], usage=COUNTED), "schema": said(json.dumps(OK), usage=COUNTED)}


TAKE_PROMPTS = ("openai", "azure", "sagemaker")  # the others know turns only


@pytest.mark.parametrize("family", replays.FAMILIES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_means_the_same(stoa, upstream, dialect, family):
    ask, read = DIALECTS[dialect]
    if dialect == "completions" and family not in TAKE_PROMPTS:
        for stream in (False, True):
            status, _, raw = post(stoa, *ask(f"{family}/big", "plain", "Well?", stream))
            assert status == 400 and json.loads(raw)["error"]["param"] == "prompt", raw
        return
    for kind in ("plain", "schema") if dialect == "completions" else ("plain", "tools", "schema"):
        for stream in (False, True):
            path, body = ask(f"{family}/big", kind, "What is the weather in Bern?", stream)
            status, headers, raw = post(stoa, path, body)
            assert status == 200, (kind, stream, raw)
            assert upstream.served[-1] == (family, kind), "the provider was asked for something else"
            heard = read(raw, stream)
            if kind == "schema":
                assert json.loads(heard["text"]) == OK
                heard["text"] = json.dumps(OK)
            assert heard == WANTED[kind], (kind, stream)
    for failure, status_of in ((429, 429), (500, 503)):
        for stream in (False, True):
            path, body = ask(f"{family}/big", "plain", f"FAIL {failure}", stream)
            status, headers, raw = post(stoa, path, body)
            error = json.loads(raw)
            error = error.get("error", error)
            assert status == status_of and error["message"], (failure, stream, raw)
            assert "as it was asked to" in error["message"], raw


def test_the_text_behind_a_gap_reaches_providers_that_take_it(stoa, upstream):
    client = openai.OpenAI(api_key=stoa.ann, base_url=stoa.url + "/v1", max_retries=0)
    for family in TAKE_PROMPTS:
        answer = client.completions.create(model=f"{family}/big", prompt="def add(a, b):", suffix="    return c", max_tokens=20)
        assert answer.choices[0].text == TEXT and (upstream.asked["prompt"], upstream.asked["suffix"]) == ("def add(a, b):", "    return c"), family
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="anthropic/big", prompt="a", suffix="b")


def test_a_model_that_is_made_for_it_judges_by_itself(stoa, upstream):
    client = openai.OpenAI(api_key=stoa.ann, base_url=stoa.url + "/v1", max_retries=0)
    judged = client.moderations.create(model="openai/omni-moderation-latest", input=["Hello.", "I will hurt you."])
    assert [result.flagged for result in judged.results] == [False, True] and judged.results[1].category_scores.violence == 0.9 and judged.id.startswith("modr_")
    assert upstream.asked == {"model": "omni-moderation-latest", "input": ["Hello.", "I will hurt you."]}
    picture = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    assert len(client.moderations.create(model="openai/omni-moderation-latest", input=picture).results) == 1 and upstream.asked["input"] == picture
    with pytest.raises(openai.BadRequestError):
        client.moderations.create(model="openai/omni-moderation-latest", input=None)
    rows = {row["key"]: row for row in stoa.json("usage", "--by", "model", key=stoa.admin)["data"]}
    assert rows["openai/omni-moderation-latest"]["requests"] == 2 and rows["openai/omni-moderation-latest"]["prompt_tokens"] > 0


def test_the_ledger_is_what_the_providers_counted(stoa, upstream):
    usage = {row["key"]: row for row in stoa.json("usage", "--by", "model", key=stoa.admin)["data"]}
    for family in replays.FAMILIES:
        served = sum(kind not in ("error", "moderation") for name, kind in upstream.served if name == family)
        row = usage[f"{family}/big"]
        assert (row["requests"], row["prompt_tokens"], row["completion_tokens"]) == (served, served * replays.PROMPT_TOKENS, served * replays.ANSWER_TOKENS), family


def test_tags_travel_to_the_ledger(stoa):
    path, body = chat("openai/big", "plain", "Well?", False)
    request = urllib.request.Request(stoa.url + path, json.dumps(body).encode(), {"Authorization": "Bearer " + stoa.ann, "Content-Type": "application/json", "x-stoa-tags": "team=search, env=prod"})
    for _ in range(3):
        urllib.request.urlopen(request, timeout=60).read()
    rows = {row["key"]: row for row in stoa.json("usage", "--by", "tags", key=stoa.admin)["data"]}
    assert rows["env=prod,team=search"]["requests"] == 3
    assert [row["requests"] for row in stoa.json("usage", "--tag", "team=search", key=stoa.admin)["data"]] == [3]
    request.add_header("x-stoa-tags", "team search")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 400 and "x-stoa-tags" in json.loads(refused.value.read())["error"]["message"]
