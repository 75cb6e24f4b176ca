"""Files, vector stores, search."""
import io

import openai
import pytest


# --- files

def test_file_upload_and_content(client):
    data = "Zürich \u2603\n".encode() * 100
    file = client.files.create(file=("weather report.txt", io.BytesIO(data)), purpose="assistants")
    assert file.id.startswith("file-") and file.object == "file" and file.bytes == len(data)
    assert (file.filename, file.purpose, file.status) == ("weather report.txt", "assistants", "processed")
    assert client.files.content(file.id).read() == data
    assert client.files.retrieve(file.id).id == file.id


def test_file_delete(client):
    file = client.files.create(file=("a.txt", b"a"), purpose="user_data")
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_files_are_listed_in_pages(client):
    made = [client.files.create(file=(f"{i}.txt", b"x"), purpose="evals").id for i in range(5)]
    assert [file.id for file in client.files.list(purpose="evals", limit=2)] == made[::-1]  # the SDK follows `after`
    assert [file.id for file in client.files.list(purpose="evals", limit=2, order="asc")] == made
    page = client.files.list(purpose="evals", limit=2)
    assert page.has_more and len(page.data) == 2


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\boot.ini", "a/b/c.txt"])
def test_file_name_cannot_leave_its_folder(client, name):
    try:
        file = client.files.create(file=(name, b"x"), purpose="assistants")
    except openai.BadRequestError:
        return
    assert "/" not in file.filename and "\\" not in file.filename and file.filename not in ("", ".", "..")


def test_file_purpose_is_checked(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("a.txt", b"a"), purpose="fun")
    assert caught.value.param == "purpose"


@pytest.mark.parametrize("name", ["file-0", "../x", "file-" + "z" * 26, "%00"])
def test_file_unknown(client, name):
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)):
        client.files.retrieve(name)


def test_deleted_file_leaves_its_stores(client, wait_indexed):
    file = client.files.create(file=("walrus.txt", b"The walrus sleeps on the ice."), purpose="assistants")
    stores = [client.vector_stores.create(name=name, file_ids=[file.id]).id for name in ("north", "south")]
    for store in stores:
        assert wait_indexed(client, store).completed == 1 and client.vector_stores.search(store, query="walrus").data
    client.files.delete(file.id)
    for store in stores:
        assert client.vector_stores.retrieve(store).file_counts.total == 0
        assert not client.vector_stores.search(store, query="walrus").data


# --- vector stores

