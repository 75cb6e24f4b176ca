"""An upstream that fails at any moment of an answer, in the wire formats of several families, and keeps account of what it served: what a gateway
does with that, and what it pays, is compared with it.

The model's name says what happens: "MOMENT" or "MOMENT.ANYTHING", such as "between.chat-3". A request's id is what follows "id=" in its body.

What a family does not tell before the end of an answer, a gateway has to estimate of an answer that broke: a token for four bytes.
"""
import asyncio
import collections
import json
import re
import threading

from replays import aws_message

WORDS = ("alpha ", "beta ", "gamma ", "delta ")
AWS = "application/vnd.amazon.eventstream"
PROMPT = 21  # tokens, says the upstream
# What happens before anything of an answer is there, and after some of it.
BEFORE = ("silent", "s500", "s429", "empty", "junk", "says")
AFTER = ("between", "inside", "garbage", "noend", "said")
HANGS = ("hang", "stall")


class Served:
    """Of one request to the upstream."""

    def __init__(self, model):
        self.model, self.whole, self.prompt, self.completion = model, False, 0, 0

    def __repr__(self):
        return f"{self.model}: {self.prompt}+{self.completion}{'' if self.whole else ' broken'}"


class OpenAi:
    """Chat Completions and Completions, counting as it goes, as vLLM does with continuous_usage_stats."""
    error = {"error": {"message": "the engine failed", "type": "server_error"}}
    end = b"data: [DONE]\n\n"
    content_type = "text/event-stream"
    tells_prompt = True  # before the end

    @staticmethod
    def event(data):
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    def chunk(self, choices, count):
        usage = {"prompt_tokens": PROMPT, "completion_tokens": count, "total_tokens": PROMPT + count}
        return self.event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage})

    def begin(self):
        return b""

    def word(self, text, count):
        return self.chunk([{"index": 0, "delta": {"content": text}, "text": text, "finish_reason": None}], count)

    def finish(self, count):
        return self.chunk([{"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}], count)

    def nearly(self, count):
        """All of an answer but what says that it is whole."""
        return self.finish(count)

    def says(self):
        return self.event(self.error)

    def counted(self, words):
        return len(words)


class Anthropic(OpenAi):
    """Messages: the prompt is counted at the start, the answer at the end."""
    error = {"type": "error", "error": {"type": "api_error", "message": "the engine failed"}}
    end = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    @staticmethod
    def event(data):
        return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()

    def begin(self):
        message = {"id": "m1", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": PROMPT, "output_tokens": 1}}
        return self.event({"type": "message_start", "message": message}) + self.event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})

    def word(self, text, count):
        return self.event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})

    def finish(self, count):
        return self.event({"type": "content_block_stop", "index": 0}) + self.event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": count}})

    def counted(self, words):
        return (len("".join(words)) + 3) // 4  # what is not told is estimated: a token for four bytes


class Bedrock(OpenAi):
    """Converse: all is counted in the last event."""
    error = {"message": "the engine failed"}
    end = b""
    content_type = AWS
    tells_prompt = False

    def begin(self):
        return aws_message("messageStart", {"role": "assistant"})

    def word(self, text, count):
        return aws_message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})

    def nearly(self, count):
        return aws_message("contentBlockStop", {"contentBlockIndex": 0}) + aws_message("messageStop", {"stopReason": "end_turn"})

    def finish(self, count):
        return self.nearly(count) + aws_message("metadata", {"usage": {"inputTokens": PROMPT, "outputTokens": count, "totalTokens": PROMPT + count}, "metrics": {"latencyMs": 5}})

    def says(self):
        return aws_message("internalServerException", self.error, "exception")

    counted = Anthropic.counted


