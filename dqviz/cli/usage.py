"""A command line that cannot be read, as one sentence that names the choices."""

from __future__ import annotations

from typing import Any

import typer

from dqviz.errors import BadInput


def refused(error: typer.TyperException) -> BadInput:
    """What was wrong, then what could have been given: commands of a group, the option's own help, or all options."""
    context: typer.Context | None = getattr(error, "ctx", None)
    param = getattr(error, "param", None)
    said = error.format_message().strip()
    choices = getattr(param, "help", None) or (_choices(context) if context else "")
    return BadInput(f"{said.split(' (Possible options:')[0].rstrip('.')}. {choices}".strip())


def is_help(error: typer.TyperException) -> bool:
    """Whether no command was given at all, for which the message is the help itself."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _choices(context: typer.Context) -> str:
    command: Any = context.command
    if hasattr(command, "list_commands"):
        return f"{context.command_path} has {', '.join(command.list_commands(context))}."
    return f"{context.command_path} takes {', '.join(part for param in command.params for part in _names(param))}."


def _names(param: Any) -> list[str]:
    options = [name for name in param.opts if name.startswith("-")]
    return options or [str(param.name).upper()]
