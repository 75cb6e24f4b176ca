"""The way of a user through the CLI: ingest, ask, search, trace, rate, dataset; and what it says when things are wrong."""
import json
import urllib.request

import pytest

PAGE = """<html><head><title>Handbook</title></head><body>
<h1 id="handbook">Handbook</h1>
<h2 id="keys">Rotating keys</h2><p>A key is rotated every ninety days by the security team, which announces it a week before.</p>
<h2 id="lunch">Lunch</h2><p>Lunch is served in the canteen on the second floor from noon until half past one.</p>
</body></html>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("docs")
    (path / "handbook.html").write_text(PAGE)
    (path / "notes.md").write_text("# Notes\n\n## Printers\n\nThe printer on the third floor is called Gutenberg and prints in colour.\n")
    return path


@pytest.fixture(scope="module")
def store(stoa, key, folder):
    stoa.cli("ingest", str(folder), "--store", "handbook", key=key)
    return "handbook"


def test_ingest_is_idempotent_and_follows_the_folder(stoa, key, tmp_path):
    (tmp_path / "a.txt").write_text("The first file speaks of apples.")
    (tmp_path / "b.txt").write_text("The second file speaks of bananas.")
    ingest = lambda: stoa.json("ingest", str(tmp_path), "--store", "folder", key=key)
    first = ingest()
    assert (first["total"], first["done"], first["failed"], first["unchanged"]) == (2, 2, 0, 0)
    again = ingest()
    assert (again["unchanged"], again["failed"], again["removed"]) == (2, 0, 0)
    (tmp_path / "a.txt").write_text("The first file now speaks of cherries.")
    (tmp_path / "b.txt").unlink()
    changed = ingest()
    assert (changed["unchanged"], changed["removed"]) == (0, 1)
    texts = [hit["text"] for hit in stoa.json("search", "fruit apples bananas cherries", "--store", "folder", key=key)["data"]]
    assert len(texts) == 1 and "cherries" in texts[0]


def test_a_broken_file_does_not_stop_the_rest(stoa, key, tmp_path):
    (tmp_path / "good.txt").write_text("Penguins live in the south.")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 this is no document")
    done = stoa.cli("--json", "ingest", str(tmp_path), "--store", "mixed", key=key, check=False)
    result = json.loads(done.stdout)
    assert result["failed"] == 1 and result["done"] == 1
    assert "broken.pdf" in json.dumps(result["errors"])
    assert done.returncode == 1
    assert stoa.json("search", "penguins", "--store", "mixed", key=key)["data"]


@pytest.mark.parametrize("mode", ["hybrid", "text", "vector"])
def test_search_gives_the_place(stoa, key, store, mode):
    hits = stoa.json("search", "how often are keys rotated", "--store", store, "--mode", mode, key=key)["data"]
    assert hits[0]["anchor"] == "keys"
    assert hits[0]["path"] == "handbook.html"
    assert hits[0]["section"][-1] == "Rotating keys"


def test_search_explains(stoa, key, store):
    asked = ["search", "how often are keys rotated", "--store", store, "--also", "rotation of access keys", "--half-life", "30d", "--diversity", "0.2", "--context", "section", "--explain"]
    found = stoa.json(*asked, key=key)
    assert [query["by"] for query in found["explain"]["queries"]] == ["caller", "caller"]
    why = found["data"][0]["explain"]
    assert len(why["by_query"]) == 2 and why["decay"]["by"] == "created" and why["diversity"]["rank"] == 1 and why["readers"]
    printed = stoa.cli(*asked, key=key).stdout
    for word in ("phrasing 2: rotation of access keys", "words", "meaning", "fused", "age", "variety", "readable by"):
        assert word in printed, printed
    assert "let through by" not in printed
    filtered = stoa.cli("search", "keys", "--store", store, "--filter", "kind!=draft", "--explain", key=key).stdout
    assert "kind != draft (not said)" in filtered
    assert "filter: no document that you may read has an attribute 'kind'" in filtered
    for wrong in (["--filter", "kind"], ["--half-life", "soon"], ["--time", "published"]):
        assert stoa.cli("search", "keys", "--store", store, *wrong, key=key, check=False).returncode == 2


def test_documents_have_attributes(stoa, key, tmp_path):
    for year in (2023, 2024):
        (tmp_path / str(year)).mkdir()
        (tmp_path / str(year) / f"{year}.txt").write_text(f"The minutes of the meeting in {year}.")
        stoa.cli("ingest", str(tmp_path / str(year)), "--store", "minutes", "--attribute", f"year={year}", "--attribute", f"kind=minutes, {year}", "--attribute", "final=true", key=key)

    def found(*filters):
        return sorted(hit["path"] for hit in stoa.json("search", "minutes of the meeting", "--store", "minutes", *(part for one in filters for part in ("--filter", one)), key=key)["data"])

    assert found("final=true") == ["2023.txt", "2024.txt"]
    assert found("year>=2024") == found("kind=minutes, 2024") == ["2024.txt"]
    assert found("year<2024", "final=true") == ["2023.txt"]
    document = stoa.json("search", "minutes", "--store", "minutes", "--filter", "year=2023", key=key)["data"][0]["document_id"]
    request = urllib.request.Request(f"{stoa.url}/v1/stoa/documents/{document}", headers={"Authorization": f"Bearer {key}"})
    assert json.load(urllib.request.urlopen(request, timeout=30))["attributes"] == {"final": True, "kind": "minutes, 2023", "year": 2023}
    stoa.cli("ingest", str(tmp_path / "2023"), "--store", "minutes", "--attribute", "year=2022", key=key)  # the same file with other attributes
    assert found("year=2022") == ["2023.txt"] and found("final=true") == ["2024.txt"]
    for wrong in ("year", "=2024"):
        refused = stoa.cli("ingest", str(tmp_path), "--store", "minutes", "--attribute", wrong, key=key, check=False)
        assert refused.returncode == 2 and "year=2024" in refused.stderr


@pytest.mark.parametrize("mode", [[], ["--extractive"]])
def test_ask_cites_and_counts(stoa, key, store, mode):
    answer = stoa.json("ask", "How often is a key rotated?", "--store", store, *mode, key=key)
    text, annotations = next((p["text"], p["annotations"]) for i in answer["output"] for p in i.get("content", []) if p["type"] == "output_text")
    assert "ninety" in text.lower() or "90" in text
    assert annotations and annotations[0]["filename"] == "handbook.html" and annotations[0]["anchor"] == "keys"
    assert answer["usage"]["output_tokens"] >= 0 and answer["usage"]["stoa"]["cost_micro_usd"] >= 0
    trace = stoa.json("trace", answer["usage"]["stoa"]["trace_id"], key=key)
    names = " ".join(span["name"] for span in trace["spans"])
    assert "retrieval" in names
    assert stoa.json("trace", answer["id"], key=key)["trace_id"] == trace["trace_id"]


def test_ask_in_a_script_without_spaces(stoa, key, tmp_path):
    (tmp_path / "手册.md").write_text("# 手册\n\n密钥每九十天轮换一次。备份保存在另一个地点。\n")
    stoa.cli("ingest", str(tmp_path), "--store", "chinese", key=key)
    text = stoa.json("search", "密钥多久轮换一次？", "--store", "chinese", key=key)["data"][0]["text"]

    def ask(question):
        answer = stoa.json("ask", question, "--store", "chinese", "--extractive", key=key)
        return next((p["text"], p["annotations"]) for i in answer["output"] for p in i.get("content", []) if p["type"] == "output_text")

    for question, quote in {"密钥多久轮换一次？": "密钥每九十天轮换一次。", "备份保存在哪里？": "备份保存在另一个地点。"}.items():
        said, [citation] = ask(question)
        assert said == citation["quote"] == quote
        assert text[citation["stoa"]["start"] : citation["stoa"]["end"]] == quote
        assert citation["filename"] == "手册.md"
    assert ask("埃菲尔铁塔有多高？")[1] == []


def test_ask_prints_for_people(stoa, key, store):
    out = stoa.cli("ask", "How often is a key rotated?", "--store", store, key=key).stdout
    assert "handbook.html#keys" in out and "tokens/s" in out and "cost $" in out


def test_the_loop_closes(stoa, key, store):
    answer = stoa.json("ask", "Where is lunch served?", "--store", store, key=key)
    stoa.cli("rate", answer["id"], "down", "--correction", "In the canteen on the second floor.", key=key)
    made = stoa.json("dataset", "from-ratings", "lunch", key=key)
    assert made["rows"] == 1
    assert stoa.json("dataset", "from-ratings", "lunch", key=key)["version"] == made["version"]
    rows = [json.loads(line) for line in stoa.cli("dataset", "rows", made["version"], key=key).stdout.splitlines()]
    assert rows[0]["chosen"] == "In the canteen on the second floor."


def test_usage_adds_up(stoa, key, store):
    stoa.cli("ask", "Where is the printer?", "--store", store, key=key)
    rows = stoa.json("usage", "--by", "model", key=key)["data"]
    assert sum(row["requests"] for row in rows) > 0 and all(row["cost_micro_usd"] >= 0 for row in rows)


def test_status_names_models_and_instructions(stoa, key):
    status = stoa.json("status", key=key)
    assert {model["id"] for model in status["models"]} == {"smollm2-135m-instruct", "all-minilm-l6-v2"}
    assert all(model["isa"] for model in status["models"])


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["ask", "x", "--store", "nowhere"], 5, "nowhere"),
        (["ask"], 2, ""),
        (["search", "x", "--store", "nowhere", "--mode", "psychic"], 2, ""),
        (["trace", "0" * 32], 5, ""),
        (["keys", "revoke", "key_none"], 4, "key.manage"),  # through the server, whose answer is for this key
        (["pull", "no-such-model"], 5, "no-such-model"),
        (["--url", "http://127.0.0.1:9", "status"], 3, "stoa serve"),
    ],
)
def test_mistakes_have_their_exit_code(stoa, key, arguments, code, words):
    done = stoa.cli(*arguments, key=key, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_no_key_and_wrong_key_and_revoked_key(stoa):
    assert stoa.cli("status", check=False).returncode == 4
    assert stoa.cli("status", key="sk-stoa-wrong", check=False).returncode == 4
    made = stoa.json("keys", "create", "--user", "eve")
    assert stoa.cli("status", key=made["key"]).returncode == 0
    unknown = stoa.cli("keys", "revoke", "key_none", "--home", str(stoa.home), key=made["key"], check=False)  # on the folder, whatever key is set
    assert unknown.returncode == 5 and "stoa keys list" in unknown.stderr
    stoa.cli("keys", "revoke", made["id"])
    assert stoa.cli("status", key=made["key"], check=False).returncode == 4


def test_documents_are_for_their_readers_only(stoa, tmp_path):
    ann, bob, eve = stoa.key("ann-r", "developer", "--group", "eng"), stoa.key("bob-r"), stoa.key("eve-r")
    (tmp_path / "secret.txt").write_text("The vault code is kept by the night porter.")
    stoa.cli("ingest", str(tmp_path), "--store", "vault", "--access", "group:eng,user:bob-r", key=ann)
    hits = lambda key: stoa.json("search", "vault code", "--store", "vault", key=key)["data"]
    assert hits(ann) and hits(bob) and hits(eve) == []
    answer = stoa.json("ask", "Who keeps the vault code?", "--store", "vault", key=eve)
    assert "porter" not in json.dumps(answer["output"])


def test_without_models_answers_quote_passages(stoa_without_models, folder):
    bare = stoa_without_models
    key = bare.key()
    bare.cli("ingest", str(folder), "--store", "handbook", key=key)
    answer = bare.json("ask", "How often is a key rotated?", "--store", "handbook", key=key)
    assert "ninety days" in json.dumps(answer["output"])


def test_completion_and_help(stoa):
    assert "complete -o default -F _stoa stoa" in stoa.cli("completion", "bash").stdout
    words = stoa.cli("--complete", "keys").stdout.split()
    assert "create" in words and "revoke" in words
    assert "grounded answer" in stoa.cli("--help").stdout
    assert "config" in stoa.cli("config", "--help").stdout


def test_config_check(stoa, tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("server:\n  port: 9090\n")
    bad.write_text("server:\n  prot: 9090\n")
    stoa.cli("--config", str(good), "config", "check")
    done = stoa.cli("--config", str(bad), "config", "check", check=False)
    assert done.returncode == 2 and "server.port" in done.stderr and "bad.yaml:2" in done.stderr


def test_verbs_inside_a_verb_that_also_stands_alone(stoa):
    assert "kind" in stoa.cli("models").stdout
    missing = stoa.cli("models", "verify", "no-such-model", check=False)
    assert missing.returncode == 5 and "no-such-model" in missing.stderr
