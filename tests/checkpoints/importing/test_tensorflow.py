"""TensorFlow's checkpoints: by TensorFlow where it is installed, and by a stand-in that misbehaves."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from published import Source, c3d, tensorflow_variables

from stgan.checkpoints import CheckpointError
from stgan.checkpoints.importing import import_weights, recognise

HERE = importlib.util.find_spec("tensorflow") is not None
WRITER = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf

out, variables, version = sys.argv[1:]
with tf.Graph().as_default(), tf.Session() as session:
    arrays = dict(np.load(variables))
    made = [tf.get_variable(name, initializer=value) for name, value in arrays.items()]
    made.append(tf.get_variable("var_name/wc1/Adam", initializer=np.zeros(3, np.float32)))
    made.append(tf.get_variable("global_step", initializer=7))
    session.run(tf.global_variables_initializer())
    tf.train.Saver(made, write_version=int(version)).save(session, out, write_meta_graph=False)
"""
STAND_IN = """
import os, sys, types
import numpy as np

print("noise on standard output")
os.write(2, b"noise\\n")

class Reader:
    def __init__(self, prefix):
        what = open(prefix + ".index", "rb").read()
        if b"ABORT" in what:
            os.abort()
        if b"RAISE" in what:
            raise RuntimeError("Unable to open table file\\nand a second line")
        self.arrays = dict(np.load(prefix + ".npz"))
        if b"HUGE" in what:
            self.arrays["var_name/wd1"] = types.SimpleNamespace(shape=(10**9, 10**9))

    def get_variable_to_shape_map(self):
        return {name: list(value.shape) for name, value in self.arrays.items()}

    def get_tensor(self, name):
        return self.arrays[name]

train = types.SimpleNamespace(load_checkpoint=Reader)
"""
TABLE = bytes(100) + bytes.fromhex("57fb808b247547db")  # what an index ends in


@pytest.fixture
def layers(rng: np.random.Generator) -> list[Source]:
    return c3d(rng)


@pytest.fixture
def mean(tmp_path: Path, rng: np.random.Generator) -> Path:
    np.save(tmp_path / "crop_mean.npy", rng.uniform(40, 160, (16, 112, 112, 3)).astype(np.float32))
    return tmp_path / "crop_mean.npy"


def same(network, layers: list[Source]) -> bool:
    found = [*(layer.weight for layer in network.convolutions), *(layer.weight for layer in network.hidden)]
    return all(np.array_equal(mine.numpy(), theirs.arrays[0]) for mine, theirs in zip(found, layers, strict=False))


@pytest.mark.skipif(not HERE, reason="needs TensorFlow: pip install tensorflow-cpu")
@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
def test_by_tensorflow(version: int, layers: list[Source], mean: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "variables.npz", **tensorflow_variables(layers, channels_last=False))
    prefix = tmp_path / "sports1m_finetuning_ucf101.model"
    writer = [sys.executable, "-c", WRITER, str(prefix), str(tmp_path / "variables.npz"), str(version)]
    subprocess.run(writer, check=True, capture_output=True, timeout=200)
    assert prefix.is_file() == (version == 1)
    checkpoint = import_weights("c3d", [mean, prefix])
    assert same(checkpoint.network, layers)
    notes = checkpoint.provenance["imported"]
    assert (notes["pool5"], notes["protocol"], len(notes["files"])) == ("channels-first", "tensorflow", version + 1)
    wrong = import_weights("c3d", [mean, prefix], pool5="channels-last").network
    assert not same(wrong, layers)
    file = prefix if version == 1 else Path(f"{prefix}.data-00000-of-00001")
    data = file.read_bytes()
    for damaged in (data[: len(data) // 2], data[: len(data) // 3] + bytes(999) + data[len(data) // 3 + 999 :]):
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError) as caught:
            import_weights("c3d", [mean, prefix])
        assert str(caught.value).isprintable()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "tensorflow.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "library"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


@pytest.mark.usefixtures("stand_in")
def test_known_names_say_in_which_order_pool5_is(layers: list[Source], mean: Path, tmp_path: Path) -> None:
    for name, channels_last in (
        ("anything", False),
        ("conv3d_deepnetA_sport1m_iter_1900000_TF.model", True),
        ("c3d_ucf101_finetune_whole_iter_20000_TF.model", True),
        ("sports1m_finetuning_ucf101.model", False),
    ):
        prefix = checkpoint(tmp_path / name, b"", layers, channels_last)
        found = import_weights("c3d", [prefix, mean])
        assert same(found.network, layers)
        assert found.provenance["imported"]["pool5"] == ("channels-last" if channels_last else "channels-first")
        volume = np.load(mean).transpose(3, 0, 1, 2)
        assert np.array_equal(found.network.mean_volume.numpy(), volume)


@pytest.mark.usefixtures("stand_in")
def test_a_reader_that_fails_is_one_sentence(layers: list[Source], mean: Path, tmp_path: Path) -> None:
    for marker, message in (
        (b"ABORT", "its reader stopped with status -6"),
        (b"RAISE", "Unable to open table file"),
        (b"HUGE", "its variables have more than"),
    ):
        prefix = checkpoint(tmp_path / "model", marker, layers)
        with pytest.raises(CheckpointError, match=message) as caught:
            import_weights("c3d", [prefix, mean])
        assert "second line" not in str(caught.value) or str(caught.value).isprintable()


@pytest.mark.usefixtures("stand_in")
def test_any_of_its_files_means_the_checkpoint(layers: list[Source], mean: Path, tmp_path: Path) -> None:
    prefix = checkpoint(tmp_path / "model", b"", layers)
    paths = [prefix, Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")]
    assert {recognise(path) for path in paths} == {"tensorflow"}
    assert len({import_weights("c3d", [path, mean]).hash for path in paths}) == 1


@pytest.mark.usefixtures("stand_in")
def test_variables_that_do_not_fit(layers: list[Source], mean: Path, tmp_path: Path) -> None:
    def refused(message: str, **changed: np.ndarray | None) -> None:
        variables = tensorflow_variables(layers, channels_last=False)
        for name, value in changed.items():
            variables.pop(f"var_name/{name}", None)
            if value is not None:
                variables[f"var_name/{name}"] = value
        np.savez(tmp_path / "model.npz", **variables)
        with pytest.raises(CheckpointError, match=message):
            import_weights("c3d", [prefix, mean])

    prefix = checkpoint(tmp_path / "model", b"", layers)
    refused("it has no variable bc3a", bc3a=None)
    refused("its variable wc2 has 2 axes, not 5", wc2=np.ones((3, 3), np.float32))
    refused("not all of its convolutions are 3x3x3", wc1=np.ones((1, 3, 3, 3, 3), np.float32))
    refused("it has 8 and 2", wout=None)
    refused("values that are not finite numbers, first in hidden.1.bias", bd2=np.full(8, np.nan, np.float32))
    refused("several variables named wd2", **{"more/wd2": np.ones((2, 2), np.float32)})


@pytest.mark.skipif(HERE, reason="TensorFlow is installed")
def test_without_tensorflow_it_says_what_to_install(layers: list[Source], mean: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r'pip install "stgan\[tensorflow\]"'):
        import_weights("c3d", [checkpoint(tmp_path / "model", b"", layers), mean])


def checkpoint(prefix: Path, marker: bytes, layers: list[Source], channels_last: bool = False) -> Path:
    """Files that look like a checkpoint, with the variables beside them for the stand-in."""
    Path(f"{prefix}.index").write_bytes(marker + TABLE)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(b"numbers")
    np.savez(f"{prefix}.npz", **tensorflow_variables(layers, channels_last))
    return prefix
