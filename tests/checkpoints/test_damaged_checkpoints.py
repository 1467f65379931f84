"""Damaged and hostile checkpoints: refused in one sentence, quickly, before anything is allocated or run.

`unchecked`, as the checks of types at run time would catch much of this here, and a user does not have them.
"""

import json
import pickle
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from stgan.checkpoints import CheckpointError
from stgan.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from stgan.networks import GeneratorConfig, ImageGenerator

pytestmark = [
    pytest.mark.usefixtures("unchecked"),
    pytest.mark.filterwarnings("ignore:Initializing zero-element tensors"),
]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
ENCODER = {"channels": 3, "patch": 2, "widths": [4, 8], "depth": 1}
GENERATOR = {"channels": 3, "patch": 2, "widths": [8, 4], "depth": 1}
"""Of the map codec."""
PARTS = (
    *("encoder", "generator", "map_codec", "frame_prior", "clip_prior"),
    *("lrcn", "c3d", "evaluator", "temporal_stream"),
)


def refused(folder: Path) -> str:
    """The one sentence with which a checkpoint is refused."""
    started = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    assert time.process_time() - started < 10
    return message


def refused_with(folder: Path, **values: Any) -> str:
    """The sentence with which it is refused when its config.json says this; the file is then as it was."""
    path = folder / CONFIG
    intact = path.read_text()
    path.write_text(json.dumps({**json.loads(intact), **values}))
    message = refused(folder)
    path.write_text(intact)
    return message


def refused_network(folder: Path, **values: Any) -> str:
    """The same for settings of the network."""
    return refused_with(folder, config={**json.loads((folder / CONFIG).read_text())["config"], **values})


def test_missing_files(model: Path, tmp_path: Path) -> None:
    for name in (CONFIG, WEIGHTS):
        (model / "lrcn" / name).rename(tmp_path / name)
        assert name in refused(model / "lrcn")
        (model / "lrcn" / name).mkdir()
        assert name in refused(model / "lrcn")
        (model / "lrcn" / name).rmdir()
        (tmp_path / name).rename(model / "lrcn" / name)
    assert "there is no" in refused(tmp_path / "nothing")


def test_damaged_weights(model: Path) -> None:
    path = model / "lrcn" / WEIGHTS
    intact = path.read_bytes()
    for damage in (
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"These are not weights.\n" * 100,
        lambda data: b"\xff" * 1000,
        lambda data: struct.pack("<Q", 1 << 60) + data[8:],
        lambda data: struct.pack("<Q", 1 << 21) + b'{"a":{}}'.ljust(1 << 21) + data,
        lambda data: (
            data[:8] + data[8:].replace(b"{", b'{"fc8.bias":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},', 1)
        ),
        lambda data: struct.pack("<Q", 2) + b"[]",
        lambda data: struct.pack("<Q", 2) + b"{}",
    ):
        path.write_bytes(damage(intact))
        assert WEIGHTS in refused(model / "lrcn")


def test_other_tensors(model: Path) -> None:
    path = model / "encoder" / WEIGHTS
    intact = load_file(path)
    for damage, complaint in (
        (lambda tensors: tensors.update({"fc6.bias": torch.zeros(11)}), r"(11,) in the file, (12,) expected"),
        (lambda tensors: tensors.update({"fc6.bias": torch.zeros(12, 1)}), r"(12, 1) in the file, (12,) expected"),
        (lambda tensors: tensors.update({"extra\nrun": torch.zeros(1)}), r"'extra\nrun' ((1,) in the file, none"),
        (lambda tensors: tensors.pop("fc6.bias"), "missing in the file"),
        (lambda tensors: tensors["fc6.weight"][3].fill_(float("nan")), "not finite"),
        (lambda tensors: tensors["norm1.running_var"][3].fill_(float("inf")), "not finite"),
        (lambda tensors: tensors.update({"fc6.bias": torch.full((12,), 1e300, dtype=torch.float64)}), "not finite"),
        (lambda tensors: tensors.update({"fc6.bias": torch.zeros(12, dtype=torch.int64)}), "'fc6.bias' as I64"),
        (lambda tensors: tensors.update({"fc6.bias": torch.zeros(12, dtype=torch.complex64)}), "'fc6.bias' as C64"),
        (
            lambda tensors: tensors.update({"norm6.num_batches_tracked": torch.tensor(1.0)}),
            "as F32, which is not one of I64",
        ),
        (lambda tensors: tensors["norm1.running_var"].fill_(-1), "not a working encoder"),
    ):
        tensors = {name: value.clone() for name, value in intact.items()}
        damage(tensors)
        save_file(tensors, path)
        assert complaint.replace("\n", r"\n") in refused(model / "encoder")


