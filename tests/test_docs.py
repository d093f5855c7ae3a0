"""The documents tell the truth: every name that is registered stands in the README, every file they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from dqviz.cli import app
from dqviz.report.bibliography import plain, references
from dqviz.runs.presets import Product, presets, study_of

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def registered() -> list[tuple[str, str]]:
    from dqviz.data.loading import DATASETS
    from dqviz.methods import METHODS
    from dqviz.nn import ARCHS

    return [(registry.kind, entry.name) for registry in (METHODS, ARCHS, DATASETS) for entry in registry]


def test_every_registered_name_stands_in_a_table_of_the_readme() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `")]
    shown = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}
    missing = [name for _, name in registered() if name not in shown]
    assert not missing


def test_every_citation_key_has_an_entry() -> None:
    from dqviz.data.loading import DATASETS
    from dqviz.methods import METHODS
    from dqviz.nn import ARCHS

    entries = [entry for registry in (METHODS, ARCHS, DATASETS) for entry in registry]
    cited = {key for entry in entries for keys in (entry.cites, *entry.cites_where.values()) for key in keys}
    assert cited <= set(references())


@pytest.mark.parametrize("key", references())
def test_every_entry_reads_as_text(key: str) -> None:
    text = plain(references()[key])
    assert re.search(r"\b(19|20)\d\d\b", text)
    assert not set("{}\\") & set(text)


def test_every_command_stands_in_the_readme() -> None:
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        words = [f"{name} {inner}" for inner in command.commands] if hasattr(command, "commands") else [name]
        assert all(f"`dqviz {one}" in README for one in words), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_documents_link_to_exist(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)\)", path.read_text())
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (path.parent / link).exists()]


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "studies.md"], ids=lambda path: path.name)
def test_files_that_documents_name_exist(path: Path) -> None:
    named = re.findall(r"`((?:dqviz|assets|docs|tests|pages)/[\w./-]+)`", path.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


def test_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([\w-]+)", README))
    assert named - {"test"} <= targets


def test_the_study_format_is_described_entry_by_entry() -> None:
    text = (ROOT / "docs" / "studies.md").read_text()
    assert not [name for name in [*Product.model_fields, "parts", "runs", "name"] if f"`{name}`" not in text]
    assert not [name for name in presets() if f"`{name}`" not in text]


def test_the_example_study_is_what_its_sentence_says() -> None:
    text = (ROOT / "docs" / "studies.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    study = study_of(yaml.safe_load(example.group(1)))
    assert f"This one is {len(study.runs)} runs" in text
