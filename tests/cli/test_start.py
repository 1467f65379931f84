"""How fast `stgan` starts: what is loaded before a command computes, and the options that stand for the library's."""

import os
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest

from stgan import defaults
from stgan.bench import machine
from stgan.checkpoints import importing
from stgan.cli import bench, options, select, weights_import
from stgan.devices import Precision
from stgan.sampling import PRESETS
from stgan.scoring import BATCH
from stgan.studies import selection

RUN = """
import sys
from stgan.cli.main import main
sys.argv = ["stgan", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(sys.modules), file=sys.stderr)
"""
COMMANDS = (
    "generate", "explain", "evaluate", "select", "augment", "report", "fooling", "info", "ablate", "train",
    "data check", "data compact", "data prepare", "weights list", "weights fetch", "weights info", "weights assemble",
    "weights export", "weights import", "bench generator", "bench generate", "bench paper-scale", "reproduce ucf101",
    "reproduce augmentation",
)  # fmt: skip


def run(code: str, *arguments: str) -> tuple[str, set[str]]:
    """What a new process prints, and the modules that it has loaded, which the code prints to standard error."""
    command, environment = [sys.executable, "-c", code, *arguments], {**os.environ, "COLUMNS": "200"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, set(ended.stderr.split())


def test_help_lists_every_command_and_loads_neither_torch_nor_numpy() -> None:
    shown, modules = run(RUN, "--help")
    assert all(f" {command.split()[0]} " in shown for command in COMMANDS)
    assert "stgan.cli.generate" in modules and not modules & {"torch", "numpy", "av", "matplotlib"}


def test_help_of_a_command_loads_no_torch() -> None:
    shown, modules = run(RUN, "info", "--help")
    assert "--layers" in shown and not modules & {"torch", "numpy"}


def test_info_loads_no_torch_and_no_weights(tiny_model: Path) -> None:
    shown, modules = run(RUN, "info", str(tiny_model))
    assert "evaluator (never steers)" in shown and "numpy" in modules
    assert "torch" not in modules and "stgan.checkpoints.checkpoint" not in modules


@pytest.mark.parametrize(
    "statement", ["import stgan", "import stgan.errors", "from stgan.checkpoints import find_model"]
)
def test_light_imports_load_no_torch(statement: str) -> None:
    _, modules = run(f"{statement}\nimport sys\nprint(*sys.modules, file=sys.stderr)")
    assert "stgan.version" in modules and "torch" not in modules


def test_the_model_class_is_loaded_on_demand() -> None:
    _, modules = run("from stgan import STGAN\nimport sys\nprint(STGAN.__module__, *sys.modules, file=sys.stderr)")
    assert {"stgan.pipeline", "torch"} <= modules


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_commands_to_type(command: str, stgan: Any) -> None:
    ended = stgan.run(*command.split(), "--help")
    assert ended.returncode == 0 and "Examples:" in ended.stdout, ended
    examples = ended.stdout.split("Examples:")[1]
    assert "stgan " in examples and not any(f"{word} {word}" in examples for word in ("stgan", "None"))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("generate", "--out", ""), "--out"),
        (("generate", "--out="), "--out"),
        (("generate", ""), "an argument"),
        (("generate", "left", ""), "an argument"),
        (("generate", "--preset", "", "left"), "--preset"),
        (("generate", "--device", ""), "--device"),
        (("evaluate", ""), "an argument"),
        (("evaluate", "clips", "--evaluator", ""), "--evaluator"),
        (("evaluate", "clips", "--features="), "--features"),
        (("select", "clips", "--real", ""), "--real"),
        (("augment", "--real", "clips", "--generated", "set", "--train-groups", ""), "--train-groups"),
        (("train", "all", "--set", ""), "--set"),
        (("weights", "fetch", "caffenet", "--out", ""), "--out"),
        (("data", "check", ""), "an argument"),
    ],
    ids=str,
)
def test_an_empty_text_is_refused(arguments: tuple[str, ...], name: str, stgan: Any, tmp_path: Path) -> None:
    ended = stgan.run(*arguments, cwd=tmp_path)
    assert ended.returncode == 1 and ended.is_one_sentence
    assert f"{name} is empty and names nothing; give a value" in ended.stderr and not list(tmp_path.iterdir())


def test_a_value_that_an_option_does_not_have_is_refused_and_the_others_named(stgan: Any) -> None:
    ended = stgan.run("bench", "paper-scale", "--precision", "tea")
    assert ended.returncode == 2 and all(name in ended.stderr for name in ("tea", "float32", "tf32", "bf16"))


def test_options_stand_for_what_the_library_has() -> None:
    assert tuple(PRESETS) == defaults.PRESETS
    assert get_args(get_args(options.Precision)[0]) == ("auto", *get_args(Precision))
    assert get_args(bench.MatmulPrecision) == get_args(machine.MatmulPrecision)
    assert tuple(importing.KINDS) == weights_import.KINDS and tuple(importing.POOL5) == weights_import.POOL5
    assert tuple(importing.PROTOCOLS) == weights_import.PROTOCOLS
    assert _default(select.select, "most") == selection.MOST
    assert get_args(get_args(signature(select.select).parameters["by"].annotation)[0]) == tuple(
        criterion.value for criterion in selection.Criterion
    )
    assert options.Scoring().batch_size == BATCH


def _default(function: Callable[..., None], name: str) -> object:
    return signature(function).parameters[name].default


@pytest.mark.parametrize(
    "error",
    ["MemoryError()", "OSError(12, 'Cannot allocate memory')", 'RuntimeError("can\'t start new thread")'],
)
def test_out_of_memory_ends_in_one_sentence(error: str) -> None:
    ended = raising(f"raise {error}")
    assert ended.returncode == 1 and ended.stderr.startswith("stgan: the system gives no more memory or threads;")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [(), ("-W", "default")])
def test_warnings_of_libraries_are_for_those_who_ask_for_them(options: tuple[str, ...]) -> None:
    ended = raising("import warnings; warnings.warn('lazy modules are a new feature', UserWarning)", *options)
    assert ended.returncode == 0 and ("lazy modules" in ended.stderr) == bool(options)


def test_the_sentence_of_an_error_holds_no_commands_to_the_terminal() -> None:
    ended = raising("from stgan.errors import StganError; raise StganError('a \\x1b[2J\\x9b\\nb')")
    assert ended.stderr == "stgan: a \\x1b[2J\\x9b b\n"


def raising(statement: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A process of `stgan` in which the command is this statement."""
    code = (
        "from stgan.cli import commands\nfrom stgan.cli.main import main\n"
        f"def app():\n    {statement}\ncommands.app = app\nmain()"
    )
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=120)
