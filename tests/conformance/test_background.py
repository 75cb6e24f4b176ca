"""Responses in the background with the official SDK: polled, followed, taken up again, cancelled."""
import time

import openai
import pytest

from stoa_server import CHAT, wait_until

STORY = {"model": CHAT, "input": "Tell a long story about a ship.", "max_output_tokens": 300, "temperature": 0, "background": True}


def ended(client, response, seconds=60):
    deadline = time.monotonic() + seconds
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < deadline, response
        time.sleep(0.05)
        response = client.responses.retrieve(response.id)
    return response


def test_polled(client, key, server):
    first = client.responses.create(model=CHAT, input="Say hello.", max_output_tokens=64, temperature=0, background=True)
    assert (first.status, first.background, first.output) == ("queued", True, []) and first.id.startswith("resp_")
    done = ended(client, first)
    plain = client.responses.create(model=CHAT, input="Say hello.", max_output_tokens=64, temperature=0)
    assert (done.status, done.output_text, done.created_at) == (plain.status, plain.output_text, first.created_at)
    assert done.usage.output_tokens == plain.usage.output_tokens
    # Its record is that of any answer; it can be gone on from, and its input is there.
    assert server.json("passport", done.id, key=server.key("root", "admin"))
    assert client.responses.create(model=CHAT, input="And again.", max_output_tokens=8, temperature=0, previous_response_id=done.id).output_text
    assert [item.content[0].text for item in client.responses.input_items.list(done.id)] == ["Say hello."]
    assert client.responses.cancel(done.id).status == done.status  # it has ended: nothing changes
    client.responses.delete(done.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(done.id)


def test_followed_and_taken_up_again(client):
    events = list(client.responses.create(**STORY | {"max_output_tokens": 40}, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"] and events[-1].type in ("response.incomplete", "response.completed")
    response = events[-1].response
    assert response.background and response.output_text == "".join(event.delta for event in events if event.type == "response.output_text.delta")
    for after in (0, 5, len(events) - 2):
        again = list(client.responses.retrieve(response.id, stream=True, starting_after=after))
        assert [(event.type, event.sequence_number) for event in again] == [(event.type, event.sequence_number) for event in events[after + 1:]]
    assert len(list(client.responses.retrieve(response.id, stream=True))) == len(events)


def test_a_stream_that_broke_goes_on(client):
    stream = client.responses.create(**STORY, stream=True)
    seen = []
    for event in stream:
        seen.append(event)
        if len(seen) == 6:
            break
    stream.close()
    id = seen[0].response.id
    rest = list(client.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number))
    assert [event.sequence_number for event in seen + rest] == list(range(len(seen) + len(rest)))
    assert rest[-1].response.id == id and rest[-1].response.status in ("completed", "incomplete")


def test_cancelled(client):
    running = client.responses.create(**STORY | {"max_output_tokens": 2000})
    wait_until(lambda: client.responses.retrieve(running.id).status == "in_progress", 20, "it runs")
    assert client.responses.cancel(running.id).status == "cancelled"
    assert client.responses.cancel(running.id).status == "cancelled"
    done = client.responses.retrieve(running.id)
    assert done.status == "cancelled" and done.error is None
    last = list(client.responses.retrieve(running.id, stream=True))[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "cancelled")


def test_refused(client, connect, server):
    for change, kind, param in (({"store": False}, openai.BadRequestError, "background"), ({"model": "gpt-99"}, openai.NotFoundError, "model"),
                                ({"previous_response_id": "resp_" + "0" * 26}, openai.NotFoundError, "previous_response_id")):
        with pytest.raises(kind) as caught:
            client.responses.create(**STORY | change)
        assert caught.value.param == param
    failed = ended(client, client.responses.create(**STORY | {"input": "word " * 9000}))
    assert failed.status == "failed" and "context" in failed.error.message
    assert [event.type for event in client.responses.retrieve(failed.id, stream=True)][-1] == "response.failed"
    plain = client.responses.create(model=CHAT, input="Hi", max_output_tokens=4)
    for call in (lambda: client.responses.cancel(plain.id), lambda: list(client.responses.retrieve(plain.id, stream=True))):
        with pytest.raises(openai.BadRequestError):
            call()
    mine, bob = client.responses.create(**STORY), connect(api_key=server.key("bob"))
    for call in (lambda: bob.responses.retrieve(mine.id), lambda: bob.responses.cancel(mine.id), lambda: list(bob.responses.retrieve(mine.id, stream=True))):
        with pytest.raises(openai.NotFoundError):
            call()
    client.responses.delete(mine.id)  # while it runs
