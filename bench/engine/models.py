"""Model files of the measurements: the default model, and known shapes with random weights, quantised by `stoa quantize`; kept in
build/bench/models. A name is SHAPE:TYPE, such as qwen2.5-0.5b:Q4_0; "smollm2" is the default model as it comes."""

import subprocess

import harness

FOLDER = harness.OUT / "models"
SMALL, LARGE = "qwen2.5-0.5b", "llama-3.2-1b"
TITLES = {SMALL: "0.5B", LARGE: "1B", "smollm2": "SmolLM2-135M"}


def title(name):
    shape, _, kind = name.partition(":")
    return f"{TITLES[shape]} {kind or 'Q4_1'}"


def _base(build, shape):
    path = FOLDER / f"{shape}-BF16.gguf"
    if not path.exists():
        harness.say(f"writing {path.name}")
        FOLDER.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        subprocess.run([build / "bench" / "engine" / "random_model", shape, part], check=True)
        part.rename(path)
    return path


def get(build, name):
    if name == "smollm2":
        return harness.model("smollm2-135m-instruct", "*.gguf")
    shape, kind = name.split(":")
    path = FOLDER / f"{shape}-{kind}.gguf"
    if kind == "BF16":
        return _base(build, shape)
    if not path.exists():
        base = _base(build, shape)
        harness.say(f"quantising {path.name}")
        subprocess.run([build / "stoa", "quantize", base, path, "--type", kind], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path
