"""The command line. `--json` on every command prints one JSON document on stdout; everything else goes to stderr.

Exit codes: 0 only on success, 2 for bad input (the message lists the choices), 130 after Ctrl-C, 1 for anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from dqviz.cli import bench, look, measure, output, report, reproduce, search, study, train, usage, work
from dqviz.errors import BadInput, DqvizError

app = typer.Typer(
    name="dqviz", help=(__doc__ or "").splitlines()[0], no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
for _command in (look.doctor, look.datasets, look.methods, look.archs, look.catalog, look.facts, train.train,
                 search.search, reproduce.reproduce, measure.measure, work.worker, work.demo,
                 report.report):  # fmt: skip
    app.command()(_command)
app.add_typer(study.app, name="study")
app.add_typer(bench.app, name="bench")
CTRL_C = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with output.only_documents(as_json="--json" in given):
        try:
            code: int = app(args=given, prog_name="dqviz", standalone_mode=False) or 0
            return interrupted() if code == CTRL_C else code
        except typer.TyperException as error:
            if usage.is_help(error):
                output.say(error.format_message())
                return 2
            return output.complain(usage.refused(error, app), 2)
        except BadInput as error:
            return output.complain(error, 2)
        except (DqvizError, OSError) as error:
            return output.complain(error, 1)
        except typer.Abort as error:  # what typer makes of an end of file
            return output.complain(DqvizError(f"Stopped: {error.__cause__ or 'the input ended'}."), 1)
        except KeyboardInterrupt:
            return interrupted()


def interrupted() -> int:
    """typer makes an exit code of Ctrl-C, which says nothing to a person."""
    return output.complain(DqvizError("Stopped by Ctrl-C; runs that were started go on."), CTRL_C)
