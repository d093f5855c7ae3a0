"""A command line that cannot be read, as one message that names the choices."""

from __future__ import annotations

from typing import Any

import typer

from dqviz.errors import BadInput

ENDS = (".", "?", "!")


def refused(error: typer.TyperException, app: typer.Typer) -> BadInput:
    """What was wrong, then what could have been given: commands of a group, the option's own help, or all options."""
    context: typer.Context | None = getattr(error, "ctx", None)
    said = error.format_message().strip().split(" (Possible options:")[0]
    choices = getattr(getattr(error, "param", None), "help", None) or (_choices(context) if context else _help(app))
    return BadInput(f"{said if said.endswith(ENDS) else said + '.'} {choices}")


def is_help(error: typer.TyperException) -> bool:
    """Whether no command was given at all, for which the message is the help itself."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _choices(context: typer.Context) -> str:
    command: Any = context.command
    if hasattr(command, "list_commands"):
        return f"{context.command_path} has {', '.join(command.list_commands(context))}."
    return f"{context.command_path} takes {', '.join(part for param in command.params for part in _names(param))}."


def _help(app: typer.Typer) -> str:
    """Where the parser does not say which command it was reading."""
    return f"`{app.info.name} COMMAND --help` lists what a command takes."


def _names(param: Any) -> list[str]:
    options = [name for name in param.opts if name.startswith("-")]
    return options or [str(param.name).upper()]
