"""The engine against llama.cpp: the same GGUF files, the same number of threads, alternating runs, medians. Each row is measured with llama.cpp's
flash attention on and off, and the better of the two counts."""

import os
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1])]
import harness  # noqa: E402
import rows_reuse  # noqa: E402
import rows_server  # noqa: E402
import rows_speed  # noqa: E402
import rows_start  # noqa: E402
import rows_tokenizer  # noqa: E402
import sides  # noqa: E402


def main():
    options = harness.arguments(__doc__, threads=min(2, os.cpu_count() or 1))
    harness.build("engine_tool", "tokenize_tool", "random_model", "stoa")
    context = sides.Context(options)
    known = [row for module in (rows_speed, rows_start, rows_reuse, rows_server, rows_tokenizer) for row in module.rows(context)]
    chosen = sides.matching(known, options.rows, options.quick)
    if options.list:
        print("\n".join(row.name for row in chosen))
        return
    if not chosen:
        sys.exit(f"no row's name has {options.rows!r}; --list names them")
    measured = []
    for index, row in enumerate(chosen):
        harness.say(f"{index + 1}/{len(chosen)} {row.name}")
        measured += row.measure()
    harness.report("engine", measured)


if __name__ == "__main__":
    main()