def test_variances_that_are_none(model: Path) -> None:
    """Neither around the mean nor around a given frame."""
    path = model / "clip_prior" / WEIGHTS
    intact = load_file(path)
    for value in (-1.0, float("nan"), float("inf")):
        for center in (0, 1):
            tensors = {name: tensor.clone() for name, tensor in intact.items()}
            tensors["variance"][center] = value
            save_file(tensors, path)
            refused(model / "clip_prior")


def test_numbers_that_torch_cannot_convert(model: Path) -> None:
    """A file may declare 4-bit floats, for which torch has a name and nothing else."""
    path = model / "frame_prior" / WEIGHTS
    header, offset = {}, 0
    for name, tensor in load_file(path).items():
        header[name] = {
            "dtype": "F4",
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.numel() // 2],
        }
        offset += tensor.numel() // 2
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))
    assert WEIGHTS in refused(model / "frame_prior")


class Payload:
    """Unpickling it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


def test_no_code_is_run(model: Path, tmp_path: Path) -> None:
    for dump in (pickle.dump, torch.save):
        path, target = model / "lrcn" / WEIGHTS, tmp_path / "executed"
        with path.open("wb") as file:
            dump(Payload(target), file)
        refused(model / "lrcn")
        assert not target.exists()
        pickle.loads(pickle.dumps(Payload(target)))
        assert target.exists()  # it would have
        target.unlink()


def test_terabytes_are_never_asked_for(model: Path) -> None:
    """Such a network gets as far as a comparison of shapes, for which no memory is needed."""
    for part, values in (
        ("encoder", {"code_size": 10**12}),
        ("lrcn", {"lstm_size": 10**7}),
        ("c3d", {"hidden_sizes": [10**9, 10**9]}),
        ("evaluator", {"widths": [4, 10**8]}),
        ("temporal_stream", {"frames": 10**9}),
        ("generator", {"base_size": 10**6}),
        ("map_codec", {"encoder": {**ENCODER, "widths": [4, 10**8]}}),
        ("map_codec", {"encoder": {**ENCODER, "channels": 10**9}, "generator": {**GENERATOR, "channels": 10**9}}),
        ("frame_prior", {"channels": 10**9}),
        ("clip_prior", {"grid": 10**6}),
        ("clip_prior", {"widths": [10**8]}),
        ("clip_prior", {"frames": 10**9}),
        ("clip_prior", {"embedding": 10**8}),
    ):
        assert "does not fit its config" in refused_network(model / part, **values)


def test_endless_networks_are_not_built(model: Path) -> None:
    for part, values in (
        ("map_codec", {"encoder": {**ENCODER, "depth": 10**9}}),
        ("map_codec", {"generator": {**GENERATOR, "widths": [4] * 100_000}}),
        ("frame_prior", {"depth": 10**9}),
        ("clip_prior", {"widths": [8] * 100_000}),
        ("generator", {"stages": [[1]] * 100_000}),
        ("c3d", {"stages": [[1] * 100_000]}),
        ("encoder", {name: [1] * 50_000 for name in ("channels", "kernels", "strides", "paddings", "groups")}),
        ("encoder", {"code_size": 10**30}),
        ("encoder", {"preprocessing": {"size": 1e300}}),
    ):
        assert "does not describe" in refused_network(model / part, **values)
    assert "is not valid JSON: Infinity" in refused_network(model / "encoder", code_size=float("inf"))


def test_configs_that_describe_no_network(model: Path) -> None:
    for part, values in (
        ("encoder", {"code_size": "12"}),
        ("encoder", {"code_size": -12}),
        ("encoder", {"colour": 1}),
        ("encoder", {"kernels": [3]}),
        ("encoder", {"strides": [0] * 5}),
        ("encoder", {"preprocessing": None}),
        ("encoder", {"preprocessing": {"size": 16, "channels": "grb"}}),
        ("encoder", {"preprocessing": {"size": 16, "mean": [0.5]}}),
        ("generator", {"slope": 1e200}),
        ("generator", {"stages": [[8, 8], []]}),
        ("lrcn", {"frame": None}),
        ("lrcn", {"frame": {"frame": {}}}),
        ("evaluator", {"widths": []}),
        *[("map_codec", {"encoder": encoder}) for encoder in (None, {}, GENERATOR, {**ENCODER, "patch": 0})],
        *[("map_codec", {"generator": {**GENERATOR, "widths": widths}}) for widths in ([], [8], [8, 5], "84", [0, 0])],
        *[("map_codec", {"generator": {**GENERATOR, "channels": channels}}) for channels in (0, -3, 4, "3")],
        *[("clip_prior", {"channels": channels}) for channels in (0, -3, 4, "3")],
        *[("clip_prior", {"grid": grid}) for grid in (0, -4, 5, "4")],
        *[("clip_prior", {"widths": widths}) for widths in ([], [0], [-8], [9], [8, 8], "8")],
        *[("clip_prior", {"embedding": size}) for size in (0, -16, 17, "16")],
        *[("clip_prior", {"frames": frames}) for frames in (0, -16, 15, "16", None)],
        *[("clip_prior", {"num_classes": classes}) for classes in (-1, 2, 10**9, "3")],
        ("temporal_stream", {"frames": 1}),
    ):
        refused_network(model / part, **values)


def test_settings_that_fit_the_weights_but_do_not_work(model: Path) -> None:
    """Nothing of the weights' shapes depends on these, so only a trial tells."""
    for part, values in (
        *[("evaluator", {"preprocessing": {"size": size}}) for size in ("16", -16, 16.5, 10**6, [16], {})],
        *[("encoder", {"preprocessing": {"size": 16, "mean": mean}}) for mean in ("abc", [[0, 1]] * 3)],
        *[("c3d", {"preprocessing": {"size": 16, "std": std}}) for std in ([0, 0, 0], [float("nan")] * 3)],
        *[("c3d", {"dropout": dropout}) for dropout in (40, -1, "a", None)],
        *[("lrcn", {"frame_dropout": dropout}) for dropout in (2, [])],
        *[("generator", {"slope": slope}) for slope in ("a", float("nan"))],
        *[("generator", {"preprocessing": {"scale": scale}}) for scale in (0, "1", None)],
        *[("map_codec", {"encoder": {**ENCODER, "preprocessing": {"size": size}}}) for size in ("16", -16, 7, [16])],
        *[("map_codec", {"generator": {**GENERATOR, "preprocessing": {"scale": scale}}}) for scale in (0, "1", None)],
        *[("frame_prior", {"sigma_min": sigma}) for sigma in (0, -1, "a", None, float("inf"))],
        *[("clip_prior", {"sigma_max": sigma}) for sigma in (0, -1, "a", None, float("inf"))],
        *[("clip_prior", {"dropout": dropout}) for dropout in (40, -1, "a", None)],
    ):
        refused_network(model / part, **values)