def test_vector_store_life(client):
    store = client.vector_stores.create(name="n", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 3})
    assert store.id.startswith("vs_") and store.object == "vector_store" and store.status == "completed"
    assert store.expires_after.days == 3 and store.metadata == {"a": "b"} and store.file_counts.total == 0
    changed = client.vector_stores.update(store.id, name="m", metadata={"c": "d"})
    assert (changed.name, changed.metadata) == ("m", {"c": "d"})
    assert store.id in [item.id for item in client.vector_stores.list(limit=100)]
    assert client.vector_stores.delete(store.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.retrieve(store.id)


def test_vector_store_files(client, handbook):
    files = {file.id: file for file in client.vector_stores.files.list(handbook.id)}
    assert set(files) == {handbook.pages, handbook.notes}
    file = client.vector_stores.files.retrieve(handbook.pages, vector_store_id=handbook.id)
    assert file.status == "completed" and file.attributes == {"kind": "handbook", "year": 2024} and file.last_error is None
    text = " ".join(part.text for part in client.vector_stores.files.content(handbook.pages, vector_store_id=handbook.id))
    assert "ninety days" in text and "<p>" not in text


def test_vector_store_file_change_and_delete(client, handbook, wait_indexed):
    file = client.files.create(file=("temporary.txt", b"The temporary zebra lives in this file."), purpose="assistants")
    attached = client.vector_stores.files.create_and_poll(vector_store_id=handbook.id, file_id=file.id)
    assert attached.status == "completed"
    assert client.vector_stores.files.update(file.id, vector_store_id=handbook.id, attributes={"kind": "zebra"}).attributes == {"kind": "zebra"}
    zebra = lambda: [hit.file_id for hit in client.vector_stores.search(handbook.id, query="zebra", filters={"type": "eq", "key": "kind", "value": "zebra"})]
    assert zebra() == [file.id]
    assert client.vector_stores.files.delete(file.id, vector_store_id=handbook.id).deleted
    assert zebra() == []


def test_vector_store_broken_file_is_told(client, wait_indexed):
    store = client.vector_stores.create(name="broken")
    file = client.files.create(file=("broken.pdf", b"%PDF-1.7 not really"), purpose="assistants")
    client.vector_stores.files.create(vector_store_id=store.id, file_id=file.id)
    assert wait_indexed(client, store.id).failed == 1
    assert client.vector_stores.files.retrieve(file.id, vector_store_id=store.id).last_error.message


def test_vector_store_file_batch(client):
    store = client.vector_stores.create(name="batch")
    files = [client.files.create(file=(f"{word}.txt", f"This file speaks of {word}.".encode()), purpose="assistants").id for word in ("apples", "pears", "plums")]
    batch = client.vector_stores.file_batches.create_and_poll(vector_store_id=store.id, file_ids=files)
    assert batch.id.startswith("vsfb_") and batch.status == "completed" and batch.file_counts.completed == 3
    listed = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    assert {file.id for file in listed} == set(files)
    assert client.vector_stores.search(store.id, query="pears").data[0].file_id == files[1]


def test_attach_of_an_unknown_file(client, handbook):
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.create(vector_store_id=handbook.id, file_id="file-none")


# --- search

def test_search_finds_the_place(client, handbook):
    hit = client.vector_stores.search(handbook.id, query="how often are keys rotated?").data[0]
    assert hit.file_id == handbook.pages and hit.filename == "handbook.html" and 0 < hit.score <= 1
    assert "ninety days" in hit.content[0].text
    assert hit.stoa["anchor"] == "keys" and "Rotating keys" in hit.stoa["section"]


def test_search_several_queries(client, handbook):
    hits = client.vector_stores.search(handbook.id, query=["roof garden opening", "colour printer"]).data
    assert {handbook.pages, handbook.notes} <= {hit.file_id for hit in hits}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("filters, expected", [
    ({"type": "eq", "key": "kind", "value": "notes"}, {"notes"}), ({"type": "ne", "key": "kind", "value": "notes"}, {"handbook"}),
    ({"type": "gte", "key": "year", "value": 2021}, {"handbook"}), ({"type": "lt", "key": "year", "value": 2021}, {"notes"}),
    ({"type": "in", "key": "kind", "value": ["notes", "other"]}, {"notes"}),
    ({"type": "or", "filters": [{"type": "eq", "key": "kind", "value": "notes"}, {"type": "eq", "key": "year", "value": 2024}]}, {"notes", "handbook"}),
    ({"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "notes"}, {"type": "eq", "key": "year", "value": 2024}]}, set())])
def test_search_filters(client, handbook, filters, expected):
    hits = client.vector_stores.search(handbook.id, query="garden lunch keys printer opens", filters=filters, max_num_results=50)
    assert {hit.attributes["kind"] for hit in hits} == expected


def test_search_limits(client, handbook):
    assert len(client.vector_stores.search(handbook.id, query="keys lunch printer", max_num_results=1).data) == 1
    for options, param in [({"max_num_results": 51}, "max_num_results"), ({"query": ""}, "query"), ({"query": ["q"] * 9}, "query"),
                           ({"ranking_options": {"ranker": "best"}}, "ranking_options.ranker"), ({"ranking_options": {"score_threshold": 1.5}}, "ranking_options.score_threshold"),
                           ({"filters": {"type": "eq", "key": "kind"}}, "filters.value")]:
        with pytest.raises(openai.BadRequestError) as caught:
            client.vector_stores.search(handbook.id, **{"query": "keys", **options})
        assert caught.value.param == param


def test_search_rewrites_the_query(client, handbook):
    page = client.vector_stores.search(handbook.id, query="how often are keys rotated?", rewrite_query=True)
    asked = page.search_query if hasattr(page, "search_query") else page.model_extra["search_query"]
    assert asked[0] == "how often are keys rotated?" and 1 <= len(asked) <= 3 and len(set(asked)) == len(asked)
    assert page.data[0].file_id == handbook.pages and "ninety days" in page.data[0].content[0].text
    assert client.vector_stores.search(handbook.id, query="how often are keys rotated?").model_extra["search_query"] == asked[:1]


def test_search_ranking_options(client, handbook):
    scores = lambda **options: [hit.score for hit in client.vector_stores.search(handbook.id, query="key rotation", max_num_results=50, ranking_options=options)]
    every = scores(ranker="auto")
    assert every == scores(ranker="default-2024-11-15", score_threshold=0) == scores(ranker="none")
    middle = (every[0] + every[-1]) / 2
    assert scores(score_threshold=middle) == [score for score in every if score >= middle]


def test_search_shows_only_what_the_caller_may_read(server, client, connect, wait_indexed):
    bob = connect(api_key=server.key("bob"))
    store = client.vector_stores.create(name="secrets")
    secret = client.files.create(file=("secret.txt", b"The secret password of the vault is swordfish."), purpose="assistants",
                                 extra_body={"stoa_access": "user:ann"})
    client.vector_stores.files.create(vector_store_id=store.id, file_id=secret.id)
    assert wait_indexed(client, store.id).completed == 1
    assert client.vector_stores.search(store.id, query="vault password").data
    assert not bob.vector_stores.search(store.id, query="vault password").data
    assert bob.vector_stores.retrieve(store.id).file_counts.total == 0
    assert secret.id not in [file.id for file in bob.files.list(limit=1000)]
    for look in (lambda: bob.files.retrieve(secret.id), lambda: bob.files.content(secret.id),
                 lambda: bob.vector_stores.files.retrieve(secret.id, vector_store_id=store.id)):
        with pytest.raises(openai.NotFoundError):
            look()
