"""Names are data, never markup, formulas or code: one function for each place a name can land in."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from dqviz.runs.plain import dumps

# What our own plots write into labels; any other '<' comes from a name. Plotly turns text such as <a href=...> or <b>
# into elements, and entities back into characters.
OWN_TAGS = re.compile(r"(<br>|<br/>|<extra></extra>)")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n")
LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "–": "--", "×": r"$\times$", "±": r"$\pm$",
}  # fmt: skip
MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$])")


def readable(text: str) -> str:
    """Without control characters and marks that turn the direction of what follows."""
    return CONTROL.sub("", text)


def for_figure(value: Any) -> Any:
    """A plotly figure whose texts hold no markup but line breaks."""
    if isinstance(value, str):
        parts = OWN_TAGS.split(readable(value))
        return "".join(p if OWN_TAGS.fullmatch(p) else p.replace("<", "&lt;").replace(">", "&gt;") for p in parts)
    if isinstance(value, Mapping):
        return {str(key): item if key == "bdata" else for_figure(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [for_figure(item) for item in value]
    return value


def for_script(value: Any) -> str:
    """JSON that can stand inside a <script> element: no character that could end it or start another."""
    text = dumps(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def for_csv(value: Any) -> Any:
    """Text a spreadsheet could take for a formula gets an apostrophe in front; numbers are untouched."""
    if isinstance(value, str):
        value = value.replace("\x00", "")
        return f"'{value}" if value.startswith(FORMULA_START) else value
    return value


def for_latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in one_line(text))


def for_markdown(text: str) -> str:
    escaped = MARKDOWN.sub(r"\\\1", one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    # An address is no link to a renderer that makes links of bare ones.
    return escaped.replace("://", ":&#47;&#47;").replace("@", "&#64;").replace("www.", "www&#46;")


def one_line(text: str) -> str:
    return " ".join(readable(text).split())


def csp_hash(script: str) -> str:
    """The source expression that lets exactly this inline script run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
