"""The engine against independent implementations: greedy text against llama.cpp, embeddings against a forward pass in numpy."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import gguf_f32
from bert_reference import Bert
from engine_peer import SOURCE, Engine, find_model

sys.path.insert(0, str(SOURCE / "bench" / "engine"))
import llamacpp  # noqa: E402

TOOL = os.environ.get("STOA_ENGINE_TOOL")
PERPLEXITY_TOOL = os.environ.get("STOA_PERPLEXITY_TOOL")
GENERATOR = find_model("smollm2-135m-instruct", "*.gguf")
EMBEDDER = find_model("all-minilm-l6-v2", "model.safetensors")
needs_generator = pytest.mark.skipif(not TOOL or GENERATOR is None, reason="needs the engine tool and SmolLM2 in build/models")
needs_embedder = pytest.mark.skipif(not TOOL or EMBEDDER is None, reason="needs the engine tool and all-MiniLM-L6-v2 in build/models")

TOKENS, FLOAT_TOKENS = 64, 32  # of each text; in float32 the texts have to be equal, so fewer tell as much
TOP = 20  # likely tokens that are compared
# One: more than one thread of llama.cpp loses its time spinning where the processor has other work too.
THREADS = 1
# Where greedy texts part, the two most likely tokens must be this close to each other (in natural-log units) in both engines.
CLOSE = 0.05
# On block formats that cannot be asked: the inputs of every product are rounded to 8 bits, a sum that differs in its last bit flips
# some of those roundings, and after a few layers as many differ as can. llama.cpp computing token by token and llama.cpp computing
# the same tokens in one batch choose the same at 97.5 % of them, and where these texts part the best two tokens are further apart
# than CLOSE for 16 of the 21 prompts (docs/benchmarks.md has more of its settings). So there the choices may part as often.
AGREEMENT = 0.96
LEAD = 0.6
# How much is lost by rounding, as the distance from the same weights in float32, is compared with what llama.cpp loses on the same text. Its
# own ways of computing (all tokens in one batch, one by one, without flash attention) differ among each other by up to SPREAD in that
# (docs/benchmarks.md); PRECISION is the standard error that these texts have to be enough for.
SPREAD, PRECISION = 0.02, 0.03
CHUNK, CHUNKS, BLOCK = 512, 4, 64
SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
QUESTIONS = [
    "What is the capital of France?", "Explain photosynthesis in two sentences.", "Write a haiku about the sea.", "How do I reverse a list in Python?",
    "Translate 'good morning' into Spanish.", "What is 17 times 23?", "Why is the sky blue?", "What does HTTP status 404 mean?",
]
TEXTS = [
    "The capital of France is", "Once upon a time, in a small village by the river,", "def fibonacci(n):\n    ", "#include <stdio.h>\n\nint main(void) {",
    "La tour Eiffel se trouve", "1, 1, 2, 3, 5, 8, 13,", "SELECT name, age FROM", "Water boils at 100 degrees Celsius because",
    "Die Hauptstadt von Deutschland ist", "To be, or not to be,", "人工知能とは", "A 😀 in the text, and then",
    # A long prompt: several pages of the cache, and chunks.
    "The history of computing is a long one. " + "Machines that count, machines that sort, machines that remember. " * 40,
]
PROMPTS = TEXTS + [f"{SYSTEM}<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n" for q in QUESTIONS]


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "smollm2-f32.gguf"
    gguf_f32.rewrite(GENERATOR, path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def library():
    return llamacpp.load_xllamacpp()


def ours(engine, prompt, top=2, tokens=TOKENS):
    answer = engine.ask(prompt=prompt, max_tokens=tokens, logprobs=top, ignore_eos=True)
    assert len(answer["tokens"]) == tokens
    return answer


def peer_logits(peer, prompt, follow, at_once=True):
    """llama.cpp's logits before each token of `follow`, computed in one batch (the weights are read once) or step by step."""
    peer.clear()
    start = peer.tokenize(prompt)
    if len(start) > 1:
        peer.decode(start[:-1])
    inputs = [start[-1], *follow[:-1]]
    if at_once:
        peer.decode(inputs, every=True)
        return np.stack([np.array(peer.logits(index)) for index in range(len(inputs))])
    rows = []
    for token in inputs:
        peer.decode([token])
        rows.append(np.array(peer.logits()))
    return np.stack(rows)