def test_a_small_file_cannot_ask_for_large_images(tmp_path: Path) -> None:
    """A few kilobytes of weights are enough for layers of gigabytes."""
    config = GeneratorConfig(code_size=1, hidden_size=1, base_channels=1, base_size=300, stages=((999,),))
    save_checkpoint(tmp_path, ImageGenerator(config))
    assert "for a single clip" in refused(tmp_path)


def test_wrong_values_around_the_config(model: Path) -> None:
    for values in (
        *[{"format": value} for value in (0, 2, "1", None, [1])],
        *[{"network": value} for value in ("gan", "", None, 5, [], {}, ["lrcn"], "discriminator")],
        *[{"config": value} for value in (None, 5, "lrcn", [], [["num_classes", 3]])],
        *[{"actions": value} for value in (None, 5, "abc", [1, 2, 3], [["a"]], ["a"], ["a"] * 4, {"a": 1})],
        *[{"actions": ["a", "b", value]} for value in ("b", "", "../c", "c\nd", "\x1b[31mc", "c" * 5000, "\ud800")],
        *[{"provenance": value} for value in (None, 5, "ab", [], [["a", "b"]])],
    ):
        refused_with(model / "lrcn", **values)
    assert "1 actions" in refused_with(model / "encoder", actions=["walk"])  # it is no classifier


