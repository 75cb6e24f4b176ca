"""Chat templates against Jinja 2 as Hugging Face sets it up."""

import datetime
import json
import os

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox
import pytest

from chat_templates import FEATURES, MODELS
from tokenizer_references import Tool

TOOL = os.environ["STOA_TOKENIZE_TOOL"]
NOW = datetime.datetime(2026, 11, 21, 4, 7, tzinfo=datetime.timezone.utc)

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a \"city\" — now", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1.5}}, "required": ["city"]}}},
         {"type": "function", "function": {"name": "noop", "parameters": {}, "return": "none", "strict": True, "nothing": None}}]
VALUES = {"v": {"text": "Hello wörld 你好", "int": 5, "real": 2.5, "flag": True, "no": False, "nil": None, "list": [1, 2, 3, 4], "map": {"k": "v", "n": 1}, "nested": {"list": ["a", {"b": 'q"'}], "empty": [], "m": {}}}}


def turn(role, content):
    return {"role": role, "content": content}


CONVERSATIONS = {
    "one": [turn("user", "Hi")],
    "system": [turn("system", " Be brief. "), turn("user", "  What is 2+2?\n")],
    "long": [turn("system", "Sys"), turn("user", "Ü <b>&amp;</b>"), turn("assistant", "<think>\nhm\n</think>\n\nAnswer "), turn("user", "你好 🎉"), turn("assistant", "x"), turn("user", "last")],
    "answered": [turn("user", "a"), turn("assistant", "b")],
    "tool": [turn("user", "a"), turn("assistant", "calling"), turn("tool", "{\"t\": 1}"), turn("tool", "two"), turn("assistant", "done")],
    "calls": [turn("user", "a"), turn("assistant", "I look.") | {"tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": {
        "city": "Zürich \"x\"", "days": 3, "fine": True, "list": [1, {"a": None}], "none": None}}}]}, turn("tool", "sun")],
    "not alternating": [turn("user", "a"), turn("user", "b")],
    "empty": [],
}


class Generation(jinja2.ext.Extension):
    """The tag with which transformers marks assistant text: its body, as it stands."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.If(jinja2.nodes.Const(True), body, [], [], lineno=line)


def reference():
    def raise_exception(message):
        raise jinja2.TemplateError(message)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, Generation])
    environment.filters["tojson"] = lambda value, ensure_ascii=False, indent=None: json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)
    environment.globals.update(raise_exception=raise_exception, strftime_now=NOW.strftime)
    return environment


def outcomes(template, **values):
    """What Jinja makes of it, None where it fails."""
    try:
        return reference().from_string(template).render(**values)
    except (jinja2.TemplateError, TypeError, ZeroDivisionError):
        return None


@pytest.fixture(scope="module")
def tool():
    with Tool(TOOL, "render") as running:
        yield running


def check(tool, template, messages, prompt, tools, values):
    variables = dict(messages=messages, add_generation_prompt=prompt, tools=tools, documents=None, bos_token="<s>", eos_token="</s>", **values)
    expected = outcomes(template, **variables)
    answer = tool.ask(template=template, messages=messages, add_generation_prompt=prompt, tools=tools, variables=values, bos_token="<s>", eos_token="</s>", now=int(NOW.timestamp() * 1_000_000))
    if expected is None:
        assert "error" in answer and "template line" in answer["error"], answer
    else:
        assert answer.get("text", answer) == expected


@pytest.mark.parametrize("tools", [None, TOOLS], ids=["plain", "tools"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", MODELS)
def test_model(tool, name, conversation, tools):
    for prompt in (True, False):
        check(tool, MODELS[name], CONVERSATIONS[conversation], prompt, tools, {})
    check(tool, MODELS[name], CONVERSATIONS[conversation], True, tools, {"enable_thinking": False})


@pytest.mark.parametrize("template", FEATURES)
def test_feature(tool, template):
    check(tool, template, CONVERSATIONS["long"][:3], True, None, VALUES)
