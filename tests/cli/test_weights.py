"""`stgan weights`: what is known, fetched, looked at and exported."""

import hashlib
import json
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from web_server import BODY, Page, Server

from stgan import STGAN
from stgan.checkpoints.checkpoint import load_checkpoint
from stgan.checkpoints.importing import KINDS, POOL5, PROTOCOLS
from stgan.checkpoints.known_files import KNOWN_FILES, KnownFile
from stgan.cli.weights import assemble_, list_
from stgan.errors import StganError

FILE = "RGB_lstm_model_iter_30000.caffemodel"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def test_list(stgan: Any, tmp_path: Path) -> None:
    table = stgan.run("weights", "list", "--json", tmp_path / "known.json")
    assert table.returncode == 0 and all(known.name in table.stdout for known in KNOWN_FILES)
    (caffenet,) = (each for each in json.loads((tmp_path / "known.json").read_text()) if each["name"] == "caffenet")
    assert caffenet["checksum"] == "sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"
    assert caffenet["command"] == "stgan weights import encoder bvlc_reference_caffenet.caffemodel --out encoder"
    one = stgan.run("weights", "list", "caffenet")
    assert one.returncode == 0 and "licence: unrestricted use" in one.stdout and caffenet["command"] in one.stdout
    wrong = stgan.run("weights", "list", "caffe")
    assert wrong.returncode == 1 and wrong.is_one_sentence and "no known file 'caffe'" in wrong.stderr


