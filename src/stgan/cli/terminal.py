"""What commands share: consoles, tables, checks of options, and registration."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from inspect import Parameter, Signature, cleandoc, signature
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from stgan.errors import Interrupted, StganError
from stgan.manifest import MANIFEST
from stgan.names import escaped, quoted

if TYPE_CHECKING:
    from stgan.video import ClipFolder

Function = TypeVar("Function", bound=Callable[..., None])


class _Plain(Console):
    """Prints text as it is, with unprintable characters escaped: names of files may look like markup, or be commands
    to the terminal.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escaped(text), **options)


def new_console(*, soft_wrap: bool = False, quiet: bool = False) -> Console:
    """The console of a command. Its text may hold names from files."""
    return _Plain(markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap, quiet=quiet)


def new_table(*columns: str, left: int = 1, title: str | None = None) -> Table:
    """A table with these columns. The first `left` ones are aligned to the left, all others to the right."""
    table = Table(title=title)
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position < left else "right")
    return table


def read_clips(
    console: Console, root: Path, *, csv: str | None = None, split_column: str = "split", ucf_split: int = 1
) -> "ClipFolder":
    """The clips of a folder (`stgan.video.find_clips`). What is left out of it is printed."""
    from stgan.video import find_clips

    clips = find_clips(root, csv=csv, split_column=split_column, ucf_split=ucf_split)
    for note in clips.notes:
        print_note(console, note)
    return clips


def print_note(console: Console, note: str) -> None:
    """Print a sentence that a user should know about the input, which is used nevertheless."""
    print_paragraph(console, f"note: {note}", style="yellow")


def print_paragraph(console: Console, text: str, style: str | None = None) -> None:
    """Print text that a terminal breaks between words, and a file or another program gets as one line."""
    console.print(text, soft_wrap=not console.is_terminal, style=style)


class _Command(TyperCommand):
    """Refuses empty texts, which scripts pass for variables that are not set: an empty path is the current folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for before, argument in pairwise(["", *args]):
            if argument == "" or re.fullmatch(r"--[\w-]+=", argument):
                given = argument or before  # "--out=", or "--out" before ""
                option = given.rstrip("=") if given.startswith("--") else "an argument"
                raise StganError(f"{option} is empty and names nothing; give a value, or leave it away")
        return super().parse_args(ctx, args)


def command(app: typer.Typer, name: str, *examples: str) -> Callable[[Function], Function]:
    """Register a function as a command with this name. Its help ends with the examples, which are commands to type.

    The fields of a parameter that is a dataclass are options of their own.
    """

    def register(function: Function) -> Function:
        paragraphs = cleandoc(function.__doc__ or "").split("\n\n")
        app.command(
            name,
            cls=_Command,
            help="\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs),
            epilog="\n\n".join(("Examples:", *examples)),
        )(_with_single_options(function))
        return function

    return register


def _with_single_options(function: Callable[..., None]) -> Callable[..., None]:
    """The function, called with the fields of its parameters that are dataclasses instead of these."""
    given = signature(function).parameters
    groups: dict[str, Any] = {name: each.annotation for name, each in given.items() if is_dataclass(each.annotation)}
    if not groups:
        return function

    def call(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        function(**values)

    single: list[Parameter] = []
    for name, each in given.items():
        inner = fields(groups[name]) if name in groups else ()
        single += [Parameter(one.name, each.KEYWORD_ONLY, default=one.default, annotation=one.type) for one in inner]
        single += [] if inner else [each.replace(kind=each.KEYWORD_ONLY)]
    call.__signature__ = Signature(single)  # type: ignore[attr-defined]
    return call


@contextmanager
def on_interrupt(sentence: str) -> Iterator[None]:
    """Ctrl-C in the block ends the command with this sentence, which says what is kept and how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(sentence) from None


def check_range(option: str, value: int | float | None, least: int | float, most: int | float) -> None:
    """StganError unless the value of an option is None or in a range."""
    if value is not None and not least <= value <= most:
        raise StganError(f"{option} must be at least {least} and at most {most}, not {value}")


def check_needed(needed: str, given: object, options: Mapping[str, object]) -> None:
    """StganError if one of these options has a value, but the option that it belongs to has none."""
    name = next((name for name, value in options.items() if value is not None), None)
    if name and not given:
        raise StganError(f"{name} has no effect without {needed}; give {needed} too, or leave {name} away")


def check_outputs(files: Mapping[str, Path | None]) -> None:
    """StganError unless each of these files can be written, by the options that name them, and none is named twice."""
    named: dict[Path, str] = {}
    for option, path in files.items():
        check_output(option, path)
        if path and (other := named.setdefault(path.absolute(), option)) != option:
            raise StganError(f"{other} and {option} name the same file, {quoted(path)}; give another name")


def check_output(option: str, path: Path | None) -> None:
    """StganError unless a file can be written to this path. A link or a device is refused, as it would be replaced."""
    if path is None:
        return
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise StganError(f"{option} {quoted(path)} is not a regular file; give the name of a file")
    if path.name == MANIFEST:
        raise StganError(
            f"{option} {quoted(path)} has the name of a manifest, which describes clips; give another name"
        )
    if not path.parent.is_dir():
        raise StganError(f"{option} {quoted(path)} is in a folder that does not exist; name a file in another folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StganError(f"{option} {quoted(path)} cannot be written; name a file in another folder")


def write_json(path: Path | None, values: Any) -> None:
    """Write the results of a command to the file of --json, if there is one."""
    if path is not None:
        from stgan.records import write_record  # pydantic is slow to load

        write_record(path, values)
