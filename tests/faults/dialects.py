"""Callers in each dialect of text: how a question is put, and what came of it. A new dialect is a class here."""
import http.client
import json
import urllib.parse

from botocore.eventstream import EventStreamBuffer


class Outcome:
    """`ended`: "whole", "error" (said in the dialect's own way) or "bare" (the connection just ended)."""

    def __init__(self, status, request, text, ended, raw=b""):
        self.status, self.request, self.text, self.ended, self.raw = status, request, text, ended, raw

    def __repr__(self):
        return f"{self.status} {self.ended} {self.text!r} {self.raw[-300:]!r}"


def events(raw):
    """(event, data) of a stream of server-sent events; the part behind the last empty line is none."""
    for block in raw.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in fields:
            yield fields.get("event", ""), fields["data"]


class Chat:
    name, path = "chat", "/v1/chat/completions"

    def sent(self, body):
        """Where to and what, of a body that names its model and says whether it streams."""
        return self.path, body

    def body(self, model, prompt, stream):
        return {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": stream}

    def is_error(self, body):
        return bool(body["error"]["message"]) and "type" in body["error"]

    def text_of(self, body):
        assert body["choices"][0]["finish_reason"] == "stop"
        return body["choices"][0]["message"]["content"]

    def piece(self, chunk):
        return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"] if choice["index"] == 0)

    def read_stream(self, raw):
        text, ended, finished = "", "bare", False
        for _, data in events(raw):
            assert ended == "bare", "nothing follows the end"
            if data == "[DONE]":
                assert finished, "no end without a reason"
                ended = "whole"
                continue
            chunk = json.loads(data)
            if "error" in chunk:
                assert self.is_error(chunk)
                ended = "error"
                continue
            text += self.piece(chunk)
            finished = finished or any(choice.get("finish_reason") for choice in chunk["choices"])
        return text, ended


class Completions(Chat):
    name, path = "completions", "/v1/completions"

    def body(self, model, prompt, stream):
        return {"model": model, "prompt": prompt, "stream": stream}

    def text_of(self, body):
        assert body["choices"][0]["finish_reason"] == "stop"
        return body["choices"][0]["text"]

    def piece(self, chunk):
        return "".join(choice["text"] for choice in chunk["choices"] if choice["index"] == 0)


class Responses(Chat):
    name, path = "responses", "/v1/responses"

    def body(self, model, prompt, stream):
        return {"model": model, "input": prompt, "stream": stream, "store": False}

    def text_of(self, body):
        assert body["status"] == "completed", body["status"]
        return "".join(part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"])

    def read_stream(self, raw):
        text, ended = "", "bare"
        for number, (event, data) in enumerate(events(raw)):
            assert ended == "bare", "nothing follows the end"
            data = json.loads(data)
            assert data["sequence_number"] == number and data["type"] == event
            if event == "response.output_text.delta":
                text += data["delta"]
            elif event in ("response.completed", "response.failed"):
                assert data["response"]["status"] == event.split(".")[1]
                assert event == "response.completed" or data["response"]["error"]["message"]
                ended = "whole" if event == "response.completed" else "error"
        return text, ended


class Messages(Chat):
    name, path = "messages", "/v1/messages"

    def body(self, model, prompt, stream):
        return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 100, "stream": stream}

    def is_error(self, body):
        return body["type"] == "error" and bool(body["error"]["message"])

    def text_of(self, body):
        assert body["stop_reason"] == "end_turn"
        return "".join(block["text"] for block in body["content"])

    def read_stream(self, raw):
        text, ended = "", "bare"
        for event, data in events(raw):
            assert ended == "bare", "nothing follows the end"
            data = json.loads(data)
            assert data["type"] == event
            if event == "content_block_delta":
                text += data["delta"]["text"]
            elif event == "message_stop":
                ended = "whole"
            elif event == "error":
                assert self.is_error(data)
                ended = "error"
        return text, ended


class Converse(Chat):
    name = "converse"

    def body(self, model, prompt, stream):
        return {"model": model, "messages": [{"role": "user", "content": [{"text": prompt}]}], "stream": stream}

    def sent(self, body):
        return f"/model/{urllib.parse.quote(body['model'], safe='')}/converse{'-stream' if body['stream'] else ''}", {"messages": body["messages"]}

    def is_error(self, body):
        return bool(body["message"])

    def text_of(self, body):
        assert body["stopReason"] == "end_turn"
        return "".join(block["text"] for block in body["output"]["message"]["content"])

    def read_stream(self, raw):
        text, ended, stopped = "", "bare", False
        buffer = EventStreamBuffer()
        buffer.add_data(raw)
        for event in buffer:
            assert ended == "bare", "nothing follows the end"
            data = json.loads(event.payload)
            if event.headers[":message-type"] == "exception":
                assert self.is_error(data) and event.headers[":exception-type"].endswith("Exception")
                ended = "error"
                continue
            kind = event.headers[":event-type"]
            if kind == "contentBlockDelta":
                text += data["delta"]["text"]
            elif kind == "messageStop":
                assert data["stopReason"] == "end_turn"
                stopped = True
            elif kind == "metadata":
                assert stopped, "no end without a reason"
                ended = "whole"
        return text, ended


DIALECTS = (Chat(), Completions(), Responses(), Messages(), Converse())


def ask(port, key, dialect, body, headers=None, leave_after=None):
    """An Outcome. With `leave_after` the caller goes away after so many bytes of a stream: None then."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        path, sent = dialect.sent(body)
        connection.request("POST", path, json.dumps(sent), {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(headers or {})})
        reply = connection.getresponse()
        request = reply.getheader("x-request-id")
        if leave_after is not None:
            return Outcome(reply.status, request, reply.read(leave_after).decode(errors="replace"), "left")
        try:
            raw = reply.read()
        except http.client.IncompleteRead as cut:
            raw = cut.partial + b"\n\n(cut)"
            return Outcome(reply.status, request, "", "bare", raw)
        if reply.status != 200:
            assert dialect.is_error(json.loads(raw)), raw
            return Outcome(reply.status, request, "", "error", raw)
        if body["stream"]:
            return Outcome(200, request, *dialect.read_stream(raw), raw)
        return Outcome(200, request, dialect.text_of(json.loads(raw)), "whole", raw)
    finally:
        connection.close()
