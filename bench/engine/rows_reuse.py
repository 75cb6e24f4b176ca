"""What need not be computed: a prefix seen before, and an answer that quotes its prompt."""

import harness
import sides
from models import SMALL, title
from sides import Row

PREFIX, QUESTION = 2000, 16
PREFIX_AIM = 10
CONTEXT_TOKENS, ANSWER = 1500, 96
QUOTE_AIM = 1.6
GUESSES = 4  # rows of a step: the default of the engine
PLACES = "Bergen Lyon Porto Turin Graz Malmo Ghent Split".split()
THINGS = "copper wire|olive oil|spare tyres|paper rolls|glass jars|salt|bicycles".split("|")


def shared_prefix(context, name, model):
    """Time to the first token of a prompt of 2,000 tokens, then of one with the same beginning and another question."""
    first, second = [], []
    with context.peer(model, 64) as tokenizer, context.engine(model) as engine:
        for _ in range(context.runs):
            text, _ = context.prompt(tokenizer, PREFIX)
            for times, question in ((first, "which one was it"), (second, "how many are there")):
                usage = engine.ask(**sides.request(f"{text} {question}", 1))["usage"]
                times.append(usage["first_token_micros"] * 1e-3)
    # The engine is its own peer: without what it keeps, the second request takes as long as the first.
    return [harness.row(name, "ms", second, first, "the first request", "", PREFIX_AIM, lower_is_better=True)]


def facts(peer, variant):
    """Different facts, line by line, as many as the context has room for."""
    lines = []
    while True:
        n = len(lines) + 1000 * variant
        lines.append(f"Depot {n} in {PLACES[n % 8]} holds {17 + n * 37 % 400} crates of {THINGS[n * 3 % 7]}.\n")
        if len(lines) % 8 == 0 and len(peer.ask(tokenize="".join(lines))["ids"]) >= CONTEXT_TOKENS:
            return "".join(lines)


def quoting(context, name):
    """Decoding an answer that repeats its prompt, on the real model: random weights quote nothing."""
    model, length = "smollm2", CONTEXT_TOKENS + ANSWER + 256
    variant = iter(range(1, 1000))
    with context.engine(model, guesses=GUESSES) as engine, context.peer(model, length) as on, context.peer(model, length, flash=False) as off:

        def prompt():
            text = facts(on, next(variant))
            return text + "The same list again:\n" + text[:text.index("\n", 200) + 1]

        ids = on.ask(tokenize=prompt())["ids"]

        def ours():
            usage = engine.ask(**sides.request(prompt(), ANSWER))["usage"]
            return (usage["completion_tokens"] - 1) / (usage["total_micros"] - usage["first_token_micros"]) * 1e6

        results = harness.alternate(context.runs, ours, lambda: sides.their_decode(on, [ids], ANSWER), lambda: sides.their_decode(off, [ids], ANSWER))
    return [sides.compare(name, "tokens/s", *results, QUOTE_AIM)]


def rows(context):
    prefix_name = f"shared prefix of {PREFIX} tokens, time to first token, {title(SMALL + ':Q8_0')}"
    quote_name = f"decode of an answer that quotes {CONTEXT_TOKENS} tokens, {title('smollm2')}"
    return [Row(prefix_name, lambda: shared_prefix(context, prefix_name, f"{SMALL}:Q8_0")), Row(quote_name, lambda: quoting(context, quote_name))]
