"""Batches and uploads with the official SDKs: OpenAI's files of requests, Anthropic's message batches, files in parts."""
import hashlib
import io
import json
import time

import anthropic
import openai
import pytest

from stoa_server import CHAT, EMBED, wait_until

CHATS, EMBEDDINGS, RESPONSES, COMPLETIONS = "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/completions"


def line(id, url, body, **other):
    return json.dumps({"custom_id": id, "method": "POST", "url": url, "body": body} | other)


def chat(text="What is the capital of France?", **options):
    return {"model": CHAT, "max_tokens": 8, "temperature": 0, "messages": [{"role": "user", "content": text}]} | options


def upload(client, lines, purpose="batch"):
    return client.files.create(file=("requests.jsonl", "\n".join(lines).encode()), purpose=purpose).id


def begin(client, lines, endpoint=CHATS, **options):
    return client.batches.create(input_file_id=upload(client, lines), endpoint=endpoint, completion_window="24h", **options)


def end(client, batch, seconds=120):
    deadline = time.monotonic() + seconds
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    return batch


def lines_of(client, file):
    return {one["custom_id"]: one for one in map(json.loads, client.files.content(file).text.splitlines())} if file else {}


def test_chat_with_answers_and_errors(client, server, key):
    batch = begin(client, [line("a", CHATS, chat()), line("b", CHATS, chat("Name a colour.")), "", line("c", CHATS, chat(model="gpt-99")), line("d", CHATS, chat(max_tokens=-1))], metadata={"job": "nightly"})
    assert batch.id.startswith("batch_") and (batch.object, batch.endpoint, batch.completion_window) == ("batch", CHATS, "24h")
    assert batch.expires_at - batch.created_at == 86400
    done = end(client, batch)
    assert (done.status, done.metadata) == ("completed", {"job": "nightly"}) and done.completed_at >= done.finalizing_at >= done.in_progress_at >= done.created_at
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (4, 2, 2)
    assert done.usage.input_tokens > 0 and done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
    answers, errors = lines_of(client, done.output_file_id), lines_of(client, done.error_file_id)
    assert set(answers) == {"a", "b"} and set(errors) == {"c", "d"}
    assert client.files.retrieve(done.output_file_id).purpose == "batch_output"
    response = answers["a"]["response"]
    assert response["status_code"] == 200 and answers["a"]["error"] is None and answers["a"]["id"].startswith("batch_req_")
    direct = client.chat.completions.create(**chat())
    assert response["body"]["choices"][0]["message"]["content"] == direct.choices[0].message.content
    assert errors["c"]["response"]["status_code"] == 404 and errors["c"]["response"]["body"]["error"]["code"] == "model_not_found"
    assert errors["d"]["response"]["status_code"] == 400 and errors["d"]["response"]["body"]["error"]["param"] == "max_tokens"
    # Every line is in the ledger, the audit log and the traces by its own request, as any other.
    trace = server.json("trace", response["request_id"], key=key)
    assert CHATS in json.dumps(trace) and trace["cost_micro_usd"] == response["body"]["usage"]["stoa"]["cost_micro_usd"] > 0


@pytest.mark.parametrize("endpoint, body, read", [
    (EMBEDDINGS, {"model": EMBED, "input": "garden", "encoding_format": "float"}, lambda body: len(body["data"][0]["embedding"]) == 384),
    (COMPLETIONS, {"model": CHAT, "prompt": "Paris is", "max_tokens": 4}, lambda body: body["object"] == "text_completion"),
    (RESPONSES, {"model": CHAT, "input": "Say hello.", "max_output_tokens": 16}, lambda body: body["object"] == "response" and body["output"]),
])
def test_endpoints(client, endpoint, body, read):
    done = end(client, begin(client, [line(str(i), endpoint, body) for i in range(3)], endpoint))
    answers = lines_of(client, done.output_file_id)
    assert (done.status, done.error_file_id) == ("completed", None) and set(answers) == {"0", "1", "2"}
    assert all(read(answer["response"]["body"]) for answer in answers.values())


def test_what_is_wrong_is_said_with_its_line(client):
    bad = [line("a", CHATS, chat()), "{", line("a", CHATS, chat()), line("b", EMBEDDINGS, chat()), json.dumps({"custom_id": "c"}), line("d", CHATS, chat(stream=True)), line("e", CHATS, chat(), method="GET")]
    failed = end(client, begin(client, bad))
    assert failed.status == "failed" and failed.output_file_id is None and failed.failed_at
    assert [(problem.line, problem.code, problem.param) for problem in failed.errors.data] == [
        (2, "invalid_json_line", None), (3, "duplicate_custom_id", "custom_id"), (4, "invalid_request", "url"), (5, "invalid_request", "method"),
        (6, "invalid_request", "body.stream"), (7, "invalid_request", "method")]
    assert end(client, begin(client, [""])).errors.data[0].code == "empty_file"