class Vertex(OpenAi):
    """generateContent: the prompt is counted with each piece, the answer with the last, which nothing follows."""
    error = {"error": {"code": 500, "message": "the engine failed", "status": "INTERNAL"}}
    end = b""

    def word(self, text, count):
        return self.event({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}], "usageMetadata": {"promptTokenCount": PROMPT}})

    def nearly(self, count):
        return b""

    def finish(self, count):
        usage = {"promptTokenCount": PROMPT, "candidatesTokenCount": count, "totalTokenCount": PROMPT + count}
        return self.event({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}], "usageMetadata": usage})

    counted = Anthropic.counted


class SageMaker(OpenAi):
    """What OpenAI's protocol says, in parts that need not end where its events do."""
    content_type = AWS

    @staticmethod
    def event(data):
        event = OpenAi.event(data)
        return aws_message("PayloadPart", event[:30]) + aws_message("PayloadPart", event[30:])

    end = aws_message("PayloadPart", OpenAi.end)


FAMILIES = ((r"/v1/(?:chat/)?completions", OpenAi()), (r"/v1/messages", Anthropic()), (r"/model/([^/]+)/converse-stream", Bedrock()),
            (r"/v1beta/models/([^:]+):streamGenerateContent\?alt=sse", Vertex()), (r"/endpoints/([^/]+)/invocations-response-stream", SageMaker()))


class Upstream:
    """`moment_of(model, request_id)`: what happens to a request; the model's name says it unless told otherwise."""

    def __init__(self, moment_of=lambda model, request: model.split(".")[0]):
        self.moment_of = moment_of
        self.served = collections.defaultdict(list)  # by the request's id
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def open_server():
            self.server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=512)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(open_server())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        ready.wait()
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        async def end():
            self.server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(timeout=10)

    async def connection(self, reader, writer):
        try:
            while await self.one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"(?i)content-length: *(\d+)", head).group(1))
        body = (await reader.readexactly(length)).decode()
        family, at = next((family, found) for pattern, family in FAMILIES if (found := re.fullmatch(pattern, head.split(" ")[1])))
        model = at.group(1) if at.groups() else json.loads(body)["model"]
        request = re.search(r"id=(\w+)", body).group(1)
        account = Served(model)
        self.served[request].append(account)
        prompt = PROMPT if family.tells_prompt else (len("user") + len(re.search(r"id=[^\"]*", body).group()) + 3) // 4
        return await self.answer(family, self.moment_of(model, request), account, prompt, writer)

    @staticmethod
    async def answer(family, moment, account, prompt, writer):
        def whole(status, kind, data, more=""):
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{more}\r\n".encode() + data)
            return True

        def chunk(data):
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        if moment == "silent":
            return False
        if moment == "hang":
            await asyncio.sleep(30)
            return False
        if moment in ("s500", "s429"):
            return whole(int(moment[1:]), "application/json", json.dumps(family.error).encode())
        if moment == "junk":
            return whole(200, "text/html", b"<html>welcome to the portal</html>")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {family.content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        end = lambda: writer.write(b"0\r\n\r\n") or True  # noqa: E731
        if moment == "empty":
            return end()
        if moment == "says":
            chunk(family.says())
            return end()
        words = WORDS if moment == "fine" or moment == "noend" else WORDS[:2]
        count = family.counted(words)
        account.prompt, account.completion = PROMPT if moment == "fine" else prompt, count
        if family.begin():
            chunk(family.begin())
        for i, word in enumerate(words):
            chunk(family.word(word, i + 1))
            await writer.drain()
        if moment == "fine":
            account.whole = True
            chunk(family.finish(count) + family.end)
            return end()
        if moment == "noend":
            if family.nearly(count):
                chunk(family.nearly(count))
            return end()
        if moment == "said":
            chunk(family.says())
            return end()
        if moment == "inside":
            chunk(family.word(WORDS[2], 3)[:-25])
        if moment == "garbage":
            chunk(b"data: {\"type\": \xff\n\n")
        if moment == "stall":
            await writer.drain()
            await asyncio.sleep(30)
        await writer.drain()
        return False
