"""Limits of a project as the official clients see them: what is left, what is refused and for how long, in every dialect."""
import concurrent.futures

import anthropic
import openai
import pytest

from stoa_server import CHAT, EMBED

ASKED = {"model": CHAT, "messages": [{"role": "user", "content": "Say yes."}], "temperature": 0, "max_tokens": 4}


@pytest.fixture(scope="module")
def admin(server):
    return server.key("root", "admin")


@pytest.fixture
def limited(server, admin, tmp_path, request):
    """A key of somebody whom alone the limits hold for, and what sets them."""
    key = server.key(f"limited-{request.node.name[5:15]}".lower().replace("_", "-"))
    who = server.json("whoami", key=key)["principal"]

    def limit(amounts):
        file = tmp_path / "limits.yaml"
        file.write_text(f"limits: [{{per: user, principals: [{who}], {amounts}}}]")
        return server.json("limits", "set", "test", str(file), key=admin)

    yield key, limit
    server.cli("limits", "remove", "test", key=admin)


def test_requests_are_counted_and_refused_in_every_dialect(server, admin, connect, limited):
    key, limit = limited
    limit("requests_per_minute: 5")
    client, claude = connect(api_key=key), anthropic.Anthropic(api_key=key, base_url=server.url, max_retries=0)
    answers = [client.chat.completions.with_raw_response.create(**ASKED), client.completions.with_raw_response.create(model=CHAT, prompt="Yes", max_tokens=2),
               client.embeddings.with_raw_response.create(model=EMBED, input="yes"), client.responses.with_raw_response.create(model=CHAT, input="Say yes.", max_output_tokens=16)]
    assert [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers] == [4, 3, 2, 1]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "5" and answers[0].headers["x-ratelimit-reset-requests"].endswith("s") and "x-ratelimit-limit-tokens" not in answers[0].headers
    last = claude.messages.with_raw_response.create(model=CHAT, max_tokens=4, messages=ASKED["messages"])
    assert (last.headers["anthropic-ratelimit-requests-limit"], last.headers["anthropic-ratelimit-requests-remaining"]) == ("5", "0")
    assert last.headers["anthropic-ratelimit-requests-reset"].startswith("20") and "x-ratelimit-limit-requests" not in last.headers

    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(**ASKED)
    error = refused.value
    assert error.code == "rate_limit_exceeded" and "limit of 5 requests a minute" in error.message and "limit 1 of 'test'" in error.message, error.message
    assert 1 <= int(error.response.headers["retry-after"]) <= 12 and error.response.headers["x-ratelimit-remaining-requests"] == "0"
    for again in (lambda: client.embeddings.create(model=EMBED, input="x"), lambda: client.responses.create(model=CHAT, input="x"), lambda: client.completions.create(model=CHAT, prompt="x"),
                  lambda: list(client.chat.completions.create(stream=True, **ASKED))):
        with pytest.raises(openai.RateLimitError):
            again()
    with pytest.raises(anthropic.RateLimitError) as refused:
        claude.messages.create(model=CHAT, max_tokens=4, messages=ASKED["messages"])
    assert refused.value.body["error"]["type"] == "rate_limit_error" and refused.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert connect().chat.completions.create(**ASKED).choices, "somebody else"
    standing = next(item for item in server.json("limits", "usage", key=admin)["data"] if item["limits"] == "test")
    assert (standing["limit"], standing["used"], standing["unit"]) == (5, 5, "requests_per_minute")


def test_tokens_are_those_that_were_used(connect, limited):
    key, limit = limited
    limit("tokens_per_minute: 3000")
    client = connect(api_key=key)
    first = client.chat.completions.with_raw_response.create(**ASKED | {"max_tokens": 1000})
    used = first.parse().usage.total_tokens
    assert used < 500 and int(first.headers["x-ratelimit-remaining-tokens"]) >= 3000 - used, "what was set aside and not used came back"
    with client.chat.completions.with_streaming_response.create(**ASKED | {"max_tokens": 1000}, stream=True) as stream:
        assert int(stream.headers["x-ratelimit-remaining-tokens"]) <= 2000, "set aside while it runs"
        assert "[DONE]" in "".join(stream.iter_text())
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(**ASKED | {"max_tokens": 5000})
    assert refused.value.status_code == 413 and "this request alone may use" in refused.value.message and "3000 tokens a minute" in refused.value.message
    assert refused.value.response.headers["x-should-retry"] == "false", "waiting would not help"


