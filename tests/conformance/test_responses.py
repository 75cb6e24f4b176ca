"""Responses: plain, streamed, from documents with citations, and stored."""
import openai
import pytest

from pdf import pdf_of
from stoa_server import CHAT

PLAIN = {"model": CHAT, "temperature": 0, "max_output_tokens": 24}


def ask(client, **options):
    return client.responses.create(**{**PLAIN, "input": "What is the capital of France? Answer in one word.", **options})


def search(store, **options):
    return {"tools": [{"type": "file_search", "vector_store_ids": [store.id], **options}], "max_output_tokens": None}


def citations(response):
    return response.output[-1].content[0].annotations


# --- plain

def test_response_plain(client):
    response = ask(client)
    assert response.id.startswith("resp_") and response.object == "response" and response.status == "completed" and response.error is None
    assert [item.type for item in response.output] == ["message"] and "Paris" in response.output_text
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0 and usage.stoa["trace_id"]


def test_response_instructions_and_items(client):
    response = ask(client, instructions="You answer in one word.", input=[
        {"role": "user", "content": "What is the capital of Italy?"}, {"role": "assistant", "content": "Rome."},
        {"role": "user", "content": [{"type": "input_text", "text": "And of France?"}]}])
    assert "Paris" in response.output_text and response.instructions == "You answer in one word."


def test_response_without_a_model_names_the_one_that_answered(client):
    response = client.responses.create(input="What is the capital of France? Answer in one word.", temperature=0, max_output_tokens=24)
    assert response.model == CHAT and response.output_text == ask(client).output_text


def test_response_incomplete_when_cut_off(client):
    response = ask(client, input="Tell me a long story.", max_output_tokens=16)
    assert response.status == "incomplete" and response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 16


def test_response_stream_order(client):
    events = list(ask(client, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    types = [event.type for event in events]
    deltas = types.count("response.output_text.delta")
    assert deltas > 0 and types == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"] + \
        ["response.output_text.delta"] * deltas + ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == ask(client).output_text
    assert events[-1].response.usage.total_tokens > 0


def test_response_stream_incomplete(client):
    assert list(ask(client, input="Tell me a long story.", max_output_tokens=16, stream=True))[-1].type == "response.incomplete"


def test_response_stream_helper(client):
    with client.responses.stream(**PLAIN, input="What is the capital of France? Answer in one word.") as stream:
        for _ in stream:
            pass
        assert "Paris" in stream.get_final_response().output_text


# --- stored

def test_response_retrieve_and_delete(client):
    made = ask(client, metadata={"k": "v"})
    again = client.responses.retrieve(made.id)
    assert (again.output_text, again.metadata, again.status) == (made.output_text, {"k": "v"}, "completed")
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_response_not_stored(client):
    made = ask(client, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_response_is_private(server, client, connect):
    made = ask(client)
    with pytest.raises(openai.NotFoundError):
        connect(api_key=server.key("bob")).responses.retrieve(made.id)


def test_response_input_items(client):
    made = ask(client, input=[{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}])
    items = list(client.responses.input_items.list(made.id, order="asc", limit=2))
    assert [item.content[0].text for item in items] == ["one", "two", "three"]
    assert [item.role for item in client.responses.input_items.list(made.id)] == ["user", "assistant", "user"]


def test_previous_response_is_history(client):
    question = "And of France?"
    first = ask(client, input="What is the capital of Italy?")
    second = ask(client, input=question, previous_response_id=first.id)
    told = ask(client, input=[{"role": "user", "content": "What is the capital of Italy?"}, {"role": "assistant", "content": first.output_text},
                              {"role": "user", "content": question}])
    assert second.previous_response_id == first.id
    assert (second.output_text, second.usage.input_tokens) == (told.output_text, told.usage.input_tokens)
    assert second.output_text != ask(client, input=question).output_text


def test_previous_response_unknown(client):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, previous_response_id="resp_" + "0" * 26)
    assert caught.value.param == "previous_response_id"


def test_truncation(client):
    long = [{"role": "user", "content": "word " * 9000}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "What is the capital of France?"}]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, input=long)
    assert caught.value.code == "context_length_exceeded"
    cut = ask(client, input=long, truncation="auto")
    assert "paris" in cut.output_text.lower() and cut.truncation == "auto" and cut.usage.input_tokens < 100


def test_cancel_of_a_complete_response(client):
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(ask(client).id)


@pytest.mark.parametrize("options, param", [
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"), ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, "tools[0].vector_store_ids"),
    ({"background": True, "store": False}, "background"), ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content[0].image_url"),
    ({"text": {"format": {"type": "grammar"}}}, "text.format.type"), ({"metadata": {"stoa.answer": "extractive"}}, "tools")])
def test_response_refusals(client, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **options)
    assert caught.value.param == param


# --- from documents

def check_citations(response, store):
    assert citations(response), response.output_text
    for note in citations(response):
        assert note.type == "file_citation" and note.file_id in (store.pages, store.notes) and note.filename
        assert note.index == note.end_index and response.output_text[note.start_index:note.end_index].strip()
        assert note.document_id.startswith("doc_") and note.quote and note.url.startswith("http")