@pytest.mark.parametrize("cache", ["x" * 5000, "/dev/null"])
def test_list_needs_no_cache(cache: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a folder whose name is too long, the system says as little as of one without permission."""
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    list_(None, None)
    list_("caffenet", None)
    assert "caffenet" in capsys.readouterr().out


@pytest.mark.parametrize("known", [known for known in KNOWN_FILES if known.becomes], ids=lambda known: known.name)
def test_what_the_list_says_of_importing_can_be_typed(known: KnownFile) -> None:
    program, room, verb, kind, *rest = shlex.split(known.import_command())
    assert (program, room, verb) == ("stgan", "weights", "import") and kind in KINDS and rest[0] == known.file
    options = dict(pairwise(rest))
    assert options["--out"] in (kind, known.name) and options.get("--protocol", "caffe") in PROTOCOLS
    assert options.get("--pool5", POOL5[0]) in POOL5


def test_fetch_says_what_came_and_what_to_do_with_it(stgan: Any, server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()
    command = ("weights", "fetch", "lrcn-rgb", "--out", tmp_path / "my files", "--url", server.address("/net"))
    result = stgan.run(*command)
    assert result.returncode == 0, result.stderr
    path = tmp_path / "my files" / FILE
    assert path.read_bytes() == BODY and hashlib.sha256(BODY).hexdigest() in result.stdout
    assert "verified: no: no checksum is published" in result.stdout
    assert f"next: stgan weights import lrcn '{path}' --out lrcn" in result.stdout
    assert "was there already" in stgan.run(*command).stdout and len(server.requests) == 1


def test_fetch_of_what_needs_another_file_names_it(stgan: Any, server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()
    base = ("--out", tmp_path, "--url", server.address("/net"))
    first = stgan.run("weights", "fetch", "c3d-chainer-ucf101", *base)
    assert "needed too: stgan weights fetch c3d-chainer-mean" in first.stdout
    assert stgan.run("weights", "fetch", "c3d-chainer-mean", *base).returncode == 0
    both = stgan.run("weights", "fetch", "c3d-chainer-ucf101", *base).stdout
    assert "needed too" not in both and f"import c3d {tmp_path}/conv3d_deepnetA_ucf.npz {tmp_path}/mean2.npz" in both


def test_ctrl_c_keeps_what_came_and_the_same_command_goes_on(stgan: Any, server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page(pause=(pause := Event()))
    command = ("weights", "fetch", "lrcn-rgb", "--out", tmp_path, "--url", server.address("/net"))
    process, part = stgan.start(*command), tmp_path / f"{FILE}.part"
    until = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.01)
    process.send(signal.SIGINT)
    ended = process.end()
    pause.set()
    assert ended.returncode == 130 and ended.is_one_sentence and "the same command continues" in ended.stderr
    kept = part.stat().st_size
    assert 0 < kept <= len(BODY) // 2
    assert stgan.run(*command).returncode == 0 and (tmp_path / FILE).read_bytes() == BODY
    assert server.requests == [("/net", None), ("/net", f"bytes={kept}-")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fetch", "nothing"), "no known file"),
        (("fetch", "lrcn-rgb"), "with a browser"),
        (("fetch", "lrcn-rgb", "--url", "file:///etc/passwd"), "no address"),
        (("fetch", "lrcn-rgb", "caffenet", "--url", "http://x/y"), "--url is the address of one file"),
        (("fetch", "caffenet", "--url", "http://127.0.0.1:9/x"), "cannot be reached"),
        (("info", "nothing"), "no file 'nothing'"),
        (("info", "weizmann"), "a model of several checkpoints; name one of them: c3d"),
        (("info", "empty"), "is this a checkpoint folder"),
        (("info", "text.txt"), "not a file of weights"),
        (("export", "nothing", "--out", "a.npz"), "'nothing' is not a checkpoint folder"),
        (("export", "weizmann/lrcn", "--out", "a.onnx"), "has to end in .safetensors, .npz, .pt"),
        (("export", "weizmann/lrcn", "--out", "no/a.npz"), "is in a folder that does not exist"),
    ],
)
def test_mistakes_are_one_sentence(stgan: Any, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no weights")
    out = ("--out", "fetched") if arguments[0] == "fetch" else ()
    result = stgan.run("weights", *arguments, *out, cwd=tmp_path)
    assert result.returncode == 1 and result.is_one_sentence and message in result.stderr, result.stderr


def test_info_of_a_checkpoint(stgan: Any, tiny_model: Path, tmp_path: Path) -> None:
    result = stgan.run("weights", "info", tiny_model / "lrcn", "--json", tmp_path / "info.json")
    assert result.returncode == 0, result.stderr
    checkpoint = load_checkpoint(tiny_model / "lrcn")
    assert f"hash: {checkpoint.hash}" in result.stdout and "classes: 3: grow, left, right" in result.stdout
    assert "pixels: short side to 16" in result.stdout and "RGB, 0 to 1; minus 0.5, 0.5, 0.5" in result.stdout
    values = json.loads((tmp_path / "info.json").read_text())
    assert values["parameters"] == sum(each.numel() for each in checkpoint.network.parameters())
    assert values["config"] == json.loads(json.dumps(checkpoint.network.config.to_dict()))
    assert values["classes"] == ["grow", "left", "right"]
    assert "network: lrcn" in stgan.run("weights", "info", "weizmann/lrcn").stdout


def test_info_of_another_programs_file(stgan: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "mean2.npz", mean=np.zeros(3))
    result = stgan.run("weights", "info", tmp_path / "mean2.npz")
    assert result.returncode == 0, result.stderr
    assert "format: NumPy" in result.stdout and "c3d-chainer-mean, by its name alone" in result.stdout
    assert hashlib.sha256((tmp_path / "mean2.npz").read_bytes()).hexdigest() in result.stdout
    shutil.copy(tmp_path / "mean2.npz", tmp_path / "other.npz")
    assert "known as" not in stgan.run("weights", "info", tmp_path / "other.npz").stdout


@pytest.mark.parametrize("ending", ["safetensors", "npz", "pt"])
@pytest.mark.parametrize("half", [False, True])
def test_export(stgan: Any, tiny_model: Path, tmp_path: Path, ending: str, half: bool) -> None:
    path = tmp_path / f"c3d.{ending}"
    result = stgan.run("weights", "export", tiny_model / "c3d", "--out", path, *(["--half"] if half else []))
    assert result.returncode == 0, result.stderr
    checkpoint = load_checkpoint(tiny_model / "c3d")
    expected = checkpoint.network.state_dict()
    if ending == "safetensors":
        found = load_file(path)
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["stgan"])
    else:
        about = json.loads(path.with_name(f"{path.name}.json").read_text())
        if ending == "npz":
            found = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
        else:
            found = torch.load(path, weights_only=True)
    assert about["actions"] == ["grow", "left", "right"] and about["hash"] == checkpoint.hash
    assert about["config"] == json.loads(json.dumps(checkpoint.network.config.to_dict()))
    parameters = dict(checkpoint.network.named_parameters())
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == (torch.float16 if half and name in parameters else value.dtype)
        assert torch.equal(found[name].float(), value.half().float() if half and name in parameters else value.float())
    assert "bytes" in result.stdout and {each.name for each in tmp_path.iterdir()} <= {path.name, f"{path.name}.json"}


def test_a_model_is_put_together(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "mine")
    (folder / "model.json").unlink()
    assemble_(folder, evaluator=["evaluator", "temporal_stream"])
    shown = capsys.readouterr().out
    assert "mine: 3 actions, steered by c3d, lrcn, scored by evaluator, temporal_stream" in shown
    assert STGAN.from_pretrained(folder, "cpu").generate("left", iterations=2).shape == (1, 3, 16, 16, 16)
    with pytest.raises(StganError, match="cannot be the name of a model"):
        assemble_(folder, name="a/b")
