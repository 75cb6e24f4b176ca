"""The invariants of ARCHITECTURE.md that a program can check, recomputed from the files (CMake enforces some of them as well)."""
import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
RULES = yaml.safe_load((ROOT / "tests/house/rules.yaml").read_text())
INCLUDE = re.compile(r'^#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def files(*patterns, below=("src", "apps", "fuzz", "tests", "bench")):
    return sorted(p for folder in below if (ROOT / folder).exists() for pattern in patterns for p in (ROOT / folder).rglob(pattern) if "node_modules" not in p.parts)


def modules():
    """name -> (rank, deps), from the stoa_module() calls."""
    found = {}
    for cmake in SRC.rglob("CMakeLists.txt"):
        for call in re.findall(r"stoa_module\(([^)]*)\)", cmake.read_text()):
            words = re.sub(r"#.*", "", call).split()
            fields, key = {}, None
            for word in words:
                if word in ("NAME", "RANK", "DEPS", "LIBS", "TEST_DEPS", "TEST_LIBS"):
                    key = word
                else:
                    fields.setdefault(key, []).append(word)
            found[fields["NAME"][0]] = (int(fields["RANK"][0]), fields.get("DEPS", []))
    return found


MODULES = modules()


def owner(path):
    parts = pathlib.PurePosixPath(path).parent.parts
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in MODULES:
            return "/".join(parts[:length])
    return None


def closure(name):
    seen, todo = set(), [name]
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += MODULES[module][1]
    return seen


def relative(path):
    return path.relative_to(ROOT).as_posix()


def test_there_are_modules():
    assert len(MODULES) > 20


@pytest.mark.parametrize("name", sorted(MODULES))
def test_dependencies_point_downwards_without_cycles(name):
    rank, deps = MODULES[name]
    for dep in deps:
        assert dep in MODULES, f"{name} depends on {dep}, which does not exist"
        assert MODULES[dep][0] <= rank, f"{name} (rank {rank}) depends on {dep} (rank {MODULES[dep][0]})"
        assert name not in closure(dep), f"{name} and {dep} depend on each other"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_includes_stay_within_dependencies(name):
    allowed = closure(name)
    for path in sorted(p for p in (SRC / name).glob("*.h") if not p.name.startswith("test_")) + sorted(p for p in (SRC / name).glob("*.cc") if not p.name.endswith("_test.cc")):
        for kind, include in INCLUDE.findall(path.read_text()):
            if kind == '"':
                assert owner(include) in allowed, f'{relative(path)} includes "{include}" of {owner(include)}, not a dependency of {name}'


def test_every_source_folder_is_a_module():
    folders = {relative(p.parent)[len("src/"):] for p in SRC.rglob("*.cc")} | {relative(p.parent)[len("src/"):] for p in SRC.rglob("*.h")}
    stray = {f for f in folders if owner(f + "/x") is None}
    assert not stray, f"no stoa_module() covers {sorted(stray)}"


def table():
    rows = {}
    for line in (SRC / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 4 and cells[0] in MODULES or (len(cells) == 4 and cells[1].isdigit()):
            rows[cells[0]] = (int(cells[1]), cells[2], [d.strip() for d in cells[3].split(",") if d.strip()])
    return rows


def test_the_table_of_modules_equals_the_disk():
    rows = table()
    assert set(rows) == set(MODULES), f"only in src/README.md: {sorted(set(rows) - set(MODULES))}; missing there: {sorted(set(MODULES) - set(rows))}"
    for name, (rank, line, uses) in rows.items():
        assert (rank, sorted(uses)) == (MODULES[name][0], sorted(MODULES[name][1])), f"src/README.md, row {name}: rank {MODULES[name][0]}, may use {', '.join(sorted(MODULES[name][1]))}"
        assert line, f"src/README.md says nothing about {name}"


def test_vendor_headers_stay_in_their_adapters():
    wrong = []
    for path in files("*.h", "*.cc"):
        for kind, include in INCLUDE.findall(path.read_text()):
            vendor = next((v for v in RULES["vendors"] if kind == "<" and include.startswith(v)), None)
            if vendor and not any(relative(path).startswith(home) for home in RULES["vendors"][vendor]):
                wrong.append(f"{relative(path)} includes <{include}>, which belongs in {RULES['vendors'][vendor]}")
    assert not wrong, "\n".join(wrong)


def test_files_keep_their_size():
    wrong = []
    for path in files("*.h", "*.cc", below=("src", "apps", "fuzz")):
        lines, limit = len(path.read_text().splitlines()), RULES["sizes"][path.suffix]
        if lines > RULES["sizes"]["never"] or (lines > limit and relative(path) not in RULES["oversized"]):
            wrong.append(f"{relative(path)}: {lines} lines, limit {limit}: split it, or give the reason in tests/house/rules.yaml")
    for name in RULES["oversized"]:
        path = ROOT / name
        if not path.exists() or len(path.read_text().splitlines()) <= RULES["sizes"][path.suffix]:
            wrong.append(f"{name} needs no exemption any more: remove it from tests/house/rules.yaml")
    assert not wrong, "\n".join(wrong)


def test_a_source_includes_its_own_header_first():
    """Shows that headers compile alone; the build compiles the headers that have no source."""
    wrong = []
    for path in files("*.cc", below=("src",)):
        own = path.with_suffix(".h")
        includes = INCLUDE.findall(path.read_text())
        if own.exists() and includes and includes[0] != ('"', relative(own)[len("src/"):]):
            wrong.append(f"{relative(path)} includes {includes[0][1]} before its own header")
    assert not wrong, "\n".join(wrong)


def test_no_two_types_of_a_namespace_share_a_name():
    """The linker takes one for the other without a word, where both are in a container."""
    places = {}
    for path in files("*.h", "*.cc", below=("src",)):
        text = path.read_text()
        if path.suffix == ".cc":  # what is without a name there is the file's own
            text = re.sub(r"^namespace \{.*?^\}  // namespace$", "", text, flags=re.M | re.S)
        namespace = re.search(r"^namespace ([\w:]+) \{", text, re.M)
        for name in re.findall(r"^(?:struct|class|enum class)\s+(\w+)(?!::)\s*(?:final\s*)?(?::(?!:)[^;{]*)?\{", text, re.M):
            places.setdefault((namespace and namespace[1], name), set()).add(str(path.relative_to(ROOT)))
    assert len(places) > 500
    assert not {name: sorted(where) for name, where in places.items() if len(where) > 1}


def test_every_layer_has_a_readme():
    missing = [name for name in MODULES if not any((SRC / folder / "README.md").exists() for folder in (name, name.split("/")[0]))]
    assert not missing, f"no README.md in these folders or their layer: {missing}"


@pytest.mark.parametrize(
    "what, pattern, endings",
    [
        ("work left open", re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"), {".h", ".cc", ".ts", ".py", ".sh"}),
        ("a path of one machine", re.compile(r"(/work/|/home/[a-z]+/(?!\.))"), {".h", ".cc", ".ts", ".py", ".sh", ".md", ".yaml", ".json"}),
    ],
)
def test_nothing_is_left_lying_about(what, pattern, endings):
    wrong = []
    for path in files("*", below=("src", "apps", "fuzz", "bench", "docs", "share", "scripts", "web")):
        if path.is_file() and path.suffix in endings and pattern.search(path.read_text(errors="replace")):
            wrong.append(relative(path))
    assert not wrong, f"{what} in {wrong}"


def test_only_wiring_names_concrete_backends():
    backends = ("infra/sql/sqlite/", "infra/blob/disk/", "infra/bus/local/")
    wrong = [
        f"{relative(p)} includes {include}"
        for p in files("*.h", "*.cc", below=("src", "apps"))
        if not p.name.endswith("_test.cc") and not p.name.startswith("test_") and "apps/stoa/wiring" not in relative(p)
        for kind, include in INCLUDE.findall(p.read_text())
        if kind == '"' and include.startswith(backends) and owner(include) != owner(relative(p)[len("src/"):])
    ]
    assert not wrong, "\n".join(wrong)


def test_requests_leave_through_egress():
    wrong = [
        f"{relative(p)} includes infra/http/client.h: take an HttpSender from infra/http/egress.h"
        for p in files("*.h", "*.cc", below=("src", "apps"))
        if not p.name.endswith("_test.cc") and not p.name.startswith("test_") and not relative(p).startswith(tuple(RULES["own_http_client"]))
        for kind, include in INCLUDE.findall(p.read_text())
        if include == "infra/http/client.h"
    ]
    assert not wrong, "\n".join(wrong)
