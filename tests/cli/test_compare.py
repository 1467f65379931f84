"""`stgan compare` as a user meets it: tables, files, a page, and one sentence for what is wrong."""

import csv
import io
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generator_comparisons import comparison
from generator_folders import make_generator
from rich.console import Console

from stgan.cli.compare import show_comparison
from stgan.scoring import Rules, read_generator_comparison


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("generators")
    return [make_generator(root / "calm"), make_generator(root / "flickering", flicker=40)]


def test_a_comparison_in_every_form(
    stgan: Any, folders: list[Path], tiny_model: Path, tiny_clips: Path, tmp_path: Path
) -> None:
    files = {option: tmp_path / f"c.{option}" for option in ("json", "csv", "latex", "markdown")}
    given = [word for option, path in files.items() for word in (f"--{option}", path)]
    arguments = ("compare", *folders, "--model", tiny_model, "--real", tiny_clips, "--out", tmp_path / "page", *given)
    result = stgan.run(*arguments)
    assert result.returncode == 0 and not result.stderr, result.stderr
    for word in (
        "clear differences",
        "flicker",
        "12 clips of each generator, 4 of each of 3 actions",
        "needs no other",
    ):
        assert word in result.stdout
    found = read_generator_comparison(files["json"])
    assert found.best("flicker") == "calm" and [each.name for each in found.generators] == ["calm", "flickering"]
    with files["csv"].open() as file:
        lines = list(csv.DictReader(file))
    assert [line["generator"] for line in lines if line["metric"] == "flicker"] == ["calm", "flickering", "real clips"]
    assert r"\begin{tabular}{lrrr}" in files["latex"].read_text()
    assert "| flicker ↓ | **" in files["markdown"].read_text()
    assert "data:video/mp4" in (tmp_path / "page/index.html").read_text()
    assert stgan.run(*arguments).returncode == 0  # everything is replaced
    assert read_generator_comparison(files["json"]) == found
    help_ = stgan.run("compare", "--help").stdout
    assert "Examples" in help_ and "stgan compare motion robust paper" in help_


def test_without_real_clips_and_in_part(stgan: Any, folders: list[Path], tiny_model: Path, tmp_path: Path) -> None:
    result = stgan.run("compare", *folders, "--model", tiny_model, "--num", 6, "--no-cache")
    assert result.returncode == 0 and "too few to state differences" in result.stdout and "Fréchet" not in result.stdout


def test_features_in_place_of_clips(
    stgan: Any, folders: list[Path], tiny_model: Path, tiny_clips: Path, tmp_path: Path
) -> None:
    """Also of the real clips. What is paired stays so."""
    files = {folder.name: tmp_path / f"{folder.name}.features.safetensors" for folder in folders}
    real, model = tmp_path / "real.features.safetensors", ("--model", tiny_model)
    for folder in folders:
        save = ("--save-features", files[folder.name], "--save-real", real)
        assert stgan.run("evaluate", folder, *model, "--real", tiny_clips, *save).returncode == 0
    found = []
    for given, reference in ((folders, tiny_clips), (list(files.values()), real)):
        result = stgan.run("compare", *given, *model, "--real", reference, "--json", tmp_path / "c.json")
        assert result.returncode == 0, result.stderr
        found.append(read_generator_comparison(tmp_path / "c.json"))
    clips, features = found
    names = {path.name: folder for folder, path in files.items()}
    again = [
        replace(each, name=names[each.name], drawn_with=names[each.drawn_with], fooled=clips.generators[0].fooled)
        for each in features.generators
    ]
    assert tuple(again) == clips.generators and [each.drawn_with for each in clips.generators] == ["calm"] * 2
    assert features.real == clips.real
    part = stgan.run("compare", *files.values(), *model, "--num", 10)
    assert part.returncode == 0 and "10 clips of each" in part.stdout
    for arguments in ((*files.values(), "--out", tmp_path), (*folders, "--real", real, "--out", tmp_path)):
        refused = stgan.run("compare", *arguments, *model)
        assert refused.is_one_sentence and "holds measurements, which a page cannot show" in refused.stderr


