"""Models, chat completions, completions, embeddings."""
import base64
import concurrent.futures
import math
import struct

import openai
import pytest

from stoa_server import CHAT, EMBED

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
GREEDY = {"model": CHAT, "temperature": 0, "max_tokens": 24}


def say(client, **options):
    return client.chat.completions.create(**{**GREEDY, "messages": QUESTION, **options})


def joined(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


# --- models

def test_models_list(client):
    assert {CHAT, EMBED} <= {model.id for model in client.models.list()}


def test_model_retrieve(client):
    model = client.models.retrieve(CHAT)
    assert (model.id, model.object) == (CHAT, "model") and model.owned_by


def test_model_unknown(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-99")
    assert caught.value.code == "model_not_found"


# --- chat

def test_chat_plain(client):
    answer = say(client)
    assert answer.id.startswith("chatcmpl") and answer.object == "chat.completion" and answer.model == CHAT
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and "Paris" in choice.message.content
    assert choice.finish_reason == "stop"


def test_chat_usage_and_measurements(client):
    usage = say(client).usage
    assert usage.prompt_tokens > 10 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens >= 0
    stoa = usage.stoa
    assert stoa["request_id"].startswith("req_") and len(stoa["trace_id"]) == 32
    assert stoa["time_to_first_token_ms"] > 0 and stoa["cost_micro_usd"] >= 0


def test_chat_request_id_header(client):
    raw = client.chat.completions.with_raw_response.create(**GREEDY, messages=QUESTION)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    assert int(raw.headers["openai-processing-ms"]) >= 0


def test_chat_stream_equals_plain(client):
    assert joined(say(client, stream=True)) == say(client).choices[0].message.content


def test_chat_stream_shape(client):
    chunks = list(say(client, stream=True))
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all(chunk.object == "chat.completion.chunk" and chunk.usage is None for chunk in chunks)


def test_chat_stream_usage(client):
    chunks = list(say(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_chat_text_parts_and_developer_role(client):
    answer = say(client, messages=[{"role": "developer", "content": "You answer in one word."},
                                   {"role": "user", "content": [{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}]}])
    assert "Paris" in answer.choices[0].message.content


def test_chat_history_is_read(client):
    question = {"role": "user", "content": "And of France?"}
    answer = say(client, messages=[{"role": "user", "content": "What is the capital of Italy?"}, {"role": "assistant", "content": "The capital of Italy is Rome."}, question])
    assert answer.choices[0].message.content == "The capital of France is Paris."
    assert "capital" not in say(client, messages=[question]).choices[0].message.content  # only the history speaks of capitals


def test_chat_stop_string(client):
    whole = say(client, messages=[{"role": "user", "content": "Count from one to five in words."}], max_tokens=40).choices[0].message.content
    stop = whole.split()[2]
    cut = say(client, messages=[{"role": "user", "content": "Count from one to five in words."}], max_tokens=40, stop=[stop, "\u2603"]).choices[0]
    assert cut.finish_reason == "stop" and stop not in cut.message.content
    assert whole.startswith(cut.message.content)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_chat_token_limit(client, field):
    answer = client.chat.completions.create(model=CHAT, temperature=0, messages=[{"role": "user", "content": "Tell me a long story."}], **{field: 7})
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 7


def test_chat_seed_is_reproducible(client):
    draw = lambda seed: say(client, messages=[{"role": "user", "content": "Invent a name for a cat."}], temperature=1.5, seed=seed).choices[0].message.content
    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(1, 6)}) > 1


def test_chat_several_choices(client):
    answer = say(client, n=3, temperature=1.3, seed=3, messages=[{"role": "user", "content": "Invent a name for a dog."}])
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1


def test_chat_several_choices_streamed(client):
    texts, ends = {}, {}
    for chunk in say(client, n=2, temperature=1.3, seed=3, stream=True):
        choice = chunk.choices[0]
        texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
        ends[choice.index] = choice.finish_reason or ends.get(choice.index)
    assert sorted(texts) == [0, 1] and all(texts.values()) and all(ends.values())


def test_chat_logprobs(client):
    content = say(client, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    assert len(content) > 0
    for token in content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert bytes(token.bytes).decode("utf-8", "replace") == token.token
        assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob >= token.top_logprobs[2].logprob
        assert math.isclose(token.logprob, token.top_logprobs[0].logprob, abs_tol=1e-4)  # greedy takes the likeliest


def test_chat_logit_bias_bans_a_token(client):
    free = say(client, max_tokens=1, extra_body={"logprobs": True, "top_logprobs": 1}).choices[0].message.content
    # Raising one token above all others makes it the answer, whatever the question.
    forced = say(client, max_tokens=3, logit_bias={"28": 100}).choices[0].message.content
    assert len(set(forced)) == 1 and forced[0] * 3 == forced and forced != free


def test_chat_extra_sampling_fields(client):
    answer = say(client, temperature=0.8, extra_body={"top_k": 1, "min_p": 0.1, "repetition_penalty": 1.1})
    assert answer.choices[0].message.content


def test_chat_unicode_stream(client):
    chunks = list(say(client, stream=True, max_tokens=40, temperature=0, messages=[{"role": "user", "content": "Repeat exactly: 🎉 naïve 東京 Привет 👩‍👩‍👧 مرحبا"}]))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "\ufffd" not in text and any(ord(c) > 127 for c in text)


def test_chat_sixteen_streams_at_once(connect):
    client = connect()
    alone = say(client).choices[0].message.content
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(lambda _: joined(say(client, stream=True)), range(16)))
    assert sum(alone == text for text in texts) >= 12, texts  # batching may turn a near tie


def test_chat_stream_closed_early_frees_the_engine(client):
    stream = say(client, stream=True, max_tokens=2000, messages=[{"role": "user", "content": "Write a very long story."}], extra_body={"repetition_penalty": 1.1})
    for count, _ in enumerate(stream):
        if count == 3:
            break
    stream.close()
    assert say(client).choices[0].message.content


# --- completions

def test_completion_plain(client):
    answer = client.completions.create(model=CHAT, prompt="The capital of France is", temperature=0, max_tokens=5)
    assert answer.object == "text_completion" and "Paris" in answer.choices[0].text


def test_completion_default_limit(client):
    answer = client.completions.create(model=CHAT, prompt="Once upon a time", temperature=0)
    assert answer.usage.completion_tokens <= 16


def test_completion_echo_and_several_prompts(client):
    answer = client.completions.create(model=CHAT, prompt=["One, two,", "Red, green,"], echo=True, temperature=0, max_tokens=4)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].text.startswith("One, two,") and answer.choices[1].text.startswith("Red, green,")


def test_completion_logprobs(client):
    logprobs = client.completions.create(model=CHAT, prompt="The capital of France is", temperature=0, max_tokens=4, logprobs=2).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) > 0
    assert logprobs.text_offset[0] == 0


