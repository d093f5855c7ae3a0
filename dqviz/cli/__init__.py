"""The command line: `python -m dqviz`, or `dqviz` where the package is installed."""

from dqviz.cli.program import app, main

__all__ = ["app", "main"]