def test_calls_that_are_refused(client, connect, server):
    file = upload(client, [line("a", CHATS, chat())])
    good = {"input_file_id": file, "endpoint": CHATS, "completion_window": "24h"}
    for change, param in (({"endpoint": "/v1/files"}, "endpoint"), ({"completion_window": "1h"}, "completion_window"), ({"input_file_id": "x"}, "input_file_id"),
                          ({"input_file_id": upload(client, ["x"], "user_data")}, "input_file_id")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.batches.create(**good | change)
        assert caught.value.param == param
    bob = connect(api_key=server.key("bob"))
    batch = client.batches.create(**good)
    for call in (bob.batches.retrieve, bob.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            call(batch.id)
    assert not list(bob.batches.list())
    with pytest.raises(openai.PermissionDeniedError):
        connect(api_key=server.key("eve", "viewer")).batches.create(**good)
    done = end(client, batch)
    with pytest.raises(openai.NotFoundError):  # answers are for who asked
        bob.files.content(done.output_file_id)
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_pages_and_cancelling(client):
    long = [line(str(i), CHATS, chat(f"Tell a story about {i} ships.", max_tokens=80)) for i in range(40)]
    batch = begin(client, long)
    wait_until(lambda: client.batches.retrieve(batch.id).status == "in_progress", 20, "the batch runs")
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = end(client, batch)
    assert done.status == "cancelled" and done.cancelled_at >= done.cancelling_at
    errors = lines_of(client, done.error_file_id)
    assert errors and all(one["response"] is None and one["error"]["code"] == "batch_cancelled" for one in errors.values())
    assert len(errors) + len(lines_of(client, done.output_file_id)) == 40
    ids = [one.id for one in client.batches.list(limit=2)]  # the SDK follows `after`
    assert ids[0] == batch.id and len(ids) == len(set(ids)) > 2


def test_a_revoked_key_ends_the_rest(client, connect, server):
    made = server.json("keys", "create", "--project", "default", "--user", "carl")
    carl = connect(api_key=made["key"])
    batch = begin(carl, [line(str(i), CHATS, chat(f"Tell a story about {i} ships.", max_tokens=80)) for i in range(40)])
    wait_until(lambda: carl.batches.retrieve(batch.id).status == "in_progress", 20, "the batch runs")
    again = connect(api_key=server.key("carl"))  # the same user, with another key
    server.cli("keys", "revoke", made["id"])
    done = end(again, batch)
    assert done.status == "failed" and done.errors.data[0].code == "not_authorized" and made["id"] in done.errors.data[0].message
    assert len(lines_of(again, done.error_file_id)) + len(lines_of(again, done.output_file_id)) == 40


def test_verbs_and_windows(server, key, tmp_path):
    file = tmp_path / "requests.jsonl"
    file.write_text(line("a", CHATS, chat()) + "\n" + line("b", CHATS, chat(model="gpt-99")) + "\n")
    done = server.json("batches", "create", str(file), "--wait", "--metadata", "job=verbs", key=key)
    assert (done["status"], done["metadata"]) == ("completed", {"job": "verbs"})
    assert json.loads(server.cli("batches", "results", done["id"], key=key).stdout)["custom_id"] == "a"
    assert json.loads(server.cli("batches", "results", done["id"], "--errors", key=key).stdout)["custom_id"] == "b"
    assert done["id"] in server.cli("batches", "list", key=key).stdout and "1 failed" in server.cli("batches", "show", done["id"], key=key).stdout
    assert server.cli("batches", "cancel", done["id"], key=key, check=False).returncode == 1
    file.write_text("oops\n")
    broken = server.cli("batches", "create", str(file), "--wait", key=key, check=False)
    assert broken.returncode == 1 and "invalid_json_line, line 1" in broken.stdout

    admin = server.key("root", "admin")
    assert server.cli("batches", "window", "22:00-06:00", key=key, check=False).returncode == 4
    minute = int(time.time() / 60) % 1440
    closed = "{:02}:{:02}-{:02}:{:02}".format(*divmod((minute + 120) % 1440, 60), *divmod((minute + 180) % 1440, 60))
    assert server.cli("batches", "window", "noon", key=admin, check=False).returncode == 2
    assert server.json("batches", "window", closed, key=admin)["open"] is False
    try:
        file.write_text(line("a", CHATS, chat()) + "\n")
        waiting = server.json("batches", "create", str(file), key=key)
        wait_until(lambda: server.json("batches", "show", waiting["id"], key=key)["status"] == "in_progress", 20, "it is validated")
        time.sleep(1)
        assert server.json("batches", "show", waiting["id"], key=key)["request_counts"]["completed"] == 0
    finally:
        assert server.json("batches", "window", "--always", key=admin)["version"] == 2
    assert server.json("batches", "show", waiting["id"], "--wait", key=key)["status"] == "completed"


# ---- Files in parts

def test_uploads(client, tmp_path):
    data = b"".join(b"Line %d of the story.\n" % i for i in range(5000))
    whole = tmp_path / "story.txt"
    whole.write_bytes(data)
    done = client.uploads.upload_file_chunked(file=whole, mime_type="text/plain", purpose="user_data", part_size=10_000, md5=hashlib.md5(data).hexdigest())
    assert (done.status, done.bytes, done.filename, done.purpose) == ("completed", len(data), "story.txt", "user_data")
    assert client.files.content(done.file.id).read() == data and done.expires_at - done.created_at == 3600


def test_uploads_that_do_not_fit(client, connect, server):
    upload = client.uploads.create(bytes=6, filename="a.txt", mime_type="text/plain", purpose="batch")
    parts = [client.uploads.parts.create(upload.id, data=io.BytesIO(piece)).id for piece in (b"abc", b"def")]
    for options, param in (({"part_ids": parts[:1]}, "part_ids"), ({"part_ids": parts + parts[:1]}, "part_ids"), ({"part_ids": ["part_x"]}, "part_ids"), ({"part_ids": parts, "md5": "0" * 32}, "md5")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.uploads.complete(upload.id, **options)
        assert caught.value.param == param
    with pytest.raises(openai.APIStatusError) as caught:
        client.uploads.parts.create(upload.id, data=io.BytesIO(b"x" * 20))
    assert caught.value.status_code == 413
    with pytest.raises(openai.NotFoundError):
        connect(api_key=server.key("bob")).uploads.complete(upload.id, part_ids=parts)
    done = client.uploads.complete(upload.id, part_ids=parts[::-1], md5=hashlib.md5(b"defabc").hexdigest())  # in the order that is asked for
    assert client.files.content(done.file.id).read() == b"defabc"
    with pytest.raises(openai.ConflictError):
        client.uploads.cancel(upload.id)
    other = client.uploads.create(bytes=6, filename="a.txt", mime_type="text/plain", purpose="batch")
    assert client.uploads.cancel(other.id).status == "cancelled"
    with pytest.raises(openai.ConflictError):
        client.uploads.parts.create(other.id, data=io.BytesIO(b"abc"))
    for change, param in (({"bytes": 0}, "bytes"), ({"bytes": 1 << 50}, "bytes"), ({"purpose": "fun"}, "purpose"), ({"filename": ""}, "filename")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.uploads.create(**{"bytes": 1, "filename": "a", "mime_type": "text/plain", "purpose": "batch"} | change)
        assert caught.value.param == param


# ---- Anthropic

@pytest.fixture(scope="module")
def message_batches(server, key):
    return anthropic.Anthropic(api_key=key, base_url=server.url, max_retries=0, timeout=120).messages.batches


def params(text="What is the capital of France? Answer in one word.", **options):
    return {"model": CHAT, "max_tokens": 24, "temperature": 0, "messages": [{"role": "user", "content": text}]} | options


def ended(batches, batch, seconds=120):
    deadline = time.monotonic() + seconds
    while batch.processing_status != "ended":
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
        batch = batches.retrieve(batch.id)
    return batch


def test_message_batches(message_batches, client):
    batch = message_batches.create(requests=[{"custom_id": "a", "params": params()}, {"custom_id": "b", "params": params(model="gpt-99")}])
    assert batch.id.startswith("msgbatch_") and (batch.type, batch.processing_status, batch.request_counts.processing) == ("message_batch", "in_progress", 2)
    done = ended(message_batches, batch)
    counts = done.request_counts
    assert (counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired) == (0, 1, 1, 0, 0) and done.ended_at >= done.created_at
    results = {one.custom_id: one.result for one in message_batches.results(batch.id)}
    assert results["a"].type == "succeeded" and "Paris" in results["a"].message.content[0].text
    assert results["b"].type == "errored" and results["b"].error.error.type == "not_found_error"
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve(batch.id)  # each dialect has its own
    assert message_batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        message_batches.retrieve(batch.id)


def test_message_batches_are_cancelled_and_listed(message_batches):
    long = [{"custom_id": str(i), "params": params(f"Tell a story about {i} ships.", max_tokens=80)} for i in range(30)]
    batch = message_batches.create(requests=long)
    with pytest.raises(anthropic.ConflictError):
        message_batches.delete(batch.id)
    assert message_batches.cancel(batch.id).processing_status in ("canceling", "ended")
    done = ended(message_batches, batch)
    kinds = [one.result.type for one in message_batches.results(batch.id)]
    assert done.cancel_initiated_at and len(kinds) == 30 and kinds.count("canceled") == done.request_counts.canceled > 0
    others = [ended(message_batches, message_batches.create(requests=[{"custom_id": "a", "params": params()}])).id for _ in range(2)]
    assert [one.id for one in message_batches.list(limit=1)][:3] == [*others[::-1], batch.id]
    first = message_batches.list(limit=1, before_id=batch.id)
    assert [one.id for one in first.data] == [others[0]]


@pytest.mark.parametrize("requests, text", [
    ([], "requests"), ([{"custom_id": "a b", "params": {}}], "requests[0].custom_id"), ([{"custom_id": "a", "params": params()}] * 2, "requests[1].custom_id"),
    ([{"custom_id": "a"}], "requests[0].params"), ([{"custom_id": "a", "params": params(stream=True)}], "requests[0].params.stream"),
])
def test_message_batches_that_are_refused(message_batches, requests, text):
    with pytest.raises(anthropic.BadRequestError) as caught:
        message_batches.create(requests=requests)
    assert text in caught.value.body["error"]["message"]
