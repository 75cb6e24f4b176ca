"""kill -9 in the midst of a batch, and of a response in the background."""
import json

from stoa_server import CHAT, wait_until

CHATS = "/v1/chat/completions"


def test_a_batch_goes_on_where_it_was(server_with_models):
    """Killed several times; in the end every line has one answer, and every answer is paid once, by the request that it names."""
    server, count = server_with_models, 60
    lines = [json.dumps({"custom_id": f"line-{n}", "method": "POST", "url": CHATS, "body": {"model": CHAT, "max_tokens": 12, "seed": n, "messages": [{"role": "user", "content": f"Write about {n}."}]}})
             for n in range(count)]
    status, text = server.upload("requests.jsonl", "\n".join(lines).encode(), "batch")
    assert status == 200, text
    batch = server.ok("POST", "/v1/batches", {"input_file_id": json.loads(text)["id"], "endpoint": CHATS, "completion_window": "24h"})
    look = lambda: server.ok("GET", f"/v1/batches/{batch['id']}")
    kills = 0
    for part in (0.1, 0.35, 0.6):
        wait_until(lambda: look()["request_counts"]["completed"] >= part * count, 60, f"{part} of the batch")
        shown = look()
        if shown["status"] != "in_progress":
            break
        server.kill()
        kills += 1
        server.start()
        assert look()["request_counts"]["completed"] >= shown["request_counts"]["completed"] - 4, "what was done is done, but for lines whose answers were not paid"
    assert kills > 0, "the batch ended before it could be killed: give it more lines"
    wait_until(lambda: look()["status"] == "completed", 120, "the batch is complete")
    done = look()
    assert done["request_counts"] == {"total": count, "completed": count, "failed": 0} and done["error_file_id"] is None

    status, text = server.call("GET", f"/v1/files/{done['output_file_id']}/content")
    answers = [json.loads(line) for line in text.splitlines()]
    assert sorted(answer["custom_id"] for answer in answers) == sorted(f"line-{n}" for n in range(count))
    requests = [answer["response"]["request_id"] for answer in answers]
    assert len(set(requests)) == count
    usage = server.ok("GET", "/v1/stoa/usage")
    total = usage["data"][0]
    assert total["requests"] == count, "each is paid once, and nothing else"
    assert total["completion_tokens"] == sum(answer["response"]["body"]["usage"]["completion_tokens"] for answer in answers)


def test_a_background_response_says_what_became_of_it(server_with_models):
    server = server_with_models
    body = {"model": CHAT, "input": "Tell a story.", "max_output_tokens": 1500, "temperature": 0, "background": True}
    running = [server.ok("POST", "/v1/responses", body)["id"] for _ in range(12)]  # more than run at a time
    state = lambda id: server.ok("GET", f"/v1/responses/{id}")["status"]
    wait_until(lambda: state(running[0]) == "in_progress", 30, "the first runs")
    last = state(running[-1])
    server.kill()
    server.start()
    first = server.ok("GET", f"/v1/responses/{running[0]}")
    assert first["status"] == "failed" and "the server ended" in first["error"]["message"]
    status, text = server.call("GET", f"/v1/responses/{running[0]}?stream=true&starting_after=7")
    assert status == 200 and text.startswith(b"event: response.failed") and json.loads(text.partition(b"data: ")[2])["sequence_number"] == 8
    if last == "queued":
        assert state(running[-1]) in ("queued", "in_progress", "completed", "incomplete"), "what waited is made after the restart"
    for id in running:
        server.ok("POST", f"/v1/responses/{id}/cancel")
