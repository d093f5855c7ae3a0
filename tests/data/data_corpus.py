"""The malformed corpus: every way a graph or its file can be wrong that we know of, built here, never downloaded."""

from __future__ import annotations

import zipfile

import numpy as np

from tests.data.data_files import Arrays, Files, csv, graph, npy, npy_header, npz, raw_npz, raw_safetensors, safetensors


def changed(**values: object) -> Arrays:
    """A valid graph with some arrays replaced; None takes one away."""
    arrays = graph() | {name: np.asarray(value) for name, value in values.items() if value is not None}
    return {name: array for name, array in arrays.items() if values.get(name, array) is not None}


def with_value(name: str, at: tuple[int, ...], value: object) -> Arrays:
    arrays = graph()
    arrays[name] = arrays[name].copy()
    arrays[name][at] = value
    return arrays


def wrong_graphs() -> dict[str, Arrays]:
    """Graphs that every format can hold."""
    good = graph()
    count = len(good["y"])
    nobody, all_of_them = np.zeros(count, bool), np.ones(count, bool)
    return {
        "negative node": with_value("edge_index", (0, 3), -1),
        "node out of range": with_value("edge_index", (1, 5), count),
        "node far out of range": with_value("edge_index", (1, 5), 2**40),
        "largest int64": with_value("edge_index", (0, 0), 2**63 - 1),
        "smallest int64": with_value("edge_index", (0, 0), -(2**63)),
        "float nodes": changed(edge_index=good["edge_index"] + 0.5),
        "nan feature": with_value("x", (2, 1), np.nan),
        "infinite feature": with_value("x", (2, 1), np.inf),
        "no edges": changed(edge_index=np.zeros((2, 0), np.int64)),
        "only self-loops": changed(edge_index=np.array([[1, 2], [1, 2]])),
        "no features": changed(x=np.zeros((count, 0), np.float32)),
        "gap in labels": changed(y=good["y"] * 2),
        "labels from one": changed(y=good["y"] + 1),
        "negative label": with_value("y", (0,), -1),
        "huge label": with_value("y", (0,), 2**30),
        "fractional label": changed(y=good["y"] + 0.5),
        "one class": changed(y=np.zeros(count, np.int64)),
        "overlapping masks": changed(val_mask=good["train_mask"]),
        "empty training mask": changed(train_mask=nobody),
        "empty test mask": changed(test_mask=nobody),
        "all masks full": changed(train_mask=all_of_them, val_mask=all_of_them, test_mask=all_of_them),
        "mask of twos": changed(val_mask=good["val_mask"] * 2),
        "only a training mask": changed(val_mask=None, test_mask=None),
        "short labels": changed(y=good["y"][:-1]),
        "short mask": changed(val_mask=good["val_mask"][:-1]),
    }


def wrong_arrays() -> dict[str, Arrays]:
    """Graphs that only the binary formats can hold."""
    good = graph()
    count = len(good["y"])
    return {
        "no labels": changed(y=None),
        "no edge_index": changed(edge_index=None),
        "no x": changed(x=None),
        "empty graph": changed(x=np.zeros((0, 4), np.float32), y=np.zeros(0, np.int64)),
        "transposed edges": changed(edge_index=good["edge_index"].T.copy()),
        "edges of one axis": changed(edge_index=good["edge_index"].reshape(-1)),
        "edges of three axes": changed(edge_index=good["edge_index"][None]),
        "float ids that are whole": changed(edge_index=good["edge_index"].astype(np.float64)),
        "boolean edges": changed(edge_index=good["edge_index"] > 3),
        "overflowing uint64": changed(edge_index=np.array([[2**64 - 1], [0]], np.uint64)),
        "features beyond float32": changed(x=np.full((count, 4), 1e300)),
        "features of one axis": changed(x=good["x"][:, 0].copy()),
        "labels of two columns": changed(y=np.stack([good["y"], good["y"]], axis=1)),
        "boolean labels": changed(y=good["y"] > 0),
        "nan labels": changed(y=np.full(count, np.nan)),
        "long mask": changed(val_mask=np.ones(count + 1, bool)),
        "square mask": changed(val_mask=np.ones((count, count), bool)),
        "nan mask": changed(val_mask=np.full(count, np.nan)),
        "a name of its own": changed(edge_attr=np.ones(4)),
    }


