"""`stgan augment` as a user starts it, on clips that `stgan generate` and `stgan select` left."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from stgan.video.decoding import inspect_clip

RECIPE = {
    "seeds": [5],
    "initial": {
        "network": {
            "stages": [[4], [8]], "hidden_sizes": [8], "pad_last_pool": False,
            "preprocessing": {"size": 16, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        },
    },
    "training": {"iterations": 2, "every": 1, "batch_size": 4, "real_share": 0.5},
}  # fmt: skip


@pytest.fixture(scope="module")
def root(stgan: Any, tiny_model: Path, tiny_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real: clips of actors a, b and c. clips: generated ones; chosen: all of these, selected. recipe.yaml."""
    root = tmp_path_factory.mktemp("augment")
    shutil.copytree(tiny_clips, root / "real")
    with (root / "real" / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "group"])
        for path in sorted(tiny_clips.rglob("*.mp4")):
            table.writerow([path.relative_to(tiny_clips), path.parent.name, "abc"[int(path.stem[-1])]])
    (root / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    for command in (
        ["generate", "--num", 1, "--iterations", 1, "--out", root / "clips"],
        ["select", root / "clips", "--any-verdict", "--by", "confidence", "--least", 0, "--out", root / "chosen"],
    ):
        result = stgan.run(*command, "--model", tiny_model)
        assert result.returncode == 0, result.stderr
    return root


def command(root: Path, out: Path, generated: Path, *more: str | Path | int) -> list[str | Path | int]:
    return [
        "augment", "--real", root / "real", "--train-groups", "a", "--val-groups", "b", "--generated", generated,
        "--recipe", root / "recipe.yaml", "--out", out, *more,
    ]  # fmt: skip


def test_clips_of_a_model_of_which_nothing_is_known(stgan: Any, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused = stgan.run(*command(root, out, root / "chosen"))
    assert refused.returncode == 1 and refused.is_one_sentence and not out.exists()
    assert "it is unknown on which clips" in refused.stderr and "generator, " in refused.stderr
    allowed = stgan.run(*command(root, out, root / "chosen", "--allow-unknown", "--seeds", 2))
    assert allowed.returncode == 0 and not allowed.stderr, allowed.stderr
    record = json.loads((out / "augmentation.json").read_text())
    assert record["seeds"] == [0, 1] and not record["proven"]
    assert "no real clip to train on" not in allowed.stdout
    assert record["clips"] == {"train": 3, "validation": 3, "test": 3} and record["groups"]["test"] == ["c"]
    summary = record["summary"]
    for words, name in (("generated only", "generated"), ("real only", "real"), ("real and generated", "both")):
        line = next(line for line in allowed.stdout.splitlines() if words in line)
        assert f"{100 * summary[name]['mean']:.1f} %" in line
        assert f"{100 * summary[name]['low']:.1f} to {100 * summary[name]['high']:.1f}" in line
    assert f"generated clips add {100 * summary['gain']['mean']:+.1f} points to real ones" in allowed.stdout
    assert "paired by seed" in allowed.stdout and "note: not all networks" in allowed.stdout
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.suffix != ".png"}
    again = stgan.run(*command(root, out, root / "chosen", "--allow-unknown", "--seeds", 2))
    assert again.returncode == 0 and "augmentation, generated" not in again.stdout  # nothing is trained again
    assert kept == {path: path.read_bytes() for path in kept}
    page = stgan.run("report", out)
    assert page.returncode == 0, page.stderr


def test_clips_of_a_model_that_is_known(stgan: Any, root: Path, tiny_model: Path, tmp_path: Path) -> None:
    chosen = Path(shutil.copytree(root / "chosen", tmp_path / "chosen"))
    seen = {
        group: [inspect_clip(path).sha256[:16] for path in sorted((root / "real").glob(f"*/clip{number}.mp4"))]
        for number, group in enumerate("abc")
    }

    def tell(hashes: list[str]) -> None:
        values = json.loads((chosen / "networks.json").read_text())
        networks = [{**each, "seen": hashes, "ancestors": {}} for each in values["networks"]]
        (chosen / "networks.json").write_text(json.dumps({**values, "networks": networks}))

    for group, more in (("b", ()), ("c", ("--allow-unknown", "--model", tiny_model))):  # networks.json still counts
        tell([*seen["a"], seen[group][0]])
        refused = stgan.run(*command(root, tmp_path / "out", chosen, *more))
        assert refused.returncode == 1 and refused.is_one_sentence, refused.stderr
        assert "which is held out" in refused.stderr and f"clip{'abc'.index(group)}.mp4" in refused.stderr
    assert not (tmp_path / "out").exists()
    tell(seen["a"])
    settings = ["--set", "training.iterations=1", "--set", "training.windows=2", "--initial", tiny_model / "c3d"]
    result = stgan.run(*command(root, tmp_path / "out", chosen, *settings))
    assert result.returncode == 0 and "note:" not in result.stdout, result.stderr
    record = json.loads((tmp_path / "out" / "augmentation.json").read_text())
    assert record["proven"] and record["seeds"] == [5] and "paired by seed" not in result.stdout
    assert record["recipe"]["iterations"] == 1 and record["recipe"]["windows"] == 2
    assert {network["seen"] for network in record["networks"]} == {3}
    initial = json.loads((tiny_model / "c3d" / "config.json").read_text())
    kept = json.loads((tmp_path / "out/seed_5/both/checkpoint/config.json").read_text())
    assert kept["network"] == initial["network"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--generated", "nowhere"], "'nowhere' is not a folder; give what stgan select wrote"),
        (["--generated", "CLIPS"], "test clips may be among them: all of them"),
        (["--generated", "CLIPS", "--model", "weizmann"], "name the model that made them"),
        (["--real", "nowhere"], "nowhere"),
        (["--train-groups", "a,eve"], "there is no group 'eve'"),
        (["--val-groups", "a"], "'a' cannot both train and validate"),
        (["--train-groups", ""], "--train-groups is empty and names nothing"),
        (["--seeds", "0"], "--seeds must be at least 1 and at most 1000, not 0"),
        (["--recipe", "gone.yaml"], "'gone.yaml' cannot be read"),
        (["--set", "training.iterations"], "is not SECTION.NAME=VALUE or seeds=VALUE"),
        (["--set", "seeds=1"], "seeds: must be a list"),
        (["--set", "training.crop=0.5"], "crop: must be at least 1"),
        (["--set", "initial.network.stages=[]"], "does not work"),
        (["--initial", "nowhere"], "nowhere"),
        (["--initial", "ENCODER"], "AlexNet is no classifier that can be fine-tuned"),
        (["--device", "abacus"], "abacus"),
        (["--out", "INSIDE"], "is inside"),
    ],
)
def test_mistakes(stgan: Any, root: Path, tiny_model: Path, tmp_path: Path, more: list[str], message: str) -> None:
    folders = {"CLIPS": root / "clips", "ENCODER": tiny_model / "encoder", "INSIDE": root / "chosen" / "out"}
    allowed = ["--allow-unknown"] * ("ENCODER" in more)
    result = stgan.run(
        *command(root, tmp_path / "out", root / "chosen", *allowed, *(folders.get(word, word) for word in more)),
        cwd=tmp_path,
    )
    assert result.returncode == 1 and result.is_one_sentence and message in result.stderr, result.stderr
    assert not list(tmp_path.rglob("augmentation.json"))


def test_help_shows_how_it_is_used(stgan: Any) -> None:
    shown = " ".join(stgan.run("augment", "--help").stdout.split())
    for words in ("Examples", "stgan augment --real weizmann --train-groups daria,denis", "--allow-unknown", "--seeds"):
        assert words in shown
