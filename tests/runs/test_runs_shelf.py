"""A shipped study's folder is replaced as a whole or stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from dqviz.errors import BadInput
from dqviz.runs import shelf


def write(target: Path, text: str, budget_bytes: int = 1_000) -> None:
    with shelf.replacing(target, budget_bytes, "It") as beside:
        (beside / "rows").mkdir()
        (beside / "rows" / "a.txt").write_text(text)
        (beside / shelf.STUDY).write_text("{}")


def read(target: Path) -> str:
    return (target / "rows" / "a.txt").read_text()


def test_a_new_folder_takes_the_place_of_the_old(tmp_path: Path) -> None:
    for text in ("first", "second"):
        write(tmp_path / "one", text)
        assert read(tmp_path / "one") == text
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert shelf.size_of(tmp_path / "one") == len("second{}")


def test_what_goes_wrong_leaves_the_old(tmp_path: Path) -> None:
    write(tmp_path / "one", "first")
    with pytest.raises(BadInput, match="It takes 10 bytes; the budget is 9"):
        write(tmp_path / "one", "in vain.", budget_bytes=9)
    with pytest.raises(OSError, match="disk full"), shelf.replacing(tmp_path / "one", 9, "It"):
        raise OSError("disk full")
    assert read(tmp_path / "one") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    write(tmp_path / "one", "first")
    (tmp_path / "one").rename(tmp_path / ".one.old")
    with pytest.raises(BadInput, match="the budget"):
        write(tmp_path / "one", "in vain", budget_bytes=1)
    assert read(tmp_path / "one") == "first"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    for target in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(BadInput, match="holds something else than a study; name a new folder"):
            write(target, "first")
    assert (tmp_path / "thesis.tex").read_text() == "years"
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "first")