def test_the_client_waits_for_a_place_and_gets_it(server, connect, limited):
    key, limit = limited
    limit("concurrent: 1")
    patient = connect(api_key=key, max_retries=20, timeout=30)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(lambda: patient.chat.completions.create(**ASKED).choices[0].finish_reason) for _ in range(3)]
        late = concurrent.futures.wait(asked, timeout=90).not_done
        patient.close()  # ends those that still wait
        assert not late, f"{len(late)} of 3 have no answer after 90 s: " + server.log_text()[-2000:]
        assert all(one.result() for one in asked)
    impatient = connect(api_key=key, timeout=30)
    endless = {"max_tokens": 400, "logit_bias": {"0": -100, "2": -100}}  # it cannot say that it is at its end
    with impatient.chat.completions.create(**ASKED | endless, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError, match="1 requests at a time"):
            impatient.chat.completions.create(**ASKED)


def test_money_is_what_the_price_file_says(connect, limited):
    key, limit = limited
    limit("money_per_day: 0.000001")
    with pytest.raises(openai.APIStatusError, match="may cost"):
        connect(api_key=key).chat.completions.create(**ASKED)


def test_changes_hold_at_once_and_can_be_taken_back(server, admin, connect, limited):
    key, limit = limited
    client = connect(api_key=key)
    first = limit("requests_per_minute: 1")["version"]
    client.embeddings.create(model=EMBED, input="x")
    with pytest.raises(openai.RateLimitError):
        client.embeddings.create(model=EMBED, input="x")
    limit("requests_per_minute: 1000")
    client.embeddings.create(model=EMBED, input="x")
    assert "requests_per_minute: 1000" in server.cli("limits", "diff", "test", str(first), str(first + 1), key=admin).stdout
    assert server.json("limits", "rollback", "test", str(first), "--comment", "as it was", key=admin)["version"] == first + 2
    with pytest.raises(openai.RateLimitError):
        client.embeddings.create(model=EMBED, input="x")
    assert "as it was" in server.cli("limits", "history", "test", key=admin).stdout and "1 requests a minute" in server.cli("limits", "list", key=admin).stdout
    assert [entry["resource"] for entry in server.json("audit", "list", "--action", "limits.rollback", key=admin)["data"]][-1] == f"limits test@{first + 2}"
    assert server.cli("limits", "list", key=key).returncode == 0 and server.cli("limits", "remove", "test", key=key, check=False).returncode == 4, "a developer sees, and changes nothing"


def test_a_restart_gives_nothing_back(server, connect, limited):
    key, limit = limited
    limit("requests_per_minute: 2")
    client = connect(api_key=key)
    for _ in range(2):
        client.chat.completions.create(**ASKED)

    def refusal():
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(**ASKED)
        return refused.value.code, refused.value.message.partition(";")[0]

    before = refusal()
    server.kill()
    server.start()
    assert refusal() == before and "limit of 2 requests a minute" in before[1]


def test_what_is_wrong_is_said_with_its_place(server, admin, tmp_path):
    file = tmp_path / "wrong.yaml"
    for text, message in (("limits: []", "1 to 64"), ("limits:\n  - {per: moon, concurrent: 1}", "x:2: 'moon'"), ("limits: [{requests_per_minuet: 1}]", "requests_per_minute")):
        file.write_text(text)
        done = server.cli("limits", "set", "x", str(file), key=admin, check=False)
        assert done.returncode == 2 and message in done.stderr, done
    assert server.cli("limits", "set", "x", str(file), "--installation", key=admin, check=False).returncode == 2
