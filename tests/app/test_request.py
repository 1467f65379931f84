"""What the page makes is what the command makes, and records of runs are not trusted."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from stgan.app.desk import Desk
from stgan.app.making import start
from stgan.app.request import RECORD, Request, as_request, read_request, write_request
from stgan.cli.commands import app
from stgan.errors import StganError
from stgan.files import sha256
from stgan.manifest import Manifest


@pytest.mark.parametrize(
    "asked",
    [
        {"actions": ("left",), "seed": 3, "iterations": 3},
        {"actions": ("left", "grow"), "num": 2, "preset": "robust", "iterations": 2, "condition": "lrcn"},
        {"preset": "spectral", "speed": "fast", "iterations": 2},
        {"target": "fc8", "condition": "lrcn", "iterations": 2, "preset": "robust"},
        {"actions": ("left",), "iterations": 3, "preset": "robust", "strength": 0.5},
    ],
)
def test_the_command_makes_the_same_clips(
    desk: Desk, tiny_clips: Path, tmp_path: Path, asked: dict[str, Any], unchecked: None
) -> None:
    folder = desk.new_run("made of <b>")
    start_from = str(tiny_clips / "grow" / "clip0.mp4") if "strength" in asked else None
    request = write_request(as_request(**({"model": "tiny", "condition": "both"} | asked)), folder, start_from)
    work = start(desk, request, folder)
    assert work.wait(120.0) and not work.error, work.error
    assert "<video" in work.result and read_request(folder) == request
    words = shlex.split(request.command(folder, desk))[1:]
    result = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    made, again = (list(Manifest(path).read()) for path in (folder, Path(f"{folder}_again")))
    assert made == again and made
    assert [sha256(folder / entry.file) for entry in made] == [entry.details["sha256"] for entry in again]


def test_a_cancelled_run_is_resumed(desk: Desk, unchecked: None) -> None:
    folder = desk.new_run("run")
    request = write_request(
        as_request(model="tiny", condition="both", actions=["left", "grow", "right"], iterations=2), folder
    )
    work = start(desk, request, folder)
    work.cancel()
    assert work.wait(120.0) and "cancelled" in work.error
    again = start(desk, read_request(folder), folder, resume=True)
    assert again.wait(120.0) and not again.error and len(list(Manifest(folder).read())) == 3


PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
WRONG = PLAIN | st.lists(st.text()) | st.dictionaries(st.text(), st.integers())


@given(st.dictionaries(st.sampled_from(list(Request.__dataclass_fields__)), WRONG))
def test_any_values_are_a_request_or_refused_in_a_sentence(values: dict[str, Any]) -> None:
    try:
        request = as_request(**({"model": "tiny", "condition": "both"} | values))
    except StganError as error:
        assert "\n" not in str(error)
    else:
        assert 1 <= request.num <= 64 and not (request.init and "/" in request.init)


@pytest.mark.parametrize("text", ["", "[]", '{"model": 1}', "{" * 100, '{"init": "../../secret.mp4"}', "NaN"])
def test_damaged_records_are_refused(desk: Desk, text: str) -> None:
    folder = desk.new_run("run")
    (folder / RECORD).write_text(text)
    with pytest.raises(StganError, match=RECORD):
        read_request(folder)


def test_names_from_a_browser_are_not_paths(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "manifest.jsonl").write_text(json.dumps({"file": "a/b.mp4", "action": "a", "index": 0}) + "\n")
    (desk.folder / "link").symlink_to(outside)
    for name in ("../outside", str(outside), "link", "", None):
        with pytest.raises(StganError, match="there is no run"):
            desk.run(name)
    for model, condition in (("tiny", "os:system"), ("weizmann", "lrcn"), ("tiny", "torchvision:r3d_18")):
        with pytest.raises(StganError, match="there is no"):
            desk.check(model, condition)
