"""`stgan weights import` as a user runs it."""

from pathlib import Path

import numpy as np
import pytest
from published import c3d, deepsim, write_binaryproto, write_caffemodel

from stgan.checkpoints.checkpoint import load_checkpoint
from stgan.cli.weights_import import read_classes
from stgan.errors import StganError
from stgan.files import sha256
from stgan.networks import C3D, ImageGenerator
from stgan.video.ucf101_names import CLASSES


def test_a_generator(stgan, tmp_path: Path) -> None:
    file = write_caffemodel(tmp_path / "generator.caffemodel", deepsim(np.random.default_rng(0)))
    ended = stgan.run("weights", "import", "generator", file, "--out", tmp_path / "generator")
    assert ended.returncode == 0, ended.stderr
    checkpoint = load_checkpoint(tmp_path / "generator")
    assert isinstance(checkpoint.network, ImageGenerator) and checkpoint.actions == ()
    weight = checkpoint.network.fc8.weight
    assert np.array_equal(weight.numpy(), deepsim(np.random.default_rng(0))[0].arrays[0])  # in full precision
    (described,) = checkpoint.provenance["imported"]["files"]
    assert described["sha256"] == sha256(file)
    parameters = sum(parameter.numel() for parameter in checkpoint.network.parameters())
    for text in (
        f"ImageGenerator, {parameters:,} parameters",
        "12: defc7 24x20, defc6 24x24",
        "BGR, 0 to 255; minus 104, 117, 123",
        sha256(file),
        checkpoint.hash,
    ):
        assert text in ended.stdout
    card = (tmp_path / "generator" / "README.md").read_text()
    assert sha256(file) in card and checkpoint.hash in card and "minus 104, 117, 123" in card
    again = stgan.run("weights", "import", "generator", file, "--out", tmp_path / "generator")
    assert again.returncode == 1 and again.is_one_sentence and "exists already" in again.stderr


def test_a_c3d_with_its_mean_and_classes(stgan, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mean = write_binaryproto(tmp_path / "mean.binaryproto", rng.random((1, 3, 16, 128, 171), np.float32))
    for classes, names, option in (
        (101, CLASSES, []),
        (2, ("walk", "run fast"), ["--classes", tmp_path / "classes.txt"]),
        (2, (), []),
    ):
        (tmp_path / "classes.txt").write_text("1 walk\r\n2 run fast\r\n")
        file = write_caffemodel(tmp_path / "c3d.caffemodel", c3d(rng, classes=classes), "c3d")
        out = tmp_path / f"{classes}{len(option)}"
        ended = stgan.run("weights", "import", "c3d", file, mean, "--half", "--out", out, *option)
        assert ended.returncode == 0, ended.stderr
        checkpoint = load_checkpoint(out)
        assert isinstance(checkpoint.network, C3D) and checkpoint.actions == names
        assert "protocol: caffe" in ended.stdout
        assert f"{len(names)}: {', '.join(names[:2])}" in ended.stdout if names else "no names" in ended.stdout
        assert (out / "model.safetensors").stat().st_size < 3 << 20  # the mean volume alone is 2.4 MB
    ended = stgan.run("weights", "info", out)
    assert "provenance, imported" in ended.stdout and ended.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("c4d", "c3d.caffemodel"), "cannot be imported; networks that can are generator, encoder, lrcn, c3d"),
        (("c3d", "nothing"), "there is no file"),
        (("c3d", "words"), "is not a file of weights"),
        (("c3d", "c3d.caffemodel"), "it needs a mean volume (3x16x128x171)"),
        (("lrcn", "c3d.caffemodel"), "it has no layer 'conv1'"),
        (("encoder", "c3d.caffemodel", "--protocol", "tgan"), "protocol is for C3D only"),
        (("c3d", "c3d.caffemodel", "--protocol", "tgan3"), "protocol must be one of caffe"),
        (("c3d", "c3d.caffemodel", "--protocol", "jfzhang95", "--pool5", "last"), "pool5 must be one of"),
        (("c3d", "c3d.caffemodel", "--protocol", "jfzhang95", "--classes", "words"), "1 names of classes, but"),
        (("c3d", "c3d.caffemodel", "--classes", "none.txt"), "cannot read the names of classes"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: tuple[str, ...], message: str, stgan, tmp_path: Path) -> None:
    write_caffemodel(tmp_path / "c3d.caffemodel", c3d(np.random.default_rng(0)), "c3d")
    (tmp_path / "words").write_text("words")
    ended = stgan.run("weights", "import", *arguments, "--out", "out", cwd=tmp_path)
    assert ended.returncode == 1 and ended.is_one_sentence and message in ended.stderr, ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_sentence(stgan, tmp_path: Path) -> None:
    file = write_caffemodel(tmp_path / "generator.caffemodel", deepsim(np.random.default_rng(0)))
    ended = stgan.run("weights", "import", "generator", file, "--out", tmp_path / "out", largest_file=5000)
    assert ended.returncode == 1 and ended.is_one_sentence, ended.stderr
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("walk\nrun\n\n", ("walk", "run")),
        ("\ufeff1 ApplyEyeMakeup\r\n2 ApplyLipstick\r\n", ("ApplyEyeMakeup", "ApplyLipstick")),
        ("0 a\n1 b c", ("a", "b c")),
        ("1 a\nb", ("1 a", "b")),
        ("1 a\n3 b", "not numbered one after the other"),
        ("2 a\n3 b", "not numbered one after the other"),
        ("\n \n", "names no classes"),
        (b"\xff\xfe\xff", "is not text"),
        (b"x" * (1 << 21), "too large"),
    ],
)
def test_lists_of_classes(text: str | bytes, names: tuple[str, ...] | str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if isinstance(names, tuple):
        assert read_classes(path) == names
    else:
        with pytest.raises(StganError, match=names):
            read_classes(path)
