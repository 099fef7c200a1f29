"""The command `vmfm`, assembled from the verbs that the installed parts bring (entry points `vmfm.commands`).

Only the verb that is called gets imported; the others are listed by the first line of their docstrings, read from
source, so that help is quick and also complete where an extra is missing.
"""

import ast
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

GROUP = "vmfm.commands"
COMPLETING = "_VMFM_COMPLETE"  # set by the scripts of --install-completion
SUMMARY = "Matte people, and what they hold, out of video in real time."


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit: 0 when it worked, 1 with one sentence on stderr when not, 130 on Ctrl-C, 128 and the number of
    the signal when told to end.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # like stderr: file names need not be text
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no terminals that hang up
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _end)  # unwinds like Ctrl-C, so that nothing half-written stays behind
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit status. Errors that are not for users keep their traceback."""
    try:
        command = typer.main.get_command(_assemble(arguments))
        return command(args=list(arguments) or ["--help"], prog_name="vmfm", standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        return _tell("stopped", 130)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "vmfm":
            raise
        return _tell(_missing(error.name or str(error), arguments), 1)
    except Exception as error:
        if getattr(error, "user_facing", False):
            return _tell(" ".join(str(error).split()), 1)
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of the command line parser
            error.show()
            return error.exit_code
        raise


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


def _assemble(arguments: Sequence[str]) -> typer.Typer:
    app = typer.Typer(help=SUMMARY, rich_markup_mode=None)
    app.callback()(_root)
    wanted = next((word for word in _words(arguments) if not word.startswith("-")), None)
    for verb in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if verb.name != wanted:
            line = _first_line(verb)
            app.command(verb.name, help=line, short_help=line)(_not_loaded)
        elif isinstance(loaded := verb.load(), typer.Typer):
            app.add_typer(loaded, name=verb.name)
        else:
            app.command(verb.name)(loaded)
    return app


def _words(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments or, while a shell asks how to go on with a line, those on the line so far."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS")
    return line.split()[1:] if COMPLETING in os.environ and line else arguments


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"vmfm {version('vmfm')}")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of `vmfm` itself."""


def _not_loaded() -> None:
    """Stands for a verb that is listed, not called."""


def _first_line(verb: EntryPoint) -> str:
    """The first line of the docstring of the function behind a verb, without importing its module; of a group of verbs,
    which is a module of its own, that of the module."""
    spec = find_spec(verb.module)
    if spec is None or spec.origin is None:
        return "(not installed)"
    module = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    functions = (node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == verb.attr)
    return (ast.get_docstring(next(functions, module)) or "").partition("\n")[0]


def _missing(module: str, arguments: Sequence[str]) -> str:
    """The sentence for a module that is not there: which extra of ours brings it."""
    package = module.split(".")[0]
    verb = next((argument for argument in arguments if not argument.startswith("-")), "this")
    extra = _extra_with(package)
    install = f"vmfm[{extra}]" if extra else package
    return f"`vmfm {verb}` needs {package}, which is not installed: pip install '{install}'"


def _extra_with(package: str) -> str | None:
    """The first extra that brings a package; None where no extra does, or the base installation should have."""
    for requirement in requires("vmfm") or ():  # those of the base come first
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if name and _squash(name[0]).startswith(_squash(package)) and not (extra and extra[1] == "dev"):
            return extra[1] if extra else None
    return None


def _squash(name: str) -> str:
    """Distribution and module names in one spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _tell(sentence: str, status: int) -> int:
    print(f"vmfm: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
