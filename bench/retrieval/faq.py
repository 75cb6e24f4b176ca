#!/usr/bin/env python3
"""Questions of another kind than SQuAD's: those of the FAQs of Perl, Python, Debian and Git, as a set in the format of BEIR.

    bench/retrieval/faq.py FOLDER && build/release/stoa --home HOME eval retrieval FOLDER --mode hybrid,text,vector

A query is a question of an FAQ, and its answer the one right passage among the answers of all four; the question itself does not stand in it. Answers are as long as they are (up to some
thousand words) and full of code. The packages are fetched by name and unpacked, never installed."""
import gzip
import json
import pathlib
import re
import sys

import passages

ENOUGH = 20  # words; an answer of fewer refers to another one
MARKUP = [(re.compile(pattern, flags), text) for pattern, flags, text in (
    (r"X<[^>]*>", 0, ""),  # words of POD's index
    (r"[A-Z]<+\s*([^<>|]*?)(?:\|[^<>]*)?\s*>+", 0, r"\1"),  # C<code> and L<text|target> of POD
    (r"(?::[a-z:]+:)?`+~?([^`<]*?)\s*(?:<[^>]*>)?`+_*", 0, r"\1"),  # :role:`text <target>` of reStructuredText, `code` of AsciiDoc
    (r"^\.\. .*$|^\[\[.*\]\]$|^\++$|^-{3,}$", re.M, ""),
)]


def plain(text):
    for pattern, to in MARKUP:
        text = pattern.sub(to, text)
    return text.strip()


def text(package, path):
    raw = (passages.unpacked(package) / path).read_bytes()
    return (gzip.decompress(raw) if path.endswith(".gz") else raw).decode()


def parted(text, heading):
    """(question, answer) where `heading` is a pattern whose first group is the question; an answer ends at the next match."""
    found = list(re.finditer(heading, text, re.M))
    for this, following in zip(found, found[1:] + [None]):
        yield " ".join(plain(this[1]).split()), plain(text[this.end():following.start() if following else len(text)])


def faqs():
    for part in range(1, 10):
        yield from parted(text("perl-doc", f"usr/share/perl/5.36.0/pod/perlfaq{part}.pod"), r"^=head\d (.*)$")
    folder = passages.unpacked("python3.11-doc") / "usr/share/doc/python3.11/html/_sources/faq"
    for file in sorted(folder.glob("*.rst.txt")):
        yield from parted(file.read_text(), r"^(\S.*)\n(?:=|-|'|\*|~){4,}$")
    yield from parted(text("debian-faq", "usr/share/doc/debian/FAQ/debian-faq.en.txt.gz"), r"^\d+\.\d+(?:\.\d+)?\. (\S.*(?:\n\S.*)*)\n\n")
    yield from parted(text("git-doc", "usr/share/doc/git-doc/gitfaq.txt"), r"^(\S.*)(?:::|\n-{4,})$")


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    (out / "qrels").mkdir(parents=True, exist_ok=True)
    asked = {question: answer for question, answer in faqs() if question.endswith("?") and len(answer.split()) >= ENOUGH}
    with open(out / "corpus.jsonl", "w") as corpus, open(out / "queries.jsonl", "w") as queries, open(out / "qrels/test.tsv", "w") as right:
        right.write("query-id\tcorpus-id\tscore\n")
        for number, (question, answer) in enumerate(asked.items()):
            corpus.write(json.dumps({"_id": f"a{number}", "title": "", "text": answer}) + "\n")
            queries.write(json.dumps({"_id": f"q{number}", "text": question}) + "\n")
            right.write(f"q{number}\ta{number}\t1\n")
    print(f"{len(asked)} questions and answers in {out}")


if __name__ == "__main__":
    main()