def wrong_npz() -> dict[str, Files]:
    good = npz(graph())["graph.npz"]
    arrays = {f"{name}.npy": npy(array) for name, array in graph().items()}
    x = arrays["x.npy"]
    variants: dict[str, bytes] = {
        "empty": b"",
        "not a zip": b"hello" * 100,
        "cut in half": good[: len(good) // 2],
        "end only": good[-22:],
        "no members": raw_npz({}),
        "object array": raw_npz(arrays | {"x.npy": npy(np.array([{}, []], dtype=object))}),
        "text array": raw_npz(arrays | {"x.npy": npy(np.array(["a", "b"]))}),
        "complex array": raw_npz(arrays | {"x.npy": npy(np.ones((30, 2), complex))}),
        "structured array": raw_npz(arrays | {"x.npy": npy(np.zeros(30, [("a", "f4")]))}),
        "dates": raw_npz(arrays | {"y.npy": npy(np.zeros(30, "M8[s]"))}),
        "header runs code": raw_npz(arrays | {"x.npy": npy_header("{'descr': __import__('os').getcwd()}")}),
        "header nests deep": raw_npz(arrays | {"x.npy": npy_header("(" * 9_000)}),
        "header too long": raw_npz(arrays | {"x.npy": npy_header(" " * 60_000)}),
        "header without shape": raw_npz(arrays | {"x.npy": npy_header("{'descr': '<f4', 'fortran_order': False}")}),
        "header with a negative shape": raw_npz(arrays | {"x.npy": x.replace(b"(30, 4)", b"(-3, 4)")}),
        "header declares more": raw_npz(arrays | {"x.npy": x.replace(b"(30, 4)", b"(90, 4)")}),
        "header declares less": raw_npz(arrays | {"x.npy": x.replace(b"(30, 4)", b"(10, 4)")}),
        "unknown version": raw_npz(arrays | {"x.npy": x[:6] + b"\x09" + x[7:]}),
        "member without magic": raw_npz(arrays | {"x.npy": b"no numpy here at all"}),
        "empty member": raw_npz(arrays | {"x.npy": b""}),
        "path member": raw_npz(arrays | {"../../x.npy": x}),
        "packed with lzma": raw_npz(arrays, zipfile.ZIP_LZMA),
        "boolean of twos": raw_npz(arrays | {"val_mask.npy": npy(graph()["val_mask"])[:-30] + b"\x02" * 30}),
    }
    return {name: {"graph.npz": content} for name, content in variants.items()}


def wrong_safetensors() -> dict[str, Files]:
    good = safetensors(graph())["graph.safetensors"]
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    variants: dict[str, bytes] = {
        "empty": b"",
        "seven bytes": b"1234567",
        "cut in half": good[: len(good) // 2],
        "header longer than file": (2**60).to_bytes(8, "little") + b"{}",
        "header not JSON": raw_safetensors(b"{'x'"),
        "header not UTF-8": raw_safetensors(b'{"\xff\xfe": 1}'),
        "header a list": raw_safetensors([1, 2]),
        "header nests deep": raw_safetensors(b"[" * 50_000),
        "entry a number": raw_safetensors({"x": 3}),
        "type unknown": raw_safetensors({"x": entry | {"dtype": "F8_E4M3"}}, bytes(16)),
        "type a list": raw_safetensors({"x": entry | {"dtype": ["F32"]}}, bytes(16)),
        "shape negative": raw_safetensors({"x": entry | {"shape": [-2, -2]}}, bytes(16)),
        "shape of floats": raw_safetensors({"x": entry | {"shape": [2.0, 2.0]}}, bytes(16)),
        "shape of truth": raw_safetensors({"x": entry | {"shape": [True, 4]}}, bytes(16)),
        "shape overflows": raw_safetensors({"x": entry | {"shape": [2**62, 0]}}, bytes(16)),
        "shape of 800 GB": raw_safetensors({"x": entry | {"shape": [10**11, 2]}}, bytes(16)),
        "offsets outside": raw_safetensors({"x": entry | {"data_offsets": [8, 24]}}, bytes(16)),
        "offsets backwards": raw_safetensors({"x": entry | {"data_offsets": [16, 0]}}, bytes(16)),
        "offsets missing": raw_safetensors({"x": {"dtype": "F32", "shape": [2, 2]}}, bytes(16)),
    }
    return {name: {"graph.safetensors": content} for name, content in variants.items()}


def wrong_csv() -> dict[str, Files]:
    good = csv(graph())
    edges, features = good["edges.csv"], good["features.csv"]
    pairs: dict[str, tuple[bytes, bytes]] = {
        "both empty": (b"", b""),
        "edges twice": (edges, edges),
        "features twice": (features, features),
        "no header": (edges.split(b"\n", 1)[1], features),
        "semicolons": (edges.replace(b",", b";"), features),
        "edges with weights": (edges.replace(b"\n", b",1\n"), features),
        "header alone": (b"source,target\n", features),
        "features header alone": (edges, features.split(b"\n")[0]),
        "word in the edges": (edges + b"three,4\n", features),
        "fraction in the edges": (edges + b"1.5,4\n", features),
        "exponent in the edges": (edges + b"1e0,4\n", features),
        "node beyond int64": (edges + b"99999999999999999999,4\n", features),
        "missing cell": (edges + b"3,\n", features),
        "ragged": (edges + b"3,4,5\n", features),
        "word in the features": (edges, features.replace(b"0.", b"zero.", 1)),
        "feature beyond float32": (edges, features.replace(b"0.", b"1e60", 1)),
        "no column y": (edges, features.replace(b"y,", b"label_of_mine,", 1)),
        "column twice": (edges, features.replace(b"f0,f1", b"f0,f0", 1)),
        "nodes out of order": (edges, features.replace(b"f0", b"node", 1)),
        "UTF-16": ("source,target\n1,2\n".encode("utf-16"), features),
        "NUL bytes": (edges + b"\x00,\x00\n", features),
        "formula": (edges, features + b"\n=cmd|' /C calc'!A0,1,0,0,0,0,0,0"),
        "Excel": (b"PK\x03\x04" + bytes(100), features),
        "latin-1": (edges, features.replace(b"f0", "größe".encode("latin-1"))),
    }
    return {name: {"a.csv": a, "b.csv": b} for name, (a, b) in pairs.items()}


def corpus() -> dict[str, Files]:
    """Name of what is wrong -> files."""
    files = {f"npz: {name}": npz(arrays) for name, arrays in (wrong_graphs() | wrong_arrays()).items()}
    files |= {f"safetensors: {name}": safetensors(a) for name, a in (wrong_graphs() | wrong_arrays()).items()}
    files |= {f"csv: {name}": csv(arrays) for name, arrays in wrong_graphs().items()}
    files |= {f"npz: {name}": given for name, given in wrong_npz().items()}
    files |= {f"safetensors: {name}": given for name, given in wrong_safetensors().items()}
    files |= {f"csv: {name}": given for name, given in wrong_csv().items()}
    return files
