"""Caches of a project as the official clients see them: in every dialect, whole and streamed, priced, purged, and forgotten when documents change."""
import concurrent.futures
import threading

import anthropic
import pytest

from stoa_server import CHAT, EMBED, wait_until

ASKED = {"model": CHAT, "messages": [{"role": "user", "content": "Name three rivers."}], "temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def admin(server):
    return server.key("root", "admin")


@pytest.fixture
def keep(server, admin, tmp_path):
    def keep(text):
        file = tmp_path / "cache.yaml"
        file.write_text(text)
        return server.json("cache", "set", str(file), key=admin)

    yield keep
    server.cli("cache", "remove", key=admin)


def of(answer):
    return answer.headers.get("x-stoa-cache")


def test_every_dialect_is_answered_from_it(server, client, key, keep):
    assert of(client.chat.completions.with_raw_response.create(**ASKED)) is None, "nothing is kept until the project says so"
    keep("answers: deterministic")
    first, again = (client.chat.completions.with_raw_response.create(**ASKED) for _ in range(2))
    assert (of(first), of(again)) == ("miss", "hit") and first.headers["x-stoa-cache-key"] == again.headers["x-stoa-cache-key"]
    made, kept = first.parse(), again.parse()
    assert kept.choices[0].message.content == made.choices[0].message.content and kept.id != made.id
    stoa = kept.usage.stoa
    assert stoa["cache"] == {"kind": "exact", "source": first.headers["x-request-id"], "similarity": 1.0} and stoa["cost_micro_usd"] == 0 and "cache" not in made.usage.stoa
    assert kept.usage.total_tokens == made.usage.total_tokens and again.headers["x-stoa-cache-source"] == first.headers["x-request-id"]

    stream = client.chat.completions.with_raw_response.create(**ASKED, stream=True)
    assert of(stream) == "hit" and "".join(chunk.choices[0].delta.content or "" for chunk in stream.parse() if chunk.choices) == made.choices[0].message.content
    claude = anthropic.Anthropic(api_key=key, base_url=server.url, max_retries=0).messages
    message = claude.with_raw_response.create(model=CHAT, max_tokens=12, messages=ASKED["messages"], extra_body={"temperature": 0})
    assert of(message) == "hit" and message.parse().content[0].text == made.choices[0].message.content, "the same request in another dialect"
    asked = {"model": CHAT, "input": "Name three rivers.", "temperature": 0, "max_output_tokens": 16}
    assert [of(client.responses.with_raw_response.create(**asked)) for _ in range(2)] == ["miss", "hit"]
    assert [of(client.completions.with_raw_response.create(model=CHAT, prompt="Rivers:", temperature=0, max_tokens=4)) for _ in range(2)] == ["miss", "hit"]


def test_what_differs_is_asked_anew(client, keep):
    keep("answers: deterministic")
    client.chat.completions.create(**ASKED)
    for other in ({"max_tokens": 11}, {"stop": ["Nile"]}, {"seed": 7, "temperature": 1}, {"logprobs": True}, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "tool_choice": "none"},
                  {"response_format": {"type": "json_object"}}, {"messages": ASKED["messages"] + [{"role": "user", "content": "Please."}]}):
        assert of(client.chat.completions.with_raw_response.create(**ASKED | other)) == "miss", other
    for _ in range(2):
        assert of(client.chat.completions.with_raw_response.create(**ASKED | {"temperature": 0.9})) is None, "chance decides"
    for wanted, found in (("no-cache", "miss"), ("no-store", None), ("", "hit")):
        assert of(client.chat.completions.with_raw_response.create(**ASKED, extra_headers={"cache-control": wanted})) == found
    with_logprobs = [client.chat.completions.create(**ASKED, logprobs=True, top_logprobs=2) for _ in range(2)]
    assert with_logprobs[0].choices[0].logprobs == with_logprobs[1].choices[0].logprobs and with_logprobs[1].usage.stoa["cache"]["kind"] == "exact"
    tool = {"type": "function", "function": {"name": "weather", "strict": True, "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}}}
    calls = [client.chat.completions.create(**ASKED | {"max_tokens": 40}, tools=[tool], tool_choice="required").choices[0] for _ in range(2)]
    assert calls[0] == calls[1] and calls[0].message.tool_calls


def test_the_ledger_knows(server, admin, client, keep):
    keep("answers: deterministic")
    fresh = {**ASKED, "messages": [{"role": "user", "content": "What does the ledger know?"}]}
    costs = [client.chat.completions.create(**fresh).usage.stoa["cost_micro_usd"] for _ in range(3)]
    assert costs[0] > 0 and costs[1:] == [0, 0]
    stats = server.json("cache", "stats", key=admin)
    assert stats["answers"] >= 1 and stats["hits"] >= 2
    assert "hits" in server.cli("cache", "stats", key=admin).stdout


def test_equal_requests_at_the_same_time_share_one(client, keep):
    keep("answers: deterministic")
    long = {**ASKED, "messages": [{"role": "user", "content": "Tell a long story of a river."}], "max_tokens": 60}
    gate = threading.Barrier(4)

    def ask(_):
        gate.wait()
        return client.chat.completions.with_raw_response.create(**long)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert len({answer.parse().choices[0].message.content for answer in answers}) == 1
    kinds = sorted(of(answer) for answer in answers)
    assert kinds.count("miss") == 1 and set(kinds) <= {"miss", "shared", "hit"}, kinds


def test_alike_questions(client, keep):
    ask = lambda text: client.chat.completions.with_raw_response.create(**ASKED | {"messages": [{"role": "user", "content": text}]})
    keep("answers: deterministic")
    ask("How do I reset my password?")
    assert of(ask("How do I reset my password ?")) == "miss", "off by default"
    keep("{answers: deterministic, semantic: {threshold: 0.9}}")
    first = ask("How can I reset my password?")
    like = ask("How could I reset my password?")
    assert of(like) == "semantic" and like.headers["x-stoa-cache-source"] == first.headers["x-request-id"] and 0.9 <= float(like.headers["x-stoa-cache-similarity"]) <= 1
    assert like.parse().usage.stoa["cache"]["kind"] == "semantic"
    assert of(ask("Where is the canteen?")) == "miss"


def test_embeddings(client, keep):
    keep("embeddings: true")
    ask = lambda *texts: client.embeddings.create(model=EMBED, input=list(texts), encoding_format="float")
    first, again = ask("alpha", "beta"), ask("beta", "gamma", "alpha")
    assert again.data[2].embedding == first.data[0].embedding and again.data[0].embedding == first.data[1].embedding and "cache" not in again.usage.stoa
    whole = ask("gamma", "alpha")
    assert whole.usage.stoa["cache"]["kind"] == "exact" and whole.usage.stoa["cost_micro_usd"] == 0


def test_purging(server, admin, client, keep):
    keep("answers: deterministic")
    ask = lambda **more: client.chat.completions.with_raw_response.create(**ASKED, **more)
    key = ask(extra_headers={"x-stoa-tags": "team=search"}).headers["x-stoa-cache-key"]
    for purge in (["--key", key], ["--tag", "team=search"], ["--model", CHAT], ["--all"]):
        ask(extra_headers={"x-stoa-tags": "team=search"})
        assert of(ask()) == "hit"
        assert server.json("cache", "purge", *purge, key=admin)["purged"] == 1, purge
        assert server.json("cache", "purge", *purge, key=admin)["purged"] == 0
    assert server.cli("cache", "purge", key=admin, check=False).returncode == 2, "what is to go has to be named"
    assert server.json("audit", "list", "--action", "cache.purge", key=admin)["data"]


def test_a_changed_document_takes_its_answers_along(server, admin, client, keep, wait_indexed):
    keep("{answers: deterministic, embeddings: true}")
    store = client.vector_stores.create(name="rivers")
    file = client.files.create(file=("rivers.txt", b"The Zelta is the longest river of the island. It flows into the northern sea."), purpose="assistants")
    client.vector_stores.files.create(file_id=file.id, vector_store_id=store.id)
    wait_indexed(client, store.id)
    ask = lambda: client.responses.with_raw_response.create(model=CHAT, input="Which river is the longest of the island?", temperature=0, tools=[{"type": "file_search", "vector_store_ids": [store.id]}])
    kinds = [of(ask()) for _ in range(2)]
    before = server.json("cache", "stats", key=admin)["answers"]
    client.vector_stores.files.delete(file.id, vector_store_id=store.id)
    if kinds[1] == "hit":  # the answer had ended by itself, and was kept
        wait_until(lambda: server.json("cache", "stats", key=admin)["answers"] < before, 10, "the answer that cited the document is forgotten")
    assert of(ask()) != "hit"


def test_settings_are_versions(server, admin, key, keep, tmp_path):
    before = keep("answers: deterministic")["version"]
    keep("{answers: all, ttl_seconds: 60}")
    assert "+ {answers: all" in server.cli("cache", "diff", str(before), str(before + 1), key=admin).stdout
    assert server.json("cache", "rollback", str(before), key=admin)["version"] == before + 2
    assert server.cli("cache", "show", key=admin).stdout == "answers: deterministic\n"
    file = tmp_path / "wrong.yaml"
    file.write_text("answers: sometimes")
    done = server.cli("cache", "set", str(file), key=admin, check=False)
    assert done.returncode == 2 and "cache:1: 'sometimes'" in done.stderr
    for refused in (["cache", "set", str(file)], ["cache", "purge", "--all"], ["cache", "remove"]):
        assert server.cli(*refused, key=key, check=False).returncode == 4