def lead(logits):
    """How far the best is above the second best."""
    second, first = np.partition(logits, -2)[-2:]
    return float(first - second)


def log_probabilities(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@needs_generator
def test_greedy_text_equals_llama_cpp(library, float_model):
    peer = llamacpp.LlamaCpp(library, float_model, threads=THREADS)
    with Engine(TOOL, "--generator", float_model, "--threads", THREADS) as engine:
        for prompt in PROMPTS:
            answer = ours(engine, prompt, tokens=FLOAT_TOKENS)
            assert answer["usage"]["prompt_tokens"] == len(peer.tokenize(prompt)), prompt
            for index, logits in enumerate(peer_logits(peer, prompt, answer["tokens"])):
                if int(np.argmax(logits)) == answer["tokens"][index]:
                    continue
                first, second = (chance for _, chance in answer["top"][index][:2])
                assert lead(logits) < CLOSE and first - second < CLOSE, \
                    f"{prompt!r} parts at token {index}: leads {lead(logits):.3f} and {first - second:.3f}"
                break  # what follows continues another text


class Distance:
    """Between two engines that follow the same texts: choices, and where the texts would part."""

    def __init__(self):
        self.same = self.total = self.wide = 0
        self.largest_lead = 0.0

    def add(self, choices, leads, logits):
        """`choices` and their `leads` of one engine against the other's logits."""
        differ = np.flatnonzero(choices != logits.argmax(-1))
        self.total += len(choices)
        self.same += len(choices) - len(differ)
        self.wide += len(differ) > 0 and max(leads[differ[0]], lead(logits[differ[0]])) >= CLOSE
        self.largest_lead = max([self.largest_lead, *(float(logits[i].max() - logits[i, choices[i]]) for i in differ)])

    def agreement(self):
        return self.same / self.total

    def __str__(self):
        return (f"same choice at {self.same} of {self.total} tokens ({self.agreement():.1%}), {self.wide} texts part with a lead of {CLOSE} or more, "
                f"largest lead {self.largest_lead:.3f}")


@needs_generator
def test_greedy_text_of_the_quantised_file_follows_llama_cpp_as_it_follows_itself(library):
    peer = llamacpp.LlamaCpp(library, GENERATOR, threads=THREADS)
    engine_distance, own_distance = Distance(), Distance()
    with Engine(TOOL, "--generator", GENERATOR, "--threads", THREADS) as engine:
        for prompt in PROMPTS:
            answer = ours(engine, prompt)
            logits = peer_logits(peer, prompt, answer["tokens"])
            steps = peer_logits(peer, prompt, answer["tokens"], at_once=False)
            own_distance.add(steps.argmax(-1), [lead(row) for row in steps], logits)
            engine_distance.add(np.array(answer["tokens"]), [row[0][1] - row[1][1] for row in answer["top"]], logits)
    print(f"the engine: {engine_distance}\nllama.cpp itself: {own_distance}")
    assert engine_distance.agreement() >= AGREEMENT
    assert engine_distance.largest_lead < LEAD


def fixed_texts(peer):
    ids = peer.tokenize((SOURCE / "LICENSE").read_text(encoding="utf-8"), special=False)  # a text that does not change
    assert len(ids) >= CHUNK * CHUNKS
    return [ids[begin:begin + CHUNK] for begin in range(0, CHUNK * CHUNKS, CHUNK)]


def chances_in_peer(library, path, texts, likely=None):
    """Log-probabilities that llama.cpp gives to the `likely` tokens of each position (without: its own TOP), those tokens, and the log-likelihoods of the text."""
    peer = llamacpp.LlamaCpp(library, path, threads=THREADS)
    rows, tokens, follow = [], [], []
    for index, ids in enumerate(texts):
        peer.clear()
        peer.decode(ids[:-1], every=True)
        for position, following in enumerate(ids[1:]):
            chances = log_probabilities(np.array(peer.logits(position)))
            asked = np.argpartition(chances, -TOP)[-TOP:] if likely is None else likely[index * (CHUNK - 1) + position]
            tokens.append(asked)
            rows.append(chances[asked])
            follow.append(chances[following])
    peer.close()
    return np.stack(rows), tokens, np.array(follow)


def chances_in_engine(path, texts, likely):
    requests = [{"tokens": ids, "likely": [row.tolist() for row in likely[index * (CHUNK - 1):(index + 1) * (CHUNK - 1)]]} for index, ids in enumerate(texts)]
    done = subprocess.run([PERPLEXITY_TOOL, path, str(THREADS)], input="".join(json.dumps(r) + "\n" for r in requests), capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return np.concatenate([line["log_probabilities"] for line in lines]), -np.concatenate([line["nll"] for line in lines])


def loss(chances, reference):
    """Squared distances, a number for each BLOCK of positions: neighbours have a context in common, blocks hardly."""
    squares = np.square(chances - reference).mean(-1)
    return squares[:len(squares) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(-1)


def relative(losses, others):
    """How much more `losses` are than `others`, as a ratio of root mean squares, and its standard error (jackknife over the blocks)."""
    ratio = math.sqrt(losses.sum() / others.sum())
    without = np.sqrt((losses.sum() - losses) / (others.sum() - others))
    return ratio, math.sqrt((len(losses) - 1) * np.var(without))


@needs_generator
@pytest.mark.skipif(not PERPLEXITY_TOOL, reason="needs the perplexity tool")
def test_the_quantised_file_loses_no_more_than_in_llama_cpp(library, float_model):
    peer = llamacpp.LlamaCpp(library, GENERATOR, threads=THREADS)
    texts = fixed_texts(peer)
    peer.close()
    reference, likely, _ = chances_in_peer(library, float_model, texts)
    batch, _, peer_follow = chances_in_peer(library, GENERATOR, texts, likely)
    theirs = loss(batch, reference)
    chances, follow = chances_in_engine(GENERATOR, texts, likely)
    ratio, error = relative(loss(chances, reference), theirs)
    print(f"llama.cpp loses {math.sqrt(theirs.mean()):.4f}; the engine {ratio:.3f} +- {error:.3f} of that")
    worse = peer_follow - follow
    chance = 4 * float(worse.std()) / math.sqrt(len(worse))
    print(f"perplexity {math.exp(-follow.mean()):.4f}, llama.cpp's {math.exp(-peer_follow.mean()):.4f}; log-likelihoods differ by {worse.mean():.5f} (chance: {chance:.5f})")
    assert error <= PRECISION, "more text is needed to tell"
    assert ratio <= 1 + SPREAD + 2 * error
    assert abs(worse.mean()) <= chance


@needs_generator
def test_chat_template_gives_the_same_tokens(library):
    peer = llamacpp.LlamaCpp(library, GENERATOR, threads=THREADS)
    with Engine(TOOL, "--generator", GENERATOR, "--threads", THREADS) as engine:
        for question in QUESTIONS:
            rendered = f"{SYSTEM}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
            answer = engine.ask(messages=[{"role": "user", "content": question}], max_tokens=1)
            assert answer["usage"]["prompt_tokens"] == len(peer.tokenize(rendered))


@needs_embedder
def test_embeddings_equal_a_numpy_forward():
    bert = Bert.from_folder(EMBEDDER.parent)
    texts = [
        "", "Hello world", "The quick brown fox jumps over the lazy dog.", "Wie heißt die Hauptstadt von Frankreich?", "naïve café, déjà vu!",
        "東京は日本の首都です", "x = [i**2 for i in range(10)]", "A sentence; with (many) marks -- and numbers: 3.14159, 2,718 & 42%.",
        "word " * 100, "Long texts are cut at two hundred and fifty-six tokens. " * 40, "supercalifragilisticexpialidocious", "emoji 😀 here",
    ]
    with Engine(TOOL, "--embedder", EMBEDDER.parent, "--threads", THREADS) as tool:
        answer = tool.ask(texts=texts)
        assert answer["tokens"] == [len(bert.tokens(text)) for text in texts]
        for text, ours in zip(texts, answer["embeddings"]):
            cosine = float(np.dot(ours, bert.embed(text)) / np.linalg.norm(ours))
            assert cosine >= 0.9999, f"{text[:40]!r}: cosine {cosine:.6f}"