def test_missing_values(model: Path) -> None:
    path = model / "lrcn" / CONFIG
    values = json.loads(path.read_text())
    for missing in ("format", "network", "config"):
        path.write_text(json.dumps({name: value for name, value in values.items() if name != missing}))
        refused(model / "lrcn")


NO_JSON_OBJECTS = {
    "empty": b"",
    "list": b"[1, 2]",
    "number": b"1",
    "cut": b'{"format": 1, "network": "lr',
    "no text": b'{"format": "\xff\xfe"}',
    "byte order mark": b'\xef\xbb\xbf{"format": 1}',
    "deep": b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "less deep": b'{"format": 1, "network": "encoder", "config": ' + b"[" * 900 + b"]" * 900 + b"}",
    "long number": b'{"format": ' + b"1" * 10_000 + b"}",
}


def test_configs_that_are_no_json_objects(model: Path) -> None:
    path = model / "lrcn" / CONFIG
    intact = path.read_bytes()
    for data in NO_JSON_OBJECTS.values():
        path.write_bytes(data)
        assert len(refused(model / "lrcn")) < 1000
    path.write_bytes(intact + b" " * 10_000_000)
    assert "too large" in refused(model / "lrcn")


def leaves(values: Any, path: tuple = ()) -> list[tuple]:
    """Where the numbers, strings and lists are in a config."""
    children = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [path] * bool(path) + [leaf for key, value in children for leaf in leaves(value, (*path, key))]


def loads_or_is_refused(folder: Path) -> None:
    """Any exception but a CheckpointError is a failure."""
    try:
        load_checkpoint(folder)
    except CheckpointError as error:
        assert "\n" not in str(error)


fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(
    st.sampled_from(PARTS), st.integers(0, 200), st.sampled_from([None, -1, 0, 10**9, 1e308, "x", [], {}, [[]], True])
)
def test_any_value_of_a_config_may_be_wrong(model: Path, part: str, which: int, value: Any) -> None:
    path = model / part / CONFIG
    intact = path.read_text()
    values = json.loads(intact)
    *way, last = leaves(values["config"])[which % len(leaves(values["config"]))]
    holder = values["config"]
    for key in way:
        holder = holder[key]
    holder[last] = value
    path.write_text(json.dumps(values))
    loads_or_is_refused(model / part)
    path.write_text(intact)


@fuzz
@given(
    st.sampled_from([CONFIG, WEIGHTS]),
    st.sampled_from(["flip", "cut", "remove", "repeat"]),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
    st.integers(1, 255),
)
def test_any_byte_may_be_wrong(model: Path, name: str, how: str, where: float, early: bool, change: int) -> None:
    path = model / "evaluator" / name
    intact = path.read_bytes()
    at = int(where * min(len(intact), 200 if early else len(intact)))  # the first bytes matter most
    path.write_bytes(
        {
            "flip": intact[:at] + bytes([intact[at] ^ change]) + intact[at + 1 :],
            "cut": intact[:at],
            "remove": intact[:at] + intact[at + change :],
            "repeat": intact[: at + change] + intact[at:],
        }[how]
    )
    loads_or_is_refused(model / "evaluator")
    path.write_bytes(intact)
