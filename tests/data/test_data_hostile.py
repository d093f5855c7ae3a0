"""Hostile uploads (FAULTS.md): zip bombs, code, names as paths. Through the real, limited process."""

from __future__ import annotations

import ast
import io
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import dqviz
from dqviz.data.upload import parse
from dqviz.errors import BadInput
from dqviz.runs import uploads as module
from dqviz.runs.uploads import accept, uploads
from tests.data.data_files import graph, npy, npy_header, npz, raw_npz, raw_safetensors, safetensors

PACKAGE = Path(dqviz.__file__).parent
UPLOAD_PATH = [
    *sorted((PACKAGE / "data" / "upload").glob("*.py")),
    PACKAGE / "data" / "parse.py",
    PACKAGE / "data" / "uploads.py",
    PACKAGE / "data" / "arrays.py",
    PACKAGE / "data" / "splits.py",
    PACKAGE / "runs" / "uploads.py",
]


def declaring_800_gb() -> bytes:
    """An .npz whose directory declares 800 GB for x, while 100 bytes lie there."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in graph().items():
            archive.writestr(f"{name}.npy", npy(array))
        archive.getinfo("x.npy").file_size = 800 * 10**9
    return file.getvalue()


def header_of_800_gb() -> bytes:
    """Honest to the zip, but the array's header declares 800 GB."""
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 100), }"
    return raw_npz({f"{n}.npy": npy(a) for n, a in graph().items()} | {"x.npy": npy_header(text, bytes(800))})


def a_gigabyte_of_zeros() -> bytes:
    """1 GB that deflates to 1 MB, with a true header."""
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 1), }"
    file = io.BytesIO()
    deflated = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with deflated as archive, archive.open("x.npy", "w") as member:
        member.write(npy_header(text))
        for _ in range(100):
            member.write(bytes(10_000_000))
    return file.getvalue()


def understating_its_size() -> bytes:
    """The directory declares less than is packed, so that a sum of declared sizes looks harmless."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(np.zeros((1_000_000, 8), np.float64)))
        archive.getinfo("x.npy").file_size = 1_000
    return file.getvalue()


@pytest.mark.parametrize("bomb", [declaring_800_gb, header_of_800_gb, a_gigabyte_of_zeros, understating_its_size])
def test_a_bomb_is_refused_before_memory_grows(bomb, home: Path) -> None:  # type: ignore[no-untyped-def]
    content = bomb()
    tracemalloc.start()
    with pytest.raises(BadInput):
        parse({"graph.npz": content})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    with pytest.raises(BadInput, match=r"MB|damaged"):
        accept({"graph.npz": content}, "bomb")
    assert list((home / "uploads").iterdir()) == []


def test_more_than_50_mb_is_refused_without_a_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "parse", lambda *_: pytest.fail("the parser was started"))
    with pytest.raises(BadInput, match="50 MB"):
        accept({"graph.npz": bytes(50_000_001)}, "large")
    with pytest.raises(BadInput, match="50 MB"):
        parse({"graph.npz": bytes(50_000_001)})


def test_the_process_has_its_limits() -> None:
    code = "from dqviz.data.parse import limit\nlimit()\n"
    code += "try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print('full')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.stdout.strip() == "full", done.stderr


def test_the_process_does_not_load_torch() -> None:
    code = "import sys, dqviz.data.parse, dqviz.data.upload; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.stdout.strip() == "False", done.stderr


def test_too_slow_is_said_and_nothing_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.01)
    with pytest.raises(BadInput, match="10 s"):
        accept(npz(graph()), "slow")
    assert list((home / "uploads").iterdir()) == []


class Payload:
    """Touches a file when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.mark), os.O_CREAT)


