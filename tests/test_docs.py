"""What the docs say is so: commands have these options, examples would run, links lead somewhere."""

import importlib.util
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from vmfm.apps import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def test_the_page_of_commands_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("commands", ROOT / "docs" / "commands.py")
    commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(commands)
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), "run `make docs`"


@page
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        file, _, heading = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}, link


def commands_in(path):
    """The command lines of ours that a page shows: verb and arguments, without comments and pipes."""
    text = path.read_text(encoding="utf-8")
    lines = re.findall(r"^\$ (vmfm .+)$", text, re.MULTILINE) + re.findall(r"`(vmfm [a-z-]+ [^`]*)`", text)
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        if "VERB" not in words and "..." not in words:
            yield words


@page
def test_commands_have_the_options_that_pages_show(path):
    verbs = {entry.name for entry in entry_points(group=main.GROUP)}
    for name, *arguments in commands_in(path):
        if name.startswith("-"):
            continue
        assert name in verbs, name
        command = typer.main.get_command(main._assemble([name])).commands[name]
        if arguments and (own := getattr(command, "commands", {})):
            assert arguments[0] in own, (name, arguments)
            command = own[arguments[0]]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in arguments if re.match(r"--?[a-z]", word)} <= known, (name, arguments)