def test_file_search_answers_with_citations(client, handbook):
    response = ask(client, input="How often is an access key rotated?", **search(handbook))
    assert [item.type for item in response.output] == ["file_search_call", "message"]
    call = response.output[0]
    assert call.status == "completed" and call.queries == ["How often is an access key rotated?"] and call.results is None
    assert "ninety days" in response.output_text
    check_citations(response, handbook)
    note = citations(response)[0]
    assert (note.filename, note.anchor) == ("handbook.html", "keys") and "ninety days" in note.quote


def test_file_search_results_are_included_on_request(client, handbook):
    response = ask(client, input="When does the roof garden open?", include=["file_search_call.results"], **search(handbook, max_num_results=2))
    results = response.output[0].results
    assert 0 < len(results) <= 2 and results[0].file_id == handbook.notes and "April" in results[0].text
    assert results[0].attributes["kind"] == "notes"


def test_file_search_extractive_is_literal(client, handbook):
    response = ask(client, input="What is the colour printer called?", metadata={"stoa.answer": "extractive"}, **search(handbook))
    assert response.stoa["answer"] == "extractive" and response.usage.output_tokens == 0
    check_citations(response, handbook)
    for note in citations(response):
        assert response.output_text[note.start_index:note.end_index] == note.quote


def test_file_search_without_an_answer(client, handbook):
    response = ask(client, input="How many moons does the planet Jupiter have?", **search(handbook))
    assert not citations(response) and "not answer" in response.output_text


def test_file_search_stream_order(client, handbook):
    events = list(ask(client, input="How often is an access key rotated?", stream=True, **search(handbook)))
    types = [event.type for event in events]
    notes, deltas = types.count("response.output_text.annotation.added"), types.count("response.output_text.delta")
    assert notes > 0 and deltas > 0
    assert types == ["response.created", "response.in_progress", "response.output_item.added", "response.file_search_call.in_progress",
                     "response.file_search_call.searching", "response.file_search_call.completed", "response.output_item.done",
                     "response.output_item.added", "response.content_part.added"] + ["response.output_text.delta"] * deltas + \
        ["response.output_text.annotation.added"] * notes + ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"]
    final = events[-1].response
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == final.output_text
    check_citations(final, handbook)


def test_file_search_filter(client, handbook):
    response = ask(client, input="When does the roof garden open?", include=["file_search_call.results"],
                   **search(handbook, filters={"type": "eq", "key": "kind", "value": "handbook"}))
    assert {result.file_id for result in response.output[0].results} <= {handbook.pages}


PAGES = {"When is lunch served in the canteen?": "Lunch is served in the canteen from noon until half past one.",
         "How often is an access key rotated?": "An access key is rotated every ninety days by the security team.",
         "What is the colour printer called?": "The colour printer on the third floor is called Gutenberg."}


@pytest.fixture(scope="module")
def manual(client, wait_indexed):
    """A vector store with a PDF of three pages."""
    file = client.files.create(file=("manual.pdf", pdf_of(*PAGES.values()), "application/pdf"), purpose="assistants")
    store = client.vector_stores.create(name="manual", file_ids=[file.id])
    counts = wait_indexed(client, store.id)
    assert counts.completed == 1, counts
    store.pages, store.notes = file.id, None
    return store


@pytest.mark.parametrize("number, question", enumerate(PAGES, 1))
def test_pages_of_a_pdf(client, manual, number, question):
    """The page stands in results and citations, plain and streamed, stored and in a search of the store itself."""
    says = PAGES[question]
    found = client.vector_stores.search(manual.id, query=question).data[0]
    assert says in found.content[0].text and (found.file_id, found.stoa["page"]) == (manual.pages, number)
    options = {"input": question, "metadata": {"stoa.answer": "extractive"}, "include": ["file_search_call.results"], **search(manual)}
    plain = ask(client, **options)
    streamed = list(ask(client, stream=True, **options))
    added = [event.annotation for event in streamed if event.type == "response.output_text.annotation.added"]
    for response in (plain, streamed[-1].response, client.responses.retrieve(plain.id)):
        check_citations(response, manual)
        quoted = [note for note in citations(response) if note.quote in says]
        assert quoted and {(note.filename, note.page) for note in quoted} == {("manual.pdf", number)}, response.output_text
    assert plain.output[0].results[0].page == number and says in plain.output[0].results[0].text
    assert [note.page for note in added if note.quote in says] == [number] * len(quoted)


def test_file_search_follow_up(client, handbook):
    first = ask(client, input="When does the roof garden open?", **search(handbook))
    second = ask(client, input="And when does it close?", previous_response_id=first.id, **search(handbook))
    assert "October" in second.output_text


def test_file_search_of_an_unknown_store(client):
    with pytest.raises(openai.NotFoundError):
        ask(client, tools=[{"type": "file_search", "vector_store_ids": ["vs_" + "0" * 26]}])


def test_viewer_gets_quotes(server, connect, handbook):
    viewer = connect(api_key=server.key("vera", "viewer"))
    response = ask(viewer, input="How often is an access key rotated?", **search(handbook))
    assert response.stoa["answer"] == "extractive" and "ninety days" in response.output_text
    with pytest.raises(openai.PermissionDeniedError):
        ask(viewer)
