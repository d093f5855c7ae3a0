"""The house plan as tests: who may import whom, four refusals, and how long a file, a page or a function may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"columns", "registry", "naming", "spec", "errors"}
EVERYTHING = {"analysis", "bench", "data", "integer", "jobs", "methods", "nn", "plots", "quant", "report", "runs",
              "training"} | WORDS  # fmt: skip

# room -> the rooms it may import. A change here is a change of architecture: say why in CHANGELOG.md.
MAY_IMPORT: dict[str, set[str]] = {
    "app": {"ui", "plots", "analysis", "report", "runs", "spec", "columns"},
    "pages": {"ui", "plots", "analysis", "report", "runs", "spec", "columns"},
    "ui": {"runs", "spec", "registry", "columns", "naming", "errors"},
    "report": {"plots", "analysis", "runs", "columns", "naming", "errors"},
    "plots": {"analysis", "columns", "naming"},
    "analysis": {"columns", "naming", "errors"},
    "training": {"methods", "nn", "data", "quant", "runs", "spec", "errors"},
    "bench": {"integer", "quant", "nn", "data", "columns", "errors"},
    "integer": {"quant", "registry", "columns", "errors"},
    "methods": {"quant", "registry", "errors"},
    "nn": {"registry", "errors"},
    "data": {"registry", "errors"},
    "quant": set(),
    "runs": {"spec", "columns", "errors", "registry"},
    "jobs": EVERYTHING - {"plots", "report"},
    "cli": EVERYTHING,
    "__main__": {"cli"},
    "__init__": set(),
    "columns": set(),
    "naming": set(),
    "errors": set(),
    "registry": {"errors"},
    "spec": {"errors", "registry"},
}
WITHOUT_TORCH = ("ui", "plots", "report", "runs", "analysis")
PAGE_LINES, APP_LINES, FILE_LINES = 80, 25, 300
FUNCTION_LINES, PAGE_FUNCTION_LINES, USUAL_FUNCTION_LINES = 50, 10, 25


def sources() -> list[Path]:
    """Every Python file a person runs: the library, the router and the pages."""
    return sorted([*(ROOT / "dqviz").rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"])


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "dqviz" else parts[0]


def imported(path: Path) -> Iterator[str]:
    """Dotted names a file imports, wherever the statement stands; `from dqviz import x` counts as dqviz.x."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "dqviz":
            yield from (f"dqviz.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("path", sources(), ids=name)
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    own = room(path)
    rooms = {module.split(".")[1] for module in imported(path) if module.startswith("dqviz.")}
    assert rooms - {own, "__version__"} <= MAY_IMPORT[own]


def test_the_table_names_every_room() -> None:
    missing = {room(path) for path in sources()} - set(MAY_IMPORT)
    assert not missing


def importers(package: str) -> set[str]:
    return {room(path) for path in sources() for module in imported(path) if module.split(".")[0] == package}


def test_only_the_web_rooms_import_streamlit() -> None:
    assert importers("streamlit") <= {"app", "pages", "ui"}


def test_only_plots_and_report_import_plotly() -> None:
    assert importers("plotly") <= {"plots", "report"}


def test_nn_does_not_know_quantization() -> None:
    assert "quant" not in MAY_IMPORT["nn"]
    used = {module for path in sources() if room(path) == "nn" for module in imported(path)}
    assert not {module for module in used if module.startswith("dqviz.quant")}


@pytest.mark.parametrize("package", WITHOUT_TORCH)
def test_the_web_process_never_loads_torch(package: str) -> None:
    """Importing torch_geometric costs 3 s and 0.44 GB: every module of these rooms stays clear of it."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources() if room(path) == package]
    names = [module.removesuffix(".__init__") for module in modules if "migrations" not in module]
    names = [module for module in names if not module.endswith("__main__")]
    code = f"import importlib, sys\nfor m in {names!r}: importlib.import_module(m)\n"
    code += "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'torch_geometric'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_pages_name_no_number_library() -> None:
    for path in [*(ROOT / "pages").glob("*.py"), ROOT / "app.py"]:
        assert not {module.split(".")[0] for module in imported(path)} & {"numpy", "pandas", "torch", "plotly"}, path


def test_app_and_pages_are_short() -> None:
    assert lines(ROOT / "app.py") <= APP_LINES
    assert not {name(path): lines(path) for path in (ROOT / "pages").glob("*.py") if lines(path) > PAGE_LINES}


def test_files_are_short() -> None:
    assert not {name(path): lines(path) for path in sources() if lines(path) > FILE_LINES}


def test_functions_are_short() -> None:
    found = [(where, length) for path in sources() for where, length in functions(path)]
    assert not [(where, length) for where, length in found if length > FUNCTION_LINES]
    usual = sum(length <= USUAL_FUNCTION_LINES for _, length in found)
    assert usual >= 0.9 * len(found)


def test_functions_of_a_page_are_very_short() -> None:
    found = [item for path in (ROOT / "pages").glob("*.py") for item in functions(path)]
    assert not [item for item in found if item[1] > PAGE_FUNCTION_LINES]


def test_nothing_unpickles() -> None:
    """Uploaded bytes never reach pickle, so nothing in the tree may ask for it (FAULTS: code in an upload)."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                assert (node.arg, node.value.value) not in {("allow_pickle", True), ("weights_only", False)}, path
        assert not {"pickle", "cPickle", "dill", "joblib"} & set(imported(path)), path


def test_nothing_names_a_path_of_one_machine() -> None:
    """A path of the machine a file was written on is of no use on any other."""
    texts = [*sources(), *(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "Makefile"]
    for path in texts:
        assert not [part for part in ("/home/", "/Users/", "/root/", f"{ROOT}/") if part in path.read_text()], path
