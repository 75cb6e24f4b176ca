import time

import openai
import pytest

import replays
from stoa_server import Stoa, need_models

HANDBOOK = """<html><head><title>Handbook</title></head><body>
<h1 id="handbook">Handbook</h1>
<h2 id="keys">Rotating keys</h2>
<p>An access key is rotated every ninety days by the security team. The team announces each rotation one week before it happens.</p>
<h2 id="lunch">Lunch</h2>
<p>Lunch is served in the canteen on the second floor from noon until half past one.</p>
<h2 id="printer">Printers</h2>
<p>The colour printer on the third floor is called Gutenberg and belongs to the design team.</p>
</body></html>"""
NOTES = "# Notes\n\n## Garden\n\nThe roof garden opens in April and closes in October.\n"


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    need_models()
    running = Stoa(tmp_path_factory.mktemp("stoa")).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def key(server):
    return server.key()


@pytest.fixture(scope="session")
def connect(server, key):
    """A client; the default key, no retries, unless a test says otherwise."""

    def make(**options):
        return openai.OpenAI(**{"api_key": key, "base_url": server.url + "/v1", "max_retries": 0, "timeout": 120, **options})

    return make


@pytest.fixture(scope="session")
def client(connect):
    return connect()


@pytest.fixture(scope="session")
def wait_indexed():
    def wait(client, store, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            counts = client.vector_stores.retrieve(store).file_counts
            if counts.in_progress == 0:
                return counts
            time.sleep(0.1)
        raise AssertionError(f"vector store {store} is not indexed after {seconds} s")

    return wait


@pytest.fixture(scope="session")
def handbook(client, wait_indexed):
    """A vector store with two documents, indexed; and the ids of their files."""
    pages = client.files.create(file=("handbook.html", HANDBOOK.encode(), "text/html"), purpose="assistants")
    notes = client.files.create(file=("notes.md", NOTES.encode(), "text/markdown"), purpose="assistants")
    store = client.vector_stores.create(name="handbook")
    client.vector_stores.files.create(vector_store_id=store.id, file_id=pages.id, attributes={"kind": "handbook", "year": 2024})
    client.vector_stores.files.create(vector_store_id=store.id, file_id=notes.id, attributes={"kind": "notes", "year": 2020})
    counts = wait_indexed(client, store.id)
    assert counts.completed == 2, counts
    store.pages, store.notes = pages.id, notes.id
    return store


@pytest.fixture(scope="module")
def upstream():
    made = replays.Providers()
    yield made
    made.close()


@pytest.fixture(scope="module")
def stoa(tmp_path_factory, upstream):
    """A server without models whose project has a provider of each family, named as it, with the model "big"; `ann` and `admin` are keys."""
    folder = tmp_path_factory.mktemp("providers")
    running = Stoa(folder / "home", models=False, environment={"STOA_EGRESS_PROVIDERS": upstream.url, "STOA_COST_PRICES": str(replays.prices(folder))}).start()
    running.admin, running.ann = running.key("ada", "admin"), running.key("ann")
    upstream.add_all(running, running.admin)
    yield running
    running.stop()
