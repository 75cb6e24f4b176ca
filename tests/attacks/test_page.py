"""docs/operating/security.md names a test for every mitigation: each of them exists."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operating/security.md").read_text()
NAMED = re.findall(r"`((?:tests|src)/[\w./]+?\.(?:py|cc))(?:::([\w.]+))?`", PAGE)


def test_every_test_that_the_page_names_exists():
    assert len(NAMED) > 50
    missing = []
    for path, name in NAMED:
        file = ROOT / path
        text = file.read_text() if file.exists() else ""
        pattern = rf"^def {name}\(" if path.endswith(".py") else r"^TEST(?:_F|_P)?\(" + r",\s*".join(map(re.escape, name.split("."))) + r"\)"
        if not text or (name and not re.search(pattern, text, re.M)):
            missing.append(f"{path}::{name}")
    assert not missing, f"docs/operating/security.md names tests that are not there: {missing}"


def test_every_mitigation_names_a_test():
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [STRIDE] \|", line)]
    assert len(rows) > 30 and {row[2] for row in rows} == set("STRIDE")
    assert not [row for row in rows if not re.search(r"`(?:tests|src)/", row.rsplit("|", 2)[1])]


def test_every_attack_is_on_the_page():
    """What is attacked here is a mitigation that somebody should know of."""
    missing = []
    for path in sorted(pathlib.Path(__file__).parent.glob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M):
            if path.name != "test_page.py" and not {(f"tests/attacks/{path.name}", name), (f"tests/attacks/{path.name}", "")} & set(NAMED):
                missing.append(f"{path.name}::{name}")
    assert not missing, f"docs/operating/security.md should say what these show: {missing}"
