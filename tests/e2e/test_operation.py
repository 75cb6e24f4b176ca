"""What an operator sees of the events behind requests: audit, usage and metrics, freed space; help and completion of the CLI."""
import json
import pathlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from stoa_server import BINARY

HANDBOOK = "# Handbook\n\n## Access keys\n\nAn access key is rotated every ninety days by the security team.\n\nThe rotation of an access key is announced in the newsletter.\n"


def http(stoa, path, key, method="GET"):
    request = urllib.request.Request(stoa.url + path, method=method, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return reply.read().decode()


def eventually(condition, seconds=20):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "did not become true in time"
        time.sleep(0.05)
    return result


@pytest.fixture(scope="module")
def store(stoa, key, tmp_path_factory):
    folder = tmp_path_factory.mktemp("handbook")
    (folder / "handbook.md").write_text(HANDBOOK)
    stoa.cli("ingest", str(folder), "--store", "operation", key=key)
    return "operation"


def test_a_finished_request_reaches_audit_and_metrics(stoa, key, store):
    admin = stoa.key("root", role="admin")
    answer = stoa.json("ask", "How often is an access key rotated?", "--store", store, key=key)
    figures = answer["usage"]["stoa"]
    audit = lambda: json.loads(http(stoa, "/v1/stoa/audit?resource=POST%20/v1/responses&limit=1000", admin))["data"]
    mine = eventually(lambda: [entry for entry in audit() if entry["request_id"] == figures["request_id"]])  # the subscriber writes it after the answer
    assert sorted(entry["action"] for entry in mine) == ["document.read", "document.retrieve"]
    assert all(entry["trace_id"] == figures["trace_id"] and entry["outcome"] == "allowed" for entry in mine)
    assert [len(entry.get("documents", [])) for entry in mine if entry["action"] == "document.retrieve"] == [1], "what was shown to the model"
    assert json.loads(http(stoa, "/v1/stoa/audit/check", admin))["intact"]
    eventually(lambda: 'stoa_tokens_total{model="smollm2-135m-instruct",direction="input"}' in http(stoa, "/metrics", admin))


def test_promtool_accepts_the_metrics(stoa, key, store):
    if not shutil.which("promtool"):
        pytest.skip("promtool (package prometheus) is not installed")
    stoa.cli("ask", "How often is an access key rotated?", "--store", store, key=key)
    done = subprocess.run(["promtool", "check", "metrics"], input=http(stoa, "/metrics", None), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_ingest_is_charged_once(stoa, key, tmp_path):
    (tmp_path / "a.txt").write_text("Llamas are kept in the yard behind the office.")
    ingested = lambda: {row["key"]: row for row in stoa.json("usage", "--by", "kind", key=key)["data"]}.get("ingest", {"requests": 0, "cost_micro_usd": 0})
    before = ingested()
    stoa.cli("ingest", str(tmp_path), "--store", "charged", key=key)
    after = ingested()
    assert after["requests"] == before["requests"] + 1
    assert after["cost_micro_usd"] > before["cost_micro_usd"] and after["prompt_tokens"] > 0
    stoa.cli("ingest", str(tmp_path), "--store", "charged", key=key)
    assert ingested() == after


def test_a_deleted_file_gives_its_space_back(stoa, key, tmp_path):
    blobs = lambda: {path for path in (stoa.home / "blobs").glob("??/*")}
    before = blobs()
    (tmp_path / "old.txt").write_text("The gate opens at seven. " + str(time.time_ns()))
    stoa.cli("ingest", str(tmp_path), "--store", "space", key=key)
    assert len(blobs() - before) == 1
    (tmp_path / "old.txt").unlink()
    (tmp_path / "new.txt").write_text("The gate opens at eight. " + str(time.time_ns()))
    stoa.cli("ingest", str(tmp_path), "--store", "space", key=key)
    eventually(lambda: len(blobs() - before) == 1)
    store = next(item["id"] for item in json.loads(http(stoa, "/v1/vector_stores?limit=100", key))["data"] if item["name"] == "space")
    http(stoa, f"/v1/vector_stores/{store}", key, method="DELETE")
    eventually(lambda: not blobs() - before)


def test_links_end_with_the_key_and_with_the_group(stoa, tmp_path):
    (tmp_path / "plan.txt").write_text("The plan is to move the archive in spring.")
    owner = stoa.key("owner-l", "developer", "--group", "planners")
    stoa.cli("ingest", str(tmp_path), "--store", "links", "--access", "group:planners", key=owner)
    made = stoa.json("keys", "create", "--user", "reader-l", "--group", "planners")
    hit = stoa.json("search", "plan archive", "--store", "links", key=made["key"])["data"][0]
    assert "archive" in urllib.request.urlopen(hit["url"]).read().decode()
    stoa.cli("keys", "revoke", made["id"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(hit["url"])
    assert refused.value.code == 401


def test_a_follow_up_is_understood_from_the_conversation(stoa, key, store):
    lines = "How often is an access key rotated?\nAnd where is it announced?\n"
    done = subprocess.run([BINARY, "--json", "chat", "--store", store], input=lines, env={**stoa.env, "STOA_API_KEY": key}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = [json.loads(line) for line in done.stdout.splitlines()]
    text = lambda answer: next(part["text"] for item in answer["output"] for part in item.get("content", []))
    assert "ninety days" in text(first)
    assert second["previous_response_id"] == first["id"]
    assert "newsletter" in text(second)


def test_traces_leave_out_looking_things_up(stoa, key, store):
    stoa.cli("ask", "How often is an access key rotated?", "--store", store, key=key)
    stoa.cli("status", key=key)
    operations = lambda *more: {trace["operation"] for trace in stoa.json("traces", "-n", "200", *more, key=key)["data"]}
    assert "POST /v1/responses" in operations() and "GET /v1/stoa/status" not in operations()
    assert "GET /v1/stoa/status" in operations("--all")


VERBS = ["serve", "ask", "chat", "ingest", "collections", "collections list", "collections show", "collections create", "collections defaults", "collections reindex", "collections remove", "search", "eval", "eval retrieval", "eval rag", "eval access", "eval compare", "pull", "models", "models list", "models show", "models verify", "models remove", "keys", "keys rotate", "audit", "audit list", "audit check", "audit checkpoint", "audit export", "audit verify",
         "keys create", "keys list", "keys revoke", "kms", "kms status", "kms rotate", "kms rewrap", "kms revoke", "kms restore", "kms keep", "passport", "passport verify", "routes", "routes list", "routes show", "routes status", "routes set", "routes history", "routes diff", "routes rollback", "routes remove", "limits", "limits list", "limits show", "limits set", "limits history", "limits diff", "limits rollback", "limits remove", "limits usage", "cache", "cache show", "cache set", "cache history", "cache diff", "cache rollback", "cache remove", "cache stats", "cache purge", "policies", "policies list", "policies show", "policies set", "policies history", "policies diff", "policies rollback", "policies remove", "policies dry-run",
         "login", "logout", "whoami", "tenants", "tenants list", "tenants create", "projects", "projects list", "projects create", "users", "users list", "users create",
         "users disable", "users enable", "groups", "groups list", "groups add", "groups remove", "tokens", "tokens create", "tokens list", "tokens revoke",
         "break-glass", "break-glass list", "break-glass end", "nodes", "nodes add", "nodes list", "nodes revoke",
         "batches", "batches create", "batches list", "batches show", "batches results", "batches cancel", "batches window",
         "providers", "providers list", "providers show", "providers add", "providers set-key", "providers remove", "providers check",
         "roles", "roles list", "roles show", "access", "access test", "access explain", "config", "config check", "config show", "status", "trace", "traces", "usage", "rate", "dataset",
         "dataset from-ratings", "dataset list", "dataset rows", "completion", "quantize", "bench",
         "bench engine"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches(verb):
    done = subprocess.run([BINARY, *verb.split(), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Examples:\n  " in done.stdout and f"stoa {verb.split()[0]}" in done.stdout.split("Examples:")[1]
    assert "Exit codes: 0 ok" in done.stdout
    assert "--json" in done.stdout


def test_no_verb_is_missing_in_the_list():
    offered = lambda *words: [word for word in subprocess.run([BINARY, "--complete", *words], capture_output=True, text=True).stdout.split() if word[0] != "-"]
    assert sorted(offered()) == sorted(verb for verb in VERBS if " " not in verb)
    for verb in {verb.split()[0] for verb in VERBS if " " in verb}:
        inner = [word.split()[1] for word in VERBS if word.startswith(verb + " ")]
        assert sorted(offered(verb)) == sorted(inner)


def test_a_verb_that_does_something_alone_lets_its_verbs_work(tmp_path):
    run = lambda *words: subprocess.run([BINARY, *words, "--home", str(tmp_path)], capture_output=True, text=True)
    assert run("models").returncode == run("models", "list").returncode == 0
    for word in ("verify", "remove"):
        assert run("models", word, "no-such-model").returncode == 5, word


@pytest.mark.parametrize("line, expected", [("stoa ke", "keys"), ("stoa keys rev", "revoke"), ("stoa ask --st", "--store"), ("stoa usage --by ", "kind"),
                                            ("stoa usage --by k", "kind"), ("stoa traces --a", "--all")])
def test_bash_completes(line, expected):
    words = line.split(" ")
    script = (f"PATH={pathlib.Path(BINARY).parent}:$PATH; source <(stoa completion bash); "
              f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; _stoa; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert expected in done.stdout.split(), done.stdout + done.stderr


RULES = """policy "restricted-data" {
  forbid document.read
  when exists resource.class and resource.class == "restricted" and not principal.groups has "cleared"
}
test "not for all" {
  principal { role: "admin", groups: [] }
  resource { class: "restricted" }
  action document.read
  expect deny by "restricted-data"
}
"""


def test_policies_are_tried_out(tmp_path):
    run = lambda *words: subprocess.run([BINARY, "access", *words], capture_output=True, text=True)
    file = tmp_path / "rules.policy"
    file.write_text(RULES)
    done = run("test", str(file))
    assert (done.returncode, done.stdout) == (0, "1 of 1 tests passed\n")
    known = ["--principal", 'role: "developer", groups: ["hr"]', "--resource", 'class: "restricted"']
    explained = json.loads(run("explain", str(file), "--action", "document.read", *known, "--json").stdout)
    assert (explained["allowed"], explained["rule"], explained["where"]) == (False, "restricted-data", f"{file}:1")
    assert {note["rule"]: note["applies"] for note in explained["looked_at"]} == {"restricted-data": True, "developer": True}
    file.write_text(RULES.replace("expect deny", "expect permit").replace('by "restricted-data"', ""))
    assert run("test", str(file)).returncode == 1
    file.write_text(RULES.replace("resource.class ==", "resource.clas =="))
    wrong = run("test", str(file))
    assert wrong.returncode == 2 and f"{file}:3:34: there is no attribute 'resource.clas'" in wrong.stderr and "resource.class" in wrong.stderr
