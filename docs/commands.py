"""Writes docs/commands.md, every verb with its options as the code has them: `make docs`."""

import inspect
from collections.abc import Iterator
from enum import Enum
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from typer import Typer
from typer.models import OptionInfo

PAGE = Path(__file__).with_name("commands.md")
INTRODUCTION = """# Commands

Made by `make docs` from the code; `vmfm VERB --help` shows the same. After `vmfm --install-completion` the Tab key completes it.
"""


def page() -> str:
    """The whole page as Markdown."""
    verbs = sorted(entry_points(group="vmfm.commands"), key=lambda entry: entry.name)
    return "\n".join([INTRODUCTION, *(_section(*named) for verb in verbs for named in _named(verb.name, verb.load()))])


def _named(name: str, verb: Any) -> Iterator[tuple[str, Any]]:
    """A verb with its name or, of a group, each."""
    if not isinstance(verb, Typer):
        yield name, verb
        return
    for command in verb.registered_commands:
        assert command.callback is not None
        yield f"{name} {command.name or command.callback.__name__}", command.callback


def _section(name: str, verb: Any) -> str:
    text, _, example = inspect.cleandoc(verb.__doc__).partition("Example: ")
    parameters = inspect.signature(verb, eval_str=True).parameters.values()
    table = "\n".join(["| | |", "|---|---|", *map(_row, parameters)]) + "\n" if parameters else ""
    return f"## vmfm {name}\n\n{text.strip()}\n\n```console\n$ {example.strip()}\n```\n\n{table}"


def _row(parameter: inspect.Parameter) -> str:
    kind, told = parameter.annotation.__origin__, parameter.annotation.__metadata__[0]
    name = (
        "`, `".join(_names(parameter, told)) if isinstance(told, OptionInfo) else told.metavar or parameter.name.upper()
    )
    text = " ".join([*(told.help or "").split(), *_default(parameter, kind, told)])
    return f"| `{name}` | {text.replace('|', chr(92) + '|')} |"


def _names(parameter: inspect.Parameter, told: OptionInfo) -> list[str]:
    """What an option is called, the shortest first. The first of the names that are given stands where a default can."""
    given = [name for name in (told.default, *(told.param_decls or ())) if isinstance(name, str)]
    plain = parameter.name.strip("_").replace("_", "-")
    switch = parameter.default is True  # what is on can be switched off
    return sorted(given, key=len) or [f"--{plain}", *([f"--no-{plain}"] if switch else [])]


def _default(parameter: inspect.Parameter, kind: Any, told: Any) -> Iterator[str]:
    """What may be given, and what it is where nothing is."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield "One of " + ", ".join(f"`{choice.value}`" for choice in kind) + "."
    default = parameter.default
    if told.show_default and default not in (parameter.empty, None, False):
        yield f"Default `{getattr(default, 'value', default)}`."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
