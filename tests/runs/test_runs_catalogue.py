"""The catalogue is made once per state of the code, and refuses what the settings classes refuse."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from runs_tools import spec

from dqviz.errors import BadInput, Unavailable
from dqviz.registry import Entry, Registry, Settings
from dqviz.runs import catalogue as module
from dqviz.runs.catalogue import Catalogue, check, read_catalogue


class Protected(Settings):
    ascending: ClassVar[tuple[tuple[str, str], ...]] = (("p_min", "p_max"),)
    p_min: float = Field(default=0.0, ge=0, le=1)
    p_max: float = Field(default=0.2, ge=0, le=1)


METHODS: Registry[object] = Registry("method")
METHODS.add(Entry("qat", "Simulated quantization while training.", object, Protected, cites=("jacob2018",)))


def known() -> Catalogue:
    plain = {"summary": "One.", "schema": Settings.schema_of()}
    methods = [{"name": e.name, "summary": e.summary, "schema": e.settings.schema_of(), "cites": list(e.cites),
                "facts": {}} for e in METHODS]  # fmt: skip
    return read_catalogue({"datasets": [{"name": "karate", **plain}], "archs": [{"name": "gcn", **plain}],
                           "methods": json.loads(json.dumps(methods))})  # fmt: skip


def test_rows_by_kind() -> None:
    assert known().names("method") == ["qat"]
    assert known().row("method", "qat").cites == ("jacob2018",)
    assert known().rows("observer") == ()
    with pytest.raises(BadInput, match="Unknown architecture 'x'; choose one of: gcn"):
        known().row("arch", "x")


def test_defaults_of_a_setting_are_of_those_that_have_it() -> None:
    assert known().defaults("method", "p_max") == {"qat": 0.2}
    assert known().defaults("arch", "layers") == {}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"dataset": "x"}, "Unknown data set 'x'; choose one of: karate."),
        ({"arch": "x"}, "Unknown architecture 'x'; choose one of: gcn."),
        ({"method": "x"}, "Unknown method 'x'; choose one of: qat."),
        (
            {"method_settings": {"p": 1}},
            "Settings of method 'qat': unknown setting 'p'; its settings are: p_min, p_max.",
        ),
        ({"arch_settings": {"p": 1}}, "Settings of architecture 'gcn': unknown setting 'p'; its settings are: none."),
        ({"method_settings": {"p_min": 2}}, "Settings of method 'qat': p_min: 2 is greater than the maximum of 1."),
        ({"method_settings": {"p_min": "a"}}, "Settings of method 'qat': p_min: 'a' is not of type 'number'."),
        ({"method_settings": {"p_min": 0.5}}, "Settings of method 'qat': p_min must not be above p_max (0.5 > 0.2)."),
        ({"dataset": "upload-0123456789ab"}, "There is no upload 'upload-0123456789ab' here; uploads: none yet."),
    ],
)
def test_bad_input_is_one_sentence(home: Path, values: dict[str, Any], sentence: str) -> None:
    given_spec = spec().model_copy(update=values)
    with pytest.raises(BadInput) as caught:
        check(given_spec, known())
    assert str(caught.value) == sentence


@given(st.dictionaries(st.sampled_from(["p_min", "p_max"]), st.floats(-0.5, 1.5)))
def test_check_and_the_settings_class_agree(settings: dict[str, float]) -> None:
    """The same values pass or fail in the web process (schema) and in the job (class)."""
    verdicts = []
    for judge in (
        lambda: check(spec().model_copy(update={"method_settings": settings}), known()),
        lambda: METHODS.settings("qat", settings),
    ):
        try:
            judge()
            verdicts.append(True)
        except BadInput:
            verdicts.append(False)
    assert verdicts[0] == verdicts[1]


@pytest.fixture
def package(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one file, and a command that counts how often the catalogue is made."""
    folder = tmp_path / "package" / "dqviz"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("1")
    code = f"open({str(tmp_path / 'made')!r}, 'a').write('x'); print('{{\"methods\": []}}')"
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr(module, "package_dir", lambda: folder)
    module._read.cache_clear()
    return folder


def test_it_is_made_again_only_when_the_code_has_changed(package: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for _ in range(3):
        assert module.catalogue().methods == ()
    module._read.cache_clear()  # as a new process would find it
    module.catalogue()
    assert made.read_text() == "x"
    (package / "a.py").write_text("12")
    module.catalogue()
    assert made.read_text() == "xx"


def test_a_command_that_fails_is_told_and_leaves_nothing(
    package: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", "raise SystemExit('no torch here')"))
    with pytest.raises(Unavailable, match=r"The catalogue could not be made: no torch here"):
        module.catalogue()
    assert not list((home / "cache").glob("catalog-*"))
