"""A server that answers as the providers of every family do, on the wire: text, a call of a tool, JSON by a schema, or an error, by what a request asks for in the
family's own words. What it counts of each answer is what the provider would bill."""
import binascii
import http.server
import json
import struct
import threading

WORDS = ["The ", "capital ", "is ", "Bern."]
TEXT, CALL, JSON_ANSWER = "".join(WORDS), ("weather", {"city": "Bern"}), {"ok": True}
PROMPT_TOKENS, ANSWER_TOKENS = 21, 7
FAMILIES = ("openai", "azure", "anthropic", "bedrock", "vertex", "sagemaker")
AWS_KEYS = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def sse(*events, name=False, end=b""):
    return b"".join((f"event: {event['type']}\n".encode() if name else b"") + b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + end


def aws_message(name, payload, kind="event"):
    """One message of an event stream of AWS."""
    text = lambda key, value: bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    headers = text(f":{kind}-type", name) + text(":message-type", kind)
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + body
    return message + struct.pack(">I", binascii.crc32(message))


def openai_stream(kind, call=CALL, chat=True):
    chunk = lambda delta, finish=None: {"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, **({"delta": delta} if chat else {"text": delta.get("content", "")}), "finish_reason": finish}]}
    if kind == "tools":
        name, arguments = call[0], json.dumps(call[1])
        deltas = [{"role": "assistant", "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}]},
                  *({"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in (arguments[:7], arguments[7:]))]
    else:
        deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in (WORDS if kind == "plain" else [json.dumps(JSON_ANSWER)]))]
    usage = {"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": ANSWER_TOKENS, "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS}}
    return sse(*map(chunk, deltas), chunk({}, "tool_calls" if kind == "tools" else "stop"), usage, end=b"data: [DONE]\n\n")


def anthropic_stream(kind, call=CALL):
    if kind == "plain":
        block, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in WORDS]
    else:
        text = json.dumps(call[1])
        block, deltas = {"type": "tool_use", "id": "toolu_1", "name": call[0], "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in (text[:5], text[5:])]
    return sse({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}}},
               {"type": "content_block_start", "index": 0, "content_block": block}, {"type": "ping"}, *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
               {"type": "content_block_stop", "index": 0},
               {"type": "message_delta", "delta": {"stop_reason": "end_turn" if kind == "plain" else "tool_use"}, "usage": {"output_tokens": ANSWER_TOKENS}}, {"type": "message_stop"}, name=True)


def bedrock_stream(kind, call=CALL):
    if kind == "tools":
        text = json.dumps(call[1])
        blocks = [aws_message("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": call[0]}}}),
                  *(aws_message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": part}}}) for part in (text[:5], text[5:]))]
    else:
        blocks = [aws_message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in (WORDS if kind == "plain" else [json.dumps(JSON_ANSWER)])]
    return b"".join([aws_message("messageStart", {"role": "assistant"}), *blocks, aws_message("contentBlockStop", {"contentBlockIndex": 0}),
                     aws_message("messageStop", {"stopReason": "tool_use" if kind == "tools" else "end_turn"}),
                     aws_message("metadata", {"usage": {"inputTokens": PROMPT_TOKENS, "outputTokens": ANSWER_TOKENS, "totalTokens": PROMPT_TOKENS + ANSWER_TOKENS}, "metrics": {"latencyMs": 5}})])


def vertex_stream(kind, call=CALL):
    parts = [{"functionCall": {"name": call[0], "args": call[1]}}] if kind == "tools" else [{"text": word} for word in (WORDS if kind == "plain" else [json.dumps(JSON_ANSWER)])]
    usage = {"promptTokenCount": PROMPT_TOKENS, "candidatesTokenCount": ANSWER_TOKENS, "totalTokenCount": PROMPT_TOKENS + ANSWER_TOKENS}
    events = [{"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], "usageMetadata": {"promptTokenCount": PROMPT_TOKENS}} for part in parts]
    events[-1]["candidates"][0]["finishReason"], events[-1]["usageMetadata"] = "STOP", usage
    return sse(*events)


def family_of(path):
    for part, family in (("/deployments/", "azure"), ("/completions", "openai"), ("/messages", "anthropic"), ("/converse-stream", "bedrock"), ("streamGenerateContent", "vertex"), ("/invocations-response-stream", "sagemaker")):
        if part in path:
            return family
    return None


def tool_of(family, body):
    """Name and parameters of the first tool a request offers, as its family says it."""
    if family in ("openai", "azure", "sagemaker"):
        function = body["tools"][0]["function"]
        return function["name"], function["parameters"]
    if family == "anthropic":
        return body["tools"][0]["name"], body["tools"][0]["input_schema"]
    if family == "bedrock":
        spec = body["toolConfig"]["tools"][0]["toolSpec"]
        return spec["name"], spec["inputSchema"]["json"]
    function = body["tools"][0]["functionDeclarations"][0]
    return function["name"], function.get("parametersJsonSchema") or function["parameters"]


def kind_of(family, body):
    """What a request asks for: text, a call, or JSON by a schema. JSON is a forced tool with Anthropic, which has no other way."""
    if body.get("tools") or body.get("toolConfig"):
        return "schema" if family == "anthropic" and "ok" in tool_of(family, body)[1]["properties"] else "tools"
    if family in ("openai", "azure", "sagemaker"):
        return "schema" if body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties") else "plain"
    if family == "bedrock":
        return "schema" if body.get("outputConfig", {}).get("textFormat") else "plain"
    config = body.get("generationConfig", {})
    return "schema" if config.get("responseJsonSchema") or config.get("responseSchema") else "plain"


def moderation(body):
    many = body["input"] if isinstance(body["input"], list) and isinstance(body["input"][0], str) else [body["input"]]
    result = lambda text: {"flagged": "hurt" in str(text), "categories": {"violence": "hurt" in str(text)}, "category_scores": {"violence": 0.9 if "hurt" in str(text) else 0.01}}  # noqa: E731
    return {"id": "modr-1", "model": body["model"], "results": [result(text) for text in many]}


def answer(path, body):
    """(status, content type, bytes) and the family and kind of an answer."""
    if path == "/v1/moderations":
        return 200, "application/json", json.dumps(moderation(body)).encode(), "openai", "moderation"
    family = family_of(path)
    if family is None:
        return 404, "application/json", b'{"error":{"message":"no such path"}}', None, None
    for status, kind in ((429, "rate_limit_error"), (500, "server_error")):
        if f"FAIL {status}" in json.dumps(body):
            return status, "application/json", json.dumps({"error": {"type": kind, "message": "as it was asked to"}, "message": "as it was asked to"}).encode(), family, "error"
    try:
        kind = kind_of(family, body)
        name, parameters = tool_of(family, body) if kind == "tools" or (kind, family) == ("schema", "anthropic") else (None, None)
    except (KeyError, TypeError) as missing:
        return 400, "application/json", json.dumps({"error": {"type": "invalid_request_error", "message": f"not understood: {missing}"}}).encode(), family, "error"
    call = (name, CALL[1] if name and "city" in parameters["properties"] else JSON_ANSWER)
    aws = "application/vnd.amazon.eventstream"
    if family == "anthropic":
        return 200, "text/event-stream", anthropic_stream(kind, call), family, kind
    if family == "bedrock":
        return 200, aws, bedrock_stream(kind, call), family, kind
    if family == "vertex":
        return 200, "text/event-stream", vertex_stream(kind, call), family, kind
    stream = openai_stream(kind, call, "prompt" not in body)
    if family == "sagemaker":
        return 200, aws, b"".join(aws_message("PayloadPart", stream[at:at + 50]) for at in range(0, len(stream), 50)), family, kind
    return 200, "text/event-stream", stream, family, kind


class Providers:
    """The server. `served` has (family, kind) of each answer, `asked` the body of the last request."""

    def __init__(self):
        self.served, self.asked = [], {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
                status, content_type, reply, family, kind = answer(self.path, body)
                outer.served.append((family, kind))
                outer.asked = body
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()

    def add_all(self, stoa, admin):
        """As providers of a project, named as their families, each with the model "big"."""
        places = {"openai": "/v1", "azure": "", "anthropic": "", "bedrock": "", "vertex": "/v1beta", "sagemaker": ""}
        for family in FAMILIES:
            region = ["--option", "region=eu-1"] if family in ("bedrock", "sagemaker") else []
            stoa.cli("providers", "add", family, "--family", family, "--url", self.url + places[family], "--model", "big=8192", *(["--model", "omni-moderation-latest"] if family == "openai" else []), *region, key=admin)
            stoa.cli("providers", "set-key", family, key=admin, typed=AWS_KEYS if region else "sk-secret-1")


def prices(folder):
    """A price file that has a price for everything these tests use."""
    file = folder / "prices.yaml"
    price = "per_compute_second: 0\n    per_million_input_tokens: 1000000\n    per_million_cached_tokens: 0\n    per_million_output_tokens: 2000000\n"
    file.write_text('currency: USD\nas_of: "2026-11-21"\nsource: test\nprices:\n' + "".join(f'  - model: "{name}"\n    {price}' for name in ("*", *(f"{family}/*" for family in FAMILIES))))
    return file


# Answers that are always the same, for tests of how they are put together and cut.
OPENAI_STREAM = (b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"Yes"},"finish_reason":null}]}\n\n'
                 b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
                 b'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":1,"total_tokens":12}}\n\n'
                 b'data: [DONE]\n\n')
ANTHROPIC_STREAM = (b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
                    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
                    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Yes"}}\n\n'
                    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
                    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n'
                    b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
BEDROCK_STREAM = (aws_message("messageStart", {"role": "assistant"}) + aws_message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Yes"}}) +
                  aws_message("contentBlockStop", {"contentBlockIndex": 0}) + aws_message("messageStop", {"stopReason": "end_turn"}) +
                  aws_message("metadata", {"usage": {"inputTokens": 9, "outputTokens": 1, "totalTokens": 10}, "metrics": {"latencyMs": 5}}))
SAGEMAKER_STREAM = b"".join(aws_message("PayloadPart", OPENAI_STREAM[at:at + 50]) for at in range(0, len(OPENAI_STREAM), 50))
VERTEX_STREAM = (b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Yes"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1}}\r\n\r\n')
MODELS = b'{"object":"list","data":[{"id":"big","object":"model"},{"id":"small","object":"model"}]}'


class Upstream:
    """Answers what `replies` has for a path: (status, content type, bytes). Remembers the requests."""

    def __init__(self):
        self.replies, self.requests = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.path, dict(self.headers), body))
                status, kind, reply = outer.replies.get(self.path, (404, "application/json", b'{"error":{"message":"no such path"}}'))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