def payloads(mark: Path) -> dict[str, dict[str, bytes]]:
    code = pickle.dumps(Payload(mark))
    members = {f"{name}.npy": npy(array) for name, array in graph().items()}
    objects = io.BytesIO()
    np.save(objects, np.array([Payload(mark)], dtype=object))
    command = f"__import__('os').open({str(mark)!r}, {os.O_CREAT})"
    return {
        "pickle as npz": {"a.npz": code},
        "pickle as safetensors": {"a.safetensors": code},
        "pickle as csv": {"a.csv": code, "b.csv": b"source,target\n0,1\n"},
        "torch file": {"a.pt": raw_npz({"archive/data.pkl": code, "archive/version": b"3"})},
        "torch file as npz": {"a.npz": raw_npz({"archive/data.pkl": code, "archive/version": b"3"})},
        "object array": {"a.npz": raw_npz(members | {"x.npy": objects.getvalue()})},
        "object array for a mask": {"a.npz": raw_npz(members | {"val_mask.npy": objects.getvalue()})},
        "member is a pickle": {"a.npz": raw_npz(members | {"y.npy": code})},
        "header is code": {"a.npz": raw_npz(members | {"x.npy": npy_header(f"{{'descr': {command}}}")})},
        "safetensors of objects": {"a.safetensors": raw_safetensors(
            {"x": {"dtype": "O", "shape": [1], "data_offsets": [0, len(code)]}}, code)},
    }  # fmt: skip


@pytest.mark.parametrize("name", list(payloads(Path("mark"))))
def test_code_in_an_upload_is_never_run(name: str, home: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    with pytest.raises(BadInput):
        accept(payloads(mark)[name], name)
    assert not mark.exists()
    assert uploads() == []


def test_the_payload_would_run_if_it_were_unpickled(tmp_path: Path) -> None:
    """Negative control: the test above can fail."""
    os.close(pickle.loads(pickle.dumps(Payload(tmp_path / "executed"))))
    assert (tmp_path / "executed").exists()


NAMES = [
    "../../x.npz",
    "/etc/x.npz",
    "C:\\x.npz",
    "..\\..\\x.npz",
    "a\x00b.npz",
    "x" * 10_000 + ".npz",
    "\u202egraph.npz",
    "--out.npz",
    "$(touch x).npz",
    ".npz/../y.npz",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_is_never_a_path(name: str, home: Path, tmp_path: Path) -> None:
    result = accept({name: npz(graph())["graph.npz"]}, name)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {f"home/uploads/{result.name}.safetensors", f"home/uploads/{result.name}.json"}
    assert len(result.display_name) <= 200
    assert result.display_name.isprintable()
    assert uploads() == [result]


def test_names_are_not_paths_of_data_sets_either(home: Path) -> None:
    from dqviz.data import load

    for name in ["upload-../../../etc", "upload-0123456789ab/..", "../cora", "upload-0123456789AB"]:
        with pytest.raises(BadInput):
            load(name)


@pytest.mark.parametrize("path", UPLOAD_PATH, ids=lambda path: path.stem)
def test_nothing_on_the_upload_path_can_unpickle(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not {name.split(".")[0] for name in names} & {
                "pickle",
                "torch",
                "torch_geometric",
                "marshal",
                "shelve",
            }
        if isinstance(node, ast.keyword):
            assert node.arg not in {"allow_pickle", "weights_only"}
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            assert (node.func.value.id, node.func.attr) not in {
                ("np", "load"),
                ("torch", "load"),
                ("pd", "read_pickle"),
            }
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}


def test_every_import_of_the_parser_is_on_the_checked_path() -> None:
    """A helper of dqviz that the parser starts to use must be added to UPLOAD_PATH."""
    code = "import sys, dqviz.data.parse, dqviz.data.upload; print(*(m for m in sys.modules if m.startswith('dqviz')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    known = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in UPLOAD_PATH}
    known |= {"dqviz", "dqviz.data", "dqviz.data.upload", "dqviz.data.paths", "dqviz.errors"}
    assert set(done.stdout.split()) <= known


def test_safetensors_and_npz_of_one_graph_are_one_upload(home: Path) -> None:
    first, second = accept(npz(graph()), "one"), accept(safetensors(graph()), "two")
    assert first.name == second.name
    assert [upload.display_name for upload in uploads()] == ["two"]