def test_completion_stream(client):
    options = {"model": CHAT, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 8}
    chunks = list(client.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text == client.completions.create(**options).choices[0].text
    assert chunks[-1].usage.completion_tokens == 8


def test_a_model_that_fills_no_gaps_says_so(client):
    with pytest.raises(openai.BadRequestError, match=f"'{CHAT}' cannot fill in the middle") as caught:
        client.completions.create(model=CHAT, prompt="a", suffix="b")
    assert caught.value.param == "suffix"
    assert client.completions.create(model=CHAT, prompt="a", suffix="", max_tokens=2).choices, "nothing behind it is no gap"


# --- embeddings

def cosine(a, b):
    return sum(x * y for x, y in zip(a, b))


def test_embeddings_default_is_base64_and_normalised(client):
    vector = client.embeddings.create(model=EMBED, input="hello").data[0].embedding
    assert len(vector) == 384 and math.isclose(cosine(vector, vector), 1, abs_tol=1e-4)


def test_embeddings_float_equals_base64(client):
    floats = client.embeddings.create(model=EMBED, input="hello", encoding_format="float").data[0].embedding
    text = client.embeddings.with_raw_response.create(model=EMBED, input="hello", encoding_format="base64").http_response.json()["data"][0]["embedding"]
    assert struct.unpack("<384f", base64.b64decode(text)) == pytest.approx(floats, abs=1e-6)


def test_embeddings_meaning(client):
    cat, kitten, tax = (item.embedding for item in client.embeddings.create(model=EMBED, input=["A cat sleeps.", "A kitten is napping.", "Income tax is due in May."]).data)
    assert cosine(cat, kitten) > cosine(cat, tax) + 0.2


def test_embeddings_many_inputs_keep_their_order(client):
    texts = [f"Sentence number {i} speaks of topic {i * 7}." for i in range(70)]
    many = client.embeddings.create(model=EMBED, input=texts)
    assert [item.index for item in many.data] == list(range(70)) and many.usage.prompt_tokens > 70
    alone = client.embeddings.create(model=EMBED, input=texts[69]).data[0].embedding
    assert cosine(alone, many.data[69].embedding) > 0.999


@pytest.mark.parametrize("options, param", [
    ({"input": [[1, 2, 3]]}, "input"), ({"input": ""}, "input"), ({"input": "a", "dimensions": 100}, "dimensions"),
    ({"input": ["a"] * 2049}, "input"), ({"input": "word " * 400}, "input")])
def test_embeddings_refusals(client, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=EMBED, **options)
    assert caught.value.param == param


def test_embeddings_of_a_chat_model_refused(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=CHAT, input="a")
    assert caught.value.param == "model"
