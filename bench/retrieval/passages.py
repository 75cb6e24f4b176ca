"""Real passages and queries for the text index: documentation that Debian packages, cut into passages of a hundred words.

A package is fetched by its name and unpacked, never installed. What came out is kept under build/bench/retrieval."""

import glob
import gzip
import hashlib
import html
import json
import os
import pathlib
import random
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402

FOLDER = harness.OUT / "retrieval"
EVERYTHING = FOLDER / "passages.txt"  # of all packages, mixed; those of a size are its first
PACKAGES = ("linux-doc-6.1", "python3.11-doc", "rust-doc", "dict-gcide", "wordnet-base", "openjdk-17-doc", "cppreference-doc-en-html", "libboost1.81-doc",
            "postgresql-doc-15", "octave-doc", "sqlite3-doc", "debian-handbook", "erlang-doc", "perl-doc", "gimp-help-en", "nodejs-doc",
            "qtbase5-doc-html", "libreoffice-help-en-us")
WORDS, STRIDE = 100, 50  # of a passage, and between the beginnings of two: passages overlap, as those of retrieval do
TEXTS = {".html", ".htm", ".xhtml", ".txt", ".rst", ".pod", ".xml", ".noun", ".verb", ".adj", ".adv", ".index", ".dz"}
DROPPED = re.compile(r"<(script|style|nav|head)\b.*?</\1>|<!--.*?-->", re.S | re.I)
TAG = re.compile(r"<[^>]*>")


def unpacked(package):
    folder = FOLDER / "packages" / package
    if not folder.exists():
        harness.say(f"fetching {package}")
        deb = FOLDER / "debs"
        deb.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", package], cwd=deb, check=True, stdout=sys.stderr)
        folder.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", glob.glob(f"{deb}/{package}_*.deb")[0], folder], check=True)
    return folder


def text_of(path):
    suffixes = [s for s in path.suffixes if s not in (".gz", ".dz")]
    packed = path.suffix in (".gz", ".dz")
    if not path.is_file() or path.is_symlink() or not (path.suffix == ".dz" or (suffixes and (suffixes[-1] in TEXTS or path.name.startswith("data.")))):
        return ""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if packed else raw).decode("utf-8", "replace")
    if "<" in text[:2000]:
        text = html.unescape(TAG.sub(" ", DROPPED.sub(" ", text)))
    return text


def cut(text):
    words = text.split()
    for start in range(0, max(1, len(words) - WORDS // 4), STRIDE):
        piece = words[start:start + WORDS]
        if len(piece) >= 12:
            yield " ".join(piece)


def passages(count):
    """The file of `count` passages, one a line: the same ones for the same count, mixed over all packages."""
    path = FOLDER / f"passages-{count}.txt"
    if path.exists():
        return path
    if not EVERYTHING.exists():
        seen, found = set(), []
        for package in PACKAGES:
            before = len(found)
            for file in sorted(unpacked(package).rglob("*")):
                for piece in cut(text_of(file)):
                    mark = hashlib.blake2b(piece.encode(), digest_size=8).digest()
                    if mark not in seen:
                        seen.add(mark)
                        found.append(piece)
            harness.say(f"{package}: {len(found) - before} passages")
        random.Random(1).shuffle(found)
        EVERYTHING.write_text("\n".join(found) + "\n")
    lines = EVERYTHING.read_text().split("\n")[:-1]
    if len(lines) < count:
        sys.exit(f"the packages have {len(lines)} passages, not {count}")
    path.write_text("\n".join(lines[:count]) + "\n")
    return path


def squad():
    """The paragraphs of SQuAD with their questions, when it is there."""
    path = pathlib.Path(os.environ.get("STOA_TEST_DATA", harness.SOURCE.parent / "shared" / "data")) / "squad" / "dev-v2.0.json"
    return [p for a in json.loads(path.read_text())["data"] for p in a["paragraphs"]] if path.exists() else []


def paragraphs():
    return [p["context"].strip() for p in squad()]


def questions():
    """Natural questions: those of SQuAD, when it is there."""
    return [qa["question"].strip() for p in squad() for qa in p["qas"]]


def queries(count, number):
    """The file of `number` queries: runs of two to eight words of a passage, words from all over it, a question around some, and questions people asked."""
    path = FOLDER / f"queries-{count}.txt"
    lines = passages(count).read_text().split("\n")[:-1]
    pick = random.Random(2)
    made = []
    asked = questions()
    while len(made) < number:
        words = re.findall(r"[A-Za-z][A-Za-z0-9]+", pick.choice(lines))
        if len(words) < 12:
            continue
        kind = len(made) % 4
        size = pick.randint(2, 8)
        start = pick.randrange(len(words) - size)
        if kind == 0:
            made.append(" ".join(words[start:start + size]))
        elif kind == 1:
            made.append(" ".join(pick.sample(words, size)))
        elif kind == 2:
            made.append("how does " + " ".join(words[start:start + min(size, 6)]) + " work")
        else:
            made.append(pick.choice(asked) if asked else "what is the " + " ".join(words[start:start + size]))
    path.write_text("".join(re.sub(r"[^A-Za-z0-9 ]", " ", q) + "\n" for q in made))
    return path
