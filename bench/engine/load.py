"""Streaming clients for completions over HTTP: closed loops and timed arrivals, the same for either server."""

import concurrent.futures
import dataclasses
import http.client
import json
import threading
import time
import urllib.parse

TIMEOUT = 300


@dataclasses.dataclass
class Answer:
    status: int
    begin: float
    tokens: list = dataclasses.field(default_factory=list)  # when each arrived
    retry_after: bool = False

    @property
    def first(self):
        return self.tokens[0] - self.begin

    @property
    def gaps(self):
        return [later - earlier for earlier, later in zip(self.tokens, self.tokens[1:])]


@dataclasses.dataclass
class Client:
    url: str
    model: str
    key: str = ""
    pid: int = 0  # of the server

    def complete(self, prompt, tokens):
        place = urllib.parse.urlparse(self.url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=TIMEOUT)
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        answer = Answer(0, time.perf_counter())
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), headers)
            reply = connection.getresponse()
            answer.status, answer.retry_after = reply.status, reply.headers.get("Retry-After") is not None
            if reply.status != 200:
                reply.read()
                return answer
            for line in reply:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                if any(choice.get("text") for choice in event.get("choices", [])):
                    answer.tokens.append(time.perf_counter())
            if not answer.tokens:
                answer.status = 0
        except (OSError, http.client.HTTPException):
            answer.status = 0  # cut off
        finally:
            connection.close()
        return answer


def closed_loop(client, work, clients):
    """`work`: (prompt, tokens) each; every client sends its next when its last is done. Returns answers and seconds in all."""
    begin = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(lambda item: client.complete(*item), work))
    return answers, time.perf_counter() - begin


def timed(client, work):
    """`work`: (seconds after the begin, prompt, tokens) each, whether or not earlier ones are done."""
    answers = [None] * len(work)
    begin = time.perf_counter()

    def one(index, prompt, tokens):
        answers[index] = client.complete(prompt, tokens)

    threads = []
    for index, (at, prompt, tokens) in enumerate(work):
        time.sleep(max(0, begin + at - time.perf_counter()))
        threads.append(threading.Thread(target=one, args=(index, prompt, tokens)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return answers, time.perf_counter() - begin


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
