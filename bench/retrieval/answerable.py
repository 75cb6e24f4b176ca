#!/usr/bin/env python3
"""Fits `answerable` of share/prompts.yaml, the formula that tells questions which the documents answer from those which they do not.

    bench/retrieval/answerable.py SQUAD.json [--build build/release] [--model build/models/all-minilm-l6-v2]

SQUAD.json is a file of SQuAD 2.0 (its unanswerable questions were written against a paragraph that speaks of the same). Each question is asked of its
paragraph and the two others of its article that share most words with it. Half of the articles fit, the other half is reported: balanced accuracy is the mean
of the shares of answerable questions that are answered and of unanswerable ones that are not. "elsewhere" are questions asked of another article."""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import subprocess

SIGNALS = ["cosine", "coverage", "missing_names", "answer_type", "negation"]
SHOWN = 3            # passages of a question
ELSEWHERE = 0.15     # share of questions that are asked of another article, too
RIDGE = 1e-5         # of the coefficients, a question


def words(text):
    return set(re.findall(r"\w+", text.lower()))


class Article:
    def __init__(self, paragraphs):
        self.texts = [p["context"] for p in paragraphs]
        self.words = [words(text) for text in self.texts]
        self.found_in = collections.Counter(word for each in self.words for word in each)

    def ranked(self, question):
        asked, n = words(question), len(self.texts)
        return sorted(range(n), key=lambda i: -sum(math.log((n + 1) / (self.found_in[word] + 0.5)) for word in asked & self.words[i]))


def questions(path):
    """(article, "yes" | "no" | "elsewhere", question, passages)"""
    data = json.loads(pathlib.Path(path).read_text())["data"]
    articles, draw = [Article(a["paragraphs"]) for a in data], random.Random(1)
    for a, article in enumerate(articles):
        other = articles[(a + 7) % len(articles)]
        for p, paragraph in enumerate(data[a]["paragraphs"]):
            for asked in paragraph["qas"]:
                order = article.ranked(asked["question"])
                chosen = {p, *[i for i in order if i != p][:SHOWN - 1]}
                yield a, "no" if asked["is_impossible"] else "yes", asked["question"], [article.texts[i] for i in order if i in chosen]
                if draw.random() < ELSEWHERE:
                    yield a, "elsewhere", asked["question"], [other.texts[i] for i in other.ranked(asked["question"])[:SHOWN]]


def solve(matrix, right):
    """Gauss with pivots."""
    n, rows = len(right), [row[:] + [value] for row, value in zip(matrix, right)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def fit(rows, steps=25):
    """Logistic regression by Newton's method; both classes weigh the same. Rows are (signals, answerable)."""
    share = sum(y for _, y in rows) / len(rows)
    size = len(SIGNALS) + 1
    b = [0.0] * size
    for _ in range(steps):
        gradient, hessian = [-RIDGE * len(rows) * x for x in b], [[RIDGE * len(rows) * (i == j) for j in range(size)] for i in range(size)]
        for x, y in rows:
            x = [1.0, *x]
            weight = 0.5 / (share if y else 1 - share)
            p = 1 / (1 + math.exp(-sum(i * j for i, j in zip(b, x))))
            for i in range(size):
                gradient[i] += weight * (y - p) * x[i]
                for j in range(size):
                    hessian[i][j] += weight * p * (1 - p) * x[i] * x[j]
        b = [x + y for x, y in zip(b, solve(hessian, gradient))]
    return b


def report(name, rows, answers):
    share = lambda kind, wanted: sum(answers(r) == wanted for r in rows if r["kind"] == kind) / sum(r["kind"] == kind for r in rows)
    yes, no, elsewhere = share("yes", True), share("no", False), share("elsewhere", False)
    own = [r for r in rows if r["kind"] != "elsewhere"]
    right = sum(answers(r) == (r["kind"] == "yes") for r in own) / len(own)
    print(f"{name:24} balanced {(yes + no) / 2:.3f}  accuracy {right:.3f}  answered {yes:.3f}  refused {no:.3f}  elsewhere refused {elsewhere:.3f}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("squad")
    options.add_argument("--build", default="build/release")
    options.add_argument("--model", default="build/models/all-minilm-l6-v2")
    options = options.parse_args()
    asked = list(questions(options.squad))
    lines = "".join(json.dumps({"question": question, "passages": passages}) + "\n" for _, _, question, passages in asked)
    done = subprocess.run([f"{options.build}/bench/retrieval/answerable_bench", options.model], input=lines, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    rows = [{"article": a, "kind": kind, **json.loads(line)} for (a, kind, _, _), line in zip(asked, done.stdout.splitlines(), strict=True)]
    learnt = [r for r in rows if r["article"] % 2 == 0 and r["kind"] != "elsewhere"]
    held = [r for r in rows if r["article"] % 2 == 1]
    b = fit([([r[s] for s in SIGNALS], int(r["kind"] == "yes")) for r in learnt])
    print("\n".join(f"    {name}: {value:.2f}" for name, value in zip(["intercept", *SIGNALS], b)))
    probability = lambda r: 1 / (1 + math.exp(-sum(i * j for i, j in zip(b, [1.0, *[r[s] for s in SIGNALS]]))))
    own = [r["kind"] == "yes" for r in held if r["kind"] != "elsewhere"]
    print(f"\n{len(learnt)} questions fit, {len(own)} are held out; the more frequent answer to these is right for {max(sum(own), len(own) - sum(own)) / len(own):.3f}")
    for relevance in (0.45, 0.5, 0.55, 0.6, 0.65):
        report(f"relevance >= {relevance}", held, lambda r: r["relevance"] >= relevance)
    for least in (0.3, 0.35, 0.4, 0.45, 0.5):
        report(f"formula >= {least}", held, lambda r: probability(r) >= least)


if __name__ == "__main__":
    main()
