"""The indexes of passages and the embedder beside their peers, and hybrid search. The rows are in rows_*.py; a section of them is measured at a time."""

import importlib
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import harness  # noqa: E402

asked = harness.arguments(__doc__, sections=True)
known = [section for file in sorted(HERE.glob("rows_*.py")) for section in importlib.import_module(file.stem).sections(asked.quick)]
chosen = [section for section in known if re.search(asked.rows or "", section[0])]
if asked.list or not chosen:
    print("\n".join(name for name, _ in known))
    sys.exit(None if asked.list else f"no section's name has {asked.rows!r}")
table = []
for index, (name, measure) in enumerate(chosen):
    harness.say(f"{index + 1}/{len(chosen)} {name}")
    table += measure()
    harness.write("retrieval", table)
harness.report("retrieval", table)
