"""A plain BERT encoder in numpy, float64."""

import json
import math
import struct
import unicodedata

import numpy as np

erf = np.vectorize(math.erf)


def read_safetensors(path):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    weights = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            weights[name] = np.frombuffer(data[8 + size + begin:8 + size + end], "<f4").reshape(entry["shape"])
    return weights


class Bert:
    def __init__(self, config, weights, vocabulary):
        self.config, self.vocabulary = config, vocabulary
        self.weights = {name.removeprefix("bert."): values.astype(np.float64) for name, values in weights.items()}

    @classmethod
    def from_folder(cls, folder):
        vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        return cls(json.loads((folder / "config.json").read_text()), read_safetensors(folder / "model.safetensors"), vocabulary)

    def words(self, text):
        text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        out = ""
        for c in text:
            category = unicodedata.category(c)
            if c.isspace() or category == "Zs":
                out += " "
            elif category in ("Cc", "Cf"):
                continue
            elif category.startswith("P") or (ord(c) < 128 and not c.isalnum()) or 0x4E00 <= ord(c) <= 0x9FFF:
                out += f" {c} "
            else:
                out += c
        return out.split()

    def pieces(self, text):
        ids = []
        for word in self.words(text):
            pieces, begin = [], 0
            while begin < len(word):
                for end in range(len(word), begin, -1):
                    piece = ("##" if begin else "") + word[begin:end]
                    if piece in self.vocabulary:
                        break
                else:
                    pieces = [self.vocabulary["[UNK]"]]
                    break
                pieces.append(self.vocabulary[piece])
                begin = end
            ids += pieces
        return ids

    def tokens(self, text, limit=256):
        return [self.vocabulary["[CLS]"], *self.pieces(text)[:limit - 2], self.vocabulary["[SEP]"]]

    def dense(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + self.config["layer_norm_eps"]) * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def forward(self, ids, types):
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:len(ids)] + w["embeddings.token_type_embeddings.weight"][types]
        x = self.norm(x, "embeddings.LayerNorm")
        heads = self.config["num_attention_heads"]
        split = lambda y: y.reshape(len(ids), heads, -1).transpose(1, 0, 2)  # noqa: E731
        for i in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{i}."
            q, k, v = (split(self.dense(x, f"{at}attention.self.{name}")) for name in ("query", "key", "value"))
            scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            chances = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (chances / chances.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
            x = self.norm(x + self.dense(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            inner = self.dense(x, at + "intermediate.dense")
            inner *= 0.5 * (1 + erf(inner / np.sqrt(2)))
            x = self.norm(x + self.dense(inner, at + "output.dense"), at + "output.LayerNorm")
        return x

    def embed(self, text):
        ids = self.tokens(text)
        mean = self.forward(ids, [0] * len(ids)).mean(0)
        return mean / np.linalg.norm(mean)

    def pair(self, query, document, limit):
        """Ids and types of a pair whose document is cut to `limit` in all."""
        sep = self.vocabulary["[SEP]"]
        head = [self.vocabulary["[CLS]"], *self.pieces(query), sep]
        tail = [*self.pieces(document)[:limit - len(head) - 1], sep]
        return head + tail, [0] * len(head) + [1] * len(tail)

    def score(self, ids, types):
        """The logit of a BertForSequenceClassification with one label."""
        pooled = np.tanh(self.dense(self.forward(ids, types)[0], "pooler.dense"))
        return float(self.dense(pooled, "classifier")[0])
