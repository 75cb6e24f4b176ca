"""The Open Inference Protocol v2 over REST, as its clients (KServe, Triton, MLServer) send it: plain JSON, errors that are one text."""
import json
import urllib.error
import urllib.request

import pytest

from stoa_server import CHAT, EMBED


@pytest.fixture(scope="module")
def call(server, key):
    def make(path, body=None, secret=key, status=200):
        request = urllib.request.Request(server.url + path, json.dumps(body).encode() if body is not None else None,
                                         {"Content-Type": "application/json", **({"Authorization": f"Bearer {secret}"} if secret else {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text, found = reply.read().decode(), reply.status
        except urllib.error.HTTPError as problem:
            text, found = problem.read().decode(), problem.code
        assert found == status, (path, found, text)
        return text if path.endswith("_stream") and status == 200 else json.loads(text)

    return make


def texts(name, values):
    return {"name": name, "datatype": "BYTES", "shape": [len(values)], "data": values}


def test_health_and_metadata(call):
    assert call("/v2/health/live", secret=None) == {"live": True} and call("/v2/health/ready", secret=None) == {"ready": True}
    assert call("/v2")["name"] == "stoa"
    for path in (f"/v2/models/{EMBED}", f"/v2/models/{EMBED}/versions/1"):
        model = call(path)
        assert (model["name"], model["versions"]) == (EMBED, ["1"])
        assert (model["inputs"], model["outputs"]) == ([{"name": "text", "datatype": "BYTES", "shape": [-1]}], [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}])
        assert call(path + "/ready") == {"name": EMBED, "ready": True}


def test_embeddings(call, client):
    answer = call(f"/v2/models/{EMBED}/infer", {"id": "mine", "inputs": [texts("text", ["garden", "lunch"])]})
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (EMBED, "1", "mine")
    output = answer["outputs"][0]
    assert (output["name"], output["datatype"], output["shape"], len(output["data"])) == ("embedding", "FP32", [2, 384], 768)
    same = client.embeddings.create(model=EMBED, input=["garden", "lunch"], encoding_format="float")
    assert output["data"][384:] == pytest.approx(same.data[1].embedding, abs=1e-6)


def test_text(call, client):
    greedy = {"max_tokens": 8, "temperature": 0}
    same = client.completions.create(model=CHAT, prompt="Paris is", max_tokens=8, temperature=0).choices[0].text
    inferred = call(f"/v2/models/{CHAT}/versions/1/infer", {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [2, 1], "data": [["Paris is"], ["Rome is"]]}], "parameters": greedy})
    assert inferred["outputs"][0]["shape"] == [2] and inferred["outputs"][0]["data"][0] == same
    made = call(f"/v2/models/{CHAT}/generate", {"text_input": "Paris is", "parameters": greedy})
    assert (made["text_output"], made["details"]) == (same, {"finish_reason": "length"})
    events = [json.loads(line.removeprefix("data: ")) for line in call(f"/v2/models/{CHAT}/generate_stream", {"text_input": "Paris is", "parameters": greedy}).split("\n\n") if line]
    assert "".join(event["text_output"] for event in events) == same and events[-1]["details"] == {"finish_reason": "length"}


@pytest.mark.parametrize("path, body, status, text", [
    ("/v2/models/none/infer", {"inputs": [texts("text", ["a"])]}, 404, "none"),
    (f"/v2/models/{EMBED}/versions/2/infer", {"inputs": [texts("text", ["a"])]}, 404, "version"),
    (f"/v2/models/{EMBED}/infer", {"inputs": []}, 400, "inputs"),
    (f"/v2/models/{EMBED}/infer", {"inputs": [texts("other", ["a"])]}, 400, "'text' is missing"),
    (f"/v2/models/{EMBED}/infer", {"inputs": [texts("text", ["a"]) | {"shape": [2]}]}, 400, "inputs[0].data"),
    (f"/v2/models/{EMBED}/infer", {"inputs": [texts("text", ["a"]) | {"shape": [1 << 62, 4]}]}, 400, "inputs[0].shape"),
    (f"/v2/models/{EMBED}/infer", {"inputs": [texts("text", [1])]}, 400, "inputs[0].data"),
    (f"/v2/models/{EMBED}/infer", {"inputs": [texts("text", ["a"]) | {"datatype": "FP32"}]}, 400, "inputs[0].datatype"),
    (f"/v2/models/{EMBED}/infer", {"inputs": [texts("text", ["a"])], "outputs": [{"name": "scores"}]}, 400, "no output"),
    (f"/v2/models/{EMBED}/infer", {"inputs": [texts("text", ["word " * 600])]}, 400, "split"),
    (f"/v2/models/{EMBED}/generate", {"text_input": "a"}, 400, "embeddings"),
    (f"/v2/models/{CHAT}/generate", {"text_input": "a", "parameters": {"temperature": 9}}, 400, "temperature"),
    (f"/v2/models/{CHAT}/generate", {"text_input": "word " * 9000}, 400, "context"),
    ("/v2/models/none/nothing", {}, 404, ""),
])
def test_errors_are_one_text(call, path, body, status, text):
    answer = call(path, body, status=status)
    assert list(answer) == ["error"] and text in answer["error"]


def test_credentials(call, server):
    assert "key" in call("/v2", secret=None, status=401)["error"]
    call(f"/v2/models/{CHAT}/generate", {"text_input": "a"}, secret=server.key("eve", "viewer"), status=403)
