"""The commands as a person or a script runs them: documents, exit codes, sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from dqviz.cli import app, main
from dqviz.runs.catalogue import read_catalogue
from dqviz.runs.ledger import Ledger
from dqviz.runs.presets import presets

LOOKS = (["doctor"], ["datasets"], ["methods"], ["archs"], ["catalog"], ["facts", "karate"], ["study", "list"])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_json_prints_one_document(command: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *command, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict | list)


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_without_json_people_get_lines(command: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert out.strip()
    assert not out.lstrip().startswith(("{", "["))


@pytest.mark.parametrize("what", ["datasets", "methods", "archs"])
def test_registries_give_a_name_and_a_summary(what: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = json.loads(run(capsys, what, "--json")[1])
    assert rows
    assert all(row["name"] and row["summary"].endswith(".") for row in rows)


def test_the_catalogue_is_one_that_the_app_reads(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = read_catalogue(json.loads(run(capsys, "catalog", "--json")[1]))
    assert {"cora", "digits-knn"} <= set(known.names("dataset"))
    assert {"fp32", "ptq", "qat", "dq"} <= set(known.names("method"))
    assert known.names("observer") == ["abs", "mom", "per"]
    assert known.row("method", "dq").schema["x-ascending"] == [["p_min", "p_max"]]


def test_doctor_hides_the_password_and_says_what_is_broken(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DQVIZ_DATABASE", "postgresql+psycopg://me:secret@localhost:1/ledger")
    code, out, _ = run(capsys, "doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["database"]["ok"] is False
    assert "secret" not in out
    assert {backend["name"] for backend in found["backends"]} >= {"reference", "numba"}
    assert {row["name"]: row["found"] for row in found["datasets"]}["karate"] is True
    assert found["quantizers"]["native"] is (found["quantizers"]["reason"] is None)


BAD = (
    (["study", "start", "--preset", "nope"], "cora-quick"),
    (["study", "start"], "cora-quick"),
    (["study", "start", "absent.yaml"], "cannot be read"),
    (["study", "start", "cora-quick"], "give it as --preset cora-quick"),
    (["train", "--dataset", "nope"], "digits-knn"),
    (["train", "--dataset", "karate", "--arch", "nope"], "gcn"),
    (["train", "--dataset", "karate", "--method", "nope"], "qat"),
    (["train", "--dataset", "karate", "--bits", "5"], "2, 3, 4, 8, 16, 32"),
    (["train", "--dataset", "karate", "--bits", "eight"], "--bits"),
    (["train", "--dataset", "karate", "--set", "lr=-1"], "greater than 0"),
    (["train", "--dataset", "karate", "--set", "p_min=0.5"], "p_min must not be above p_max"),
    (["train", "--dataset", "karate", "--set", "colour=red"], "observer"),
    (["train", "--dataset", "karate", "--set", "nonsense"], "KEY=VALUE"),
    (["train", "--dataset", "karate", "--set", "wheel.size=3"], "arch"),
    (["train", "--dataset", "karate", "--profile", "nope"], "integer"),
    (["train", "--dataset", "karate", "--epochs", "0"], "epochs"),
    (["facts", "nope"], "karate"),
    (["study", "show", "nope"], "choose one of"),
    (["study", "cancel", "nope"], "choose one of"),
    (["study", "cancel", "demo"], "nothing to cancel"),
    (["report", "nope", "--out", "x.html"], "choose one of"),
    (["worker", "--engine", "nope"], "local"),
    (["worker", "--address", "tcp://host:1"], "takes no address"),
    (["train", "--dataset", "karate", "--bits", "wieght=4"], "'wieght' is not a site"),
    (["nope"], "doctor, datasets, methods"),
    (["trian"], "Did you mean 'train'? dqviz has doctor"),
    (["train", "--json=1"], "COMMAND --help"),
    (["study", "nope"], "start, list, show, cancel, keep"),
    (["train"], "`dqviz datasets` lists them"),
    (["train", "--datset", "karate"], "--dataset, --arch"),
    (["train", "--dataset", "karate", "--threads", "two"], "Threads of the run's process"),
    (["facts", "karate", "cora"], "DATASET, --set"),
    (["bench", "inference", "--arch", "nope", "--graph", "heavy-1k"], "gcn"),
    (["bench", "kernels", "--bits", "5"], "2, 3, 4, 8"),
)


@pytest.mark.parametrize(
    ("command", "words"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_one_sentence_and_stores_nothing(
    command: list[str], words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *command, "--json")
    sentence = json.loads(out)["error"]
    assert code == 2
    assert words in sentence
    assert "\n" not in sentence
    assert sentence in err
    assert Ledger().runs() == []


def test_no_command_at_all_gets_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert "Commands:" in err


def test_ctrl_c_says_that_runs_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dqviz.cli.health.health", interrupt)
    code, out, err = run(capsys, "doctor", "--json")
    assert code == 130
    assert "Ctrl-C" in json.loads(out)["error"]
    assert "Ctrl-C" in err


def test_an_input_that_ends_early_is_no_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end() -> None:
        raise EOFError("Compressed file ended before the end-of-stream marker was reached")

    monkeypatch.setattr("dqviz.cli.health.health", end)
    code, _, err = run(capsys, "doctor")
    assert code == 1
    assert "end-of-stream" in err


def test_an_empty_list_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("datasets: [karate]\narchs: [gcn]\nmethods: []\n")
    code, _, err = run(capsys, "study", "start", str(file))
    assert code == 2
    assert "Choose at least one method." in err
    assert Ledger().studies() == []


def test_a_very_large_study_asks_first(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("datasets: [karate]\narchs: [gcn]\nmethods: [qat]\nbits: [8]\nseeds: 2001\n")
    code, _, err = run(capsys, "study", "start", str(file))
    assert code == 2
    assert "2,001 runs" in err
    assert "--yes" in err
    assert Ledger().studies() == []
    code, out, _ = run(capsys, "study", "start", str(file), "--yes", "--json")
    assert code == 0
    assert json.loads(out)["runs"] == 2001


def test_start_list_show_cancel(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: Two\ndatasets: [karate]\narchs: [gcn]\nmethods: [qat]\nbits: [8, 4]\n")
    started = json.loads(run(capsys, "study", "start", str(file), "--json")[1])
    again = json.loads(run(capsys, "study", "start", str(file), "--json")[1])
    assert again["study_id"] == started["study_id"]
    listed = json.loads(run(capsys, "study", "list", "--json")[1])
    assert [row["name"] for row in listed if row["study_id"] == started["study_id"]] == ["Two"]
    shown = json.loads(run(capsys, "study", "show", started["study_id"], "--json")[1])
    promised = {"run_id", "state", "dataset", "arch", "method", "bits", "profile", "seed", "val_accuracy",
                "test_accuracy", "test_accuracy_integer", "epochs", "epoch_ms_median", "wall_s", "error"}  # fmt: skip
    assert all(promised <= set(row) for row in shown["rows"])
    cancelled = json.loads(run(capsys, "study", "cancel", started["study_id"], "--json")[1])
    assert cancelled["cancelled"] == 2
    assert {row.state for row in Ledger().runs()} == {"cancelled"}


def test_what_a_library_prints_does_not_reach_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    from dqviz.cli.output import emit, only_documents

    with only_documents(as_json=True):
        print("Processing...")
        emit({"accuracy": float("nan"), "path": Path("x")}, as_json=True)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"accuracy": None, "path": "x"}
    assert "Processing..." in captured.err


def names(command: Any, path: str = "") -> list[list[str]]:
    """Every command of the program, as the words that call it."""
    if not hasattr(command, "commands"):
        return [path.split()]
    return [words for name, one in command.commands.items() for words in names(one, f"{path} {name}")]


@pytest.mark.parametrize("words", names(typer.main.get_command(app)), ids=" ".join)
def test_each_command_has_help_and_json(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *words, "--help")
    assert code == 0
    assert "--json" in out
    assert len([line for line in out.splitlines() if line.strip()]) > 3


def test_every_preset_is_named_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    out = " ".join(run(capsys, "study", "start", "--help")[1].split())
    assert all(name in out.replace("- ", "-") for name in presets())
