"""The routes of examples/ are put in force as they are, and do what they say; so do its programs."""
import os
import subprocess
import time

import openai
import pytest

import replays
from stoa_server import BINARY, CHAT, ROOT, Stoa, need_models, wait_until

ROUTES = ROOT / "examples" / "routes"


@pytest.fixture(scope="module")
def stoa(tmp_path_factory, upstream):
    need_models()
    folder = tmp_path_factory.mktemp("examples")
    running = Stoa(folder / "home", environment={"STOA_EGRESS_PROVIDERS": upstream.url, "STOA_COST_PRICES": str(replays.prices(folder))}).start()
    running.admin, running.ann = running.key("ada", "admin"), running.key("ann")
    for family, path, model in (("openai", "/v1", "gpt-4o-mini"), ("anthropic", "", "claude-haiku")):
        running.cli("providers", "add", family, "--family", family, "--url", upstream.url + path, "--model", model, key=running.admin)
        running.cli("providers", "set-key", family, key=running.admin, typed="sk-secret-1")
    for file in sorted(ROUTES.glob("*.yaml")):
        assert running.json("routes", "set", file.stem, str(file), key=running.admin)["version"] == 1
    yield running
    running.stop()


def ask(stoa, route, text="Well?", **headers):
    client = openai.OpenAI(base_url=stoa.url + "/v1", api_key=stoa.ann, max_retries=0)
    answer = client.chat.completions.create(model=route, messages=[{"role": "user", "content": text}], max_tokens=8, temperature=0, extra_headers={name.replace("_", "-"): value for name, value in headers.items()})
    return stoa.json("passport", answer.id, key=stoa.admin)["record"]["model"]["target"]


def test_hybrid(stoa):
    long = "What is it? " * 100
    public = {"x_stoa_data_class": "public"}
    assert ask(stoa, "hybrid", **public) == CHAT  # short
    assert ask(stoa, "hybrid", long, **public) == "openai/gpt-4o-mini"
    assert ask(stoa, "hybrid", long, x_stoa_data_class="restricted") == CHAT
    assert ask(stoa, "hybrid", long) == CHAT  # nothing said
    assert ask(stoa, "hybrid", long + "FAIL 500", **public) == CHAT


def test_fallback(stoa):
    assert ask(stoa, "fallback") == "openai/gpt-4o-mini"
    assert ask(stoa, "fallback", "FAIL 500") == CHAT  # both providers fail


def test_arbitrage(stoa):
    assert ask(stoa, "arbitrage") in ("openai/gpt-4o-mini", "anthropic/claude-haiku")  # they cost the same here


def test_shadow(stoa, upstream):
    before = len(upstream.served)
    mirrored = lambda: any(family == "anthropic" for family, _ in upstream.served[before:])
    for _ in range(150):  # one of five, by chance
        assert ask(stoa, "shadow") == "openai/gpt-4o-mini"
        if mirrored():
            break
    wait_until(mirrored, 20, "a mirrored request")
    wait_until(lambda: [row for row in stoa.json("usage", "--by", "kind", key=stoa.admin)["data"] if row["key"] == "mirror"], 20, "a mirrored request in the ledger")
    targets = [target for target in stoa.json("routes", "status", "shadow", key=stoa.admin)["targets"] if target["role"] == "mirror"]
    assert targets[0]["id"] == "anthropic/claude-haiku" and targets[0]["requests"] > 0


def test_canary(stoa, tmp_path):
    quick = tmp_path / "canary.yaml"
    slower = "    slower_percent: 50      # than the others\n"
    text = (ROUTES / "canary.yaml").read_text()
    assert slower in text
    text = text.replace(slower, "")  # of five requests that take a millisecond it says nothing
    quick.write_text(text.replace("minutes: 30", "minutes: 0").replace("requests: 200", "requests: 5").replace("[5, 25, 50, 100]", "[50, 100]"))
    assert stoa.json("routes", "set", "canary", str(quick), key=stoa.admin)["version"] == 2
    status = lambda: stoa.json("routes", "status", "canary", key=stoa.admin)
    for _ in range(200):
        ask(stoa, "canary")
        decisions = [each["decision"] for each in status()["canary"]]
        if decisions[-1] == "promoted":
            break
    assert decisions == ["started", "advanced", "promoted"] and status()["canary_percent"] == 100
    assert status()["canary"][1]["numbers"]["canary"]["requests"] >= 5
    assert "promoted" in stoa.cli("routes", "status", "canary", key=stoa.admin).stdout
    assert any("promoted" in entry["reason"] for entry in stoa.json("audit", "list", "-n", "1000", key=stoa.admin)["data"] if entry["action"] == "route.canary")
    assert stoa.json("routes", "set", "canary", str(quick), key=stoa.admin)["version"] == 3  # anew
    client = openai.OpenAI(base_url=stoa.url + "/v1", api_key=stoa.ann, max_retries=0)
    for _ in range(200):
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="canary", messages=[{"role": "user", "content": "FAIL 500"}])
        if status()["canary"][-1]["decision"] == "rolled back":
            break
        time.sleep(0.01)
    assert status()["canary"][-1]["decision"] == "rolled back" and status()["canary_percent"] == 0


def test_two_users(stoa):
    done = subprocess.run([ROOT / "examples" / "two-users" / "run.sh"], env={**os.environ, "STOA": BINARY, "STOA_URL": stoa.url, "STOA_API_KEY": stoa.admin, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ann, bob = done.stdout.split("== ann asks")[1].split("== bob asks")
    assert "2,500 euros" in ann and "managers" in ann and "(group:managers)" in ann
    assert "800 euros" in bob and "2,500" not in bob and "managers" not in bob and "(public)" in bob
