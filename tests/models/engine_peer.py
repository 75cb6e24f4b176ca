"""Starts the engine tool and talks to it: one JSON object a line in, one out."""

import json
import os
import pathlib
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def model_folder():
    return pathlib.Path(os.environ.get("STOA_TEST_MODELS", SOURCE / "build" / "models"))


def find_model(name, pattern):
    """The path of a default model's file, or None where the models are not fetched."""
    return next(iter(sorted((model_folder() / name).glob(pattern))), None)


class Engine:
    def __init__(self, tool, *arguments):
        self.process = subprocess.Popen([tool, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline() or "{}")
        if not self.ready.get("ready"):
            raise RuntimeError(f"{tool} did not start: exit code {self.process.wait()}")

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