def test_the_options_are_those_of_evaluate(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    """Files of tensors of which only an option says the axes, and other windows than the middle one."""
    rng = np.random.default_rng(0)
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for file in files:
        np.save(file, rng.integers(0, 256, (4, 3, 3, 16, 16)).astype(np.uint8))
    refused = stgan.run("compare", *files, "--model", tiny_model)
    assert refused.is_one_sentence and "state its --layout" in refused.stderr
    options = ("--layout", "BTCHW", "--window", "first", "--covariance", "n", "--real", files[0], "--neighbours", 1)
    result = stgan.run("compare", *files, "--model", tiny_model, *options, "--json", tmp_path / "c.json")
    assert result.returncode == 0, result.stderr
    rules = read_generator_comparison(tmp_path / "c.json").rules
    assert rules and (rules.window, rules.covariance, rules.neighbours) == ("first", "n", 1)
    of = {command: stgan.run(command, "--help").stdout for command in ("evaluate", "compare")}
    assert all(f"--{field.name.replace('_', '-')}" in text for text in of.values() for field in fields(Rules)
               if field.name in ("num", "real_window", "stride", "short", "resize", "epsilon", "splits"))  # fmt: skip


def test_clips_that_the_evaluator_steered(stgan: Any, tiny_model: Path, folders: list[Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    stgan.run("generate", "--model", tiny_model, "--num", 2, "--iterations", 2, "--out", made)
    arguments = ("compare", folders[0], made, "--model", tiny_model, "--evaluator", "lrcn")
    refused = stgan.run(*arguments)
    assert refused.returncode == 1 and refused.is_one_sentence and "'made': lrcn steered these clips" in refused.stderr
    result = stgan.run(*arguments, "--allow-fooled")
    assert result.returncode == 0 and "made (fooled)" in result.stdout and "Fooled: " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{first}",), "2 to 20 folders"),
        (("{first}", "{first}"), "given twice"),
        (("{first}", "nowhere"), "'nowhere' is not a folder"),
        (("{first}", "{other}"), "no action in common"),
        (("{first}", "{second}", "--evaluator", "encoder"), "encoder"),
        (("{first}", "{second}", "--splits", 13), "cannot be scored in 13 splits"),
        (("{first}", "{second}", "--num", 1), "two clips or more"),
        (("{first}", "{second}", "--num", 0), "--num must be"),
        (("{first}", "{second}", "--real-fps", 10), "--real-fps has no effect without --real"),
        (("{first}", "{second}", "--latex", "."), "--latex '.' is not a regular file"),
        (("{first}", "{second}", "--markdown", "no/such/file"), "does not exist"),
        (("{first}", "{second}", "--out", "{file}"), "is a file; give the name of a folder"),
        (("{first}", "{second}", "--out", "{taken}"), "is not a page"),
        (("{first}", "{damaged}"), "damaged"),
    ],
)
def test_mistakes(
    stgan: Any, arguments: tuple[Any, ...], message: str, folders: list[Path], tiny_model: Path, tmp_path: Path
) -> None:
    places = {"first": folders[0], "second": folders[1], "file": tmp_path / "file", "taken": tmp_path / "taken"}
    places |= {"other": tmp_path / "other", "damaged": tmp_path / "damaged"}
    places["file"].write_text("x")
    places["taken"].mkdir()
    (places["taken"] / "index.html").write_text("mine")
    make_generator(places["other"], num=1, actions=("swim",))
    shutil.copytree(folders[1], places["damaged"])
    next(iter(places["damaged"].glob("*/*.mp4"))).write_bytes(b"cut")
    result = stgan.run("compare", *(str(each).format(**places) for each in arguments), "--model", tiny_model)
    assert result.returncode == 1 and result.is_one_sentence and message in result.stderr, result.stderr
    assert (places["taken"] / "index.html").read_text() == "mine"


@pytest.mark.parametrize("number", [2, 3, 7])
def test_no_line_of_a_table_is_broken_at_80_columns(number: int) -> None:
    console = Console(markup=False, highlight=False, width=80, file=io.StringIO())
    show_comparison(console, comparison([f"generator_{i}" for i in range(number)]))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= 80 for line in lines if line[:1] in set("┏┡│├└"))
    assert sum("0.88*" in line for line in lines) == 1
    assert sum("\N{MINUS SIGN}0.500, 0.250" in line for line in lines) >= 1
