"""The indexes of passages beside their peers: bench/run retrieval. The rows are in rows_*.py, a file for each index."""

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import harness  # noqa: E402

asked = harness.arguments(__doc__)
harness.report("retrieval", [row for file in sorted(HERE.glob("rows_*.py")) for row in importlib.import_module(file.stem).rows(asked.quick)])
