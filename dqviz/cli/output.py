"""What a command prints: one JSON document, or a plain table; complaints and progress go to stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NoReturn, TextIO

import typer

from dqviz.runs.plain import clean, dumps

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Document = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class _Streams:
    """Where documents go: the stdout this command was started with."""

    stdout: TextIO | None = None
    as_json: bool = False


@contextlib.contextmanager
def only_documents(as_json: bool) -> Iterator[None]:
    """With `as_json`, whatever a library prints goes to stderr: stdout holds the document alone."""
    _Streams.stdout, _Streams.as_json = sys.stdout, as_json
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def emit(document: Document, as_json: bool, columns: Sequence[str] = ()) -> None:
    """Prints `document`; without `as_json` as a table of `columns` (a list) or as lines of name and value."""
    stream = _Streams.stdout or sys.stdout
    if as_json:
        text = dumps(document, indent=2)
    elif isinstance(document, Mapping):
        text = "\n".join(lines(document))
    else:
        text = "\n".join(table(document, columns))
    stream.write(text + "\n")
    stream.flush()


def complain(error: Exception, code: int) -> int:
    """The error's sentence on stderr, and with --json as a document on stdout. Returns `code`."""
    sentence = " ".join(str(error).split())
    sys.stderr.write(sentence + "\n")
    if _Streams.as_json:
        emit({"error": sentence}, as_json=True)
    return code


def fail(sentence: str) -> NoReturn:
    """Ends with exit code 1 after a document was printed: the sentence goes to stderr alone."""
    say(sentence)
    raise typer.Exit(1)


def say(sentence: str) -> None:
    """One line for a person, on stderr."""
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> list[str]:
    """Aligned columns with a heading; all keys of the first row when no columns are named."""
    if not rows:
        return ["(nothing)"]
    names = list(columns or rows[0])
    cells = [names, *([text(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def lines(document: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """`name: value` lines; maps and lists of maps are indented below their name."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{indent}{name}:"
            yield from (f"{indent}  {line}" for line in table(value))
        elif isinstance(value, list | tuple):
            yield f"{indent}{name}: {', '.join(text(item) for item in value)}"
        else:
            yield f"{indent}{name}: {text(value)}"


def text(value: Any) -> str:
    """A cell: four significant digits, '-' for nothing."""
    value = clean(value)
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
