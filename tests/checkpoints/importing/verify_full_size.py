"""The published networks at full width: written with random weights, imported, and compared with OpenCV or NumPy.

    python tests/checkpoints/importing/verify_full_size.py [FOLDER]

One network after the other; it takes up to 6 GB of memory, 1 GB in FOLDER (default: a temporary one) and minutes.
Prints for each the size of the file, the time and the peak of memory of the import, and the largest difference of the
outputs as a share of the largest output. docs/weights.md has a run.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[2] / "support"))
from frames import as_videos, grey_levels, relative
from prototxts import frame_network_prototxt, generator_prototxt
from published import (
    CAFFENET,
    Source,
    c3d,
    deepsim,
    frame_network,
    lrcn,
    tensorflow_variables,
    write_binaryproto,
    write_caffemodel,
    write_chainer,
)
from restated import c3d_logits, caffe_lstm

from stgan.checkpoints.importing import import_weights

GENERATOR = {"code": 4096, "hidden": 4096, "base": 256,
             "stages": ((256, 512), (256, 256), (128, 128), (64,), (32,))}  # fmt: skip
C3D = {"channels": (64, 128, 256, 256, 512, 512, 512, 512), "hidden": (4096, 4096), "classes": 101}
CHANNELS, HYBRID_CHANNELS = (96, 256, 384, 384, 256), (96, 384, 512, 512, 384)
BGR_MEAN, LRCN_MEAN = (104.0, 117.0, 123.0), (103.939, 116.779, 128.68)
TENSORFLOW_WRITER = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf
with tf.Graph().as_default(), tf.Session() as session:
    made = []
    for name, value in np.load(sys.argv[1]).items():
        made.append(tf.get_variable(name, value.shape, initializer=tf.zeros_initializer()))
        made[-1].load(value, session)
    tf.train.Saver(made).save(session, sys.argv[2], write_meta_graph=False)
"""


def generator(folder: Path, rng: np.random.Generator) -> tuple[Path, float]:
    layers = deepsim(rng, **GENERATOR)
    file = write_caffemodel(folder / "generator.caffemodel", layers)
    codes = np.abs(rng.standard_normal((2, 4096))).astype(np.float32)
    pixels = opencv(generator_prototxt(layers), file, codes)
    del layers
    wanted = (pixels + np.array(BGR_MEAN)[:, None, None])[:, ::-1] / 255
    return file, relative(imported("generator", file)(torch.from_numpy(codes)), wanted)


def encoder(folder: Path, rng: np.random.Generator) -> tuple[Path, float]:
    layers = frame_network(rng, CAFFENET, CHANNELS, 4096)
    file = write_caffemodel(folder / "caffenet.caffemodel", layers, "v1", "legacy")
    frames = grey_levels(rng, 2, 256, 256)
    wanted = opencv(frame_network_prototxt(layers), file, cropped(frames, BGR_MEAN))
    del layers
    return file, relative(imported("encoder", file)(as_videos(frames)[0].transpose(0, 1)), wanted)


def recurrent(folder: Path, rng: np.random.Generator) -> tuple[Path, float]:
    layers = lrcn(rng, 256, 101, 4096, channels=HYBRID_CHANNELS)
    file = write_caffemodel(folder / "lrcn.caffemodel", layers)
    frames = grey_levels(rng, 16, 240, 320)
    codes = opencv(frame_network_prototxt(layers[:6]), file, cropped(frames, LRCN_MEAN))
    weight, bias = layers[-1].arrays
    logits = caffe_lstm(layers[6].arrays, codes) @ weight.T.astype(np.float64) + bias
    del layers
    return file, relative(imported("lrcn", file)(as_videos(frames))[0], logits)


def facebook(folder: Path, rng: np.random.Generator) -> tuple[Path, float]:
    layers = c3d(rng, **C3D)
    file = write_caffemodel(folder / "c3d.caffemodel", layers, "c3d")
    return file, _c3d(file, layers, "caffe", folder, rng)


def chainer(folder: Path, rng: np.random.Generator) -> tuple[Path, float]:
    layers = c3d(rng, **C3D)
    file = write_chainer(folder / "c3d.npz", layers)
    return file, _c3d(file, layers, "tgan2", folder, rng)


def tensorflow(folder: Path, rng: np.random.Generator) -> tuple[Path, float]:
    layers = c3d(rng, **C3D)
    np.savez(folder / "variables.npz", **tensorflow_variables(layers, channels_last=False))
    prefix = folder / "sports1m_finetuning_ucf101.model"
    subprocess.run([sys.executable, "-c", TENSORFLOW_WRITER, folder / "variables.npz", prefix], check=True)
    return prefix, _c3d(prefix, layers, "tensorflow", folder, rng)


def _c3d(file: Path, layers: list[Source], protocol: str, folder: Path, rng: np.random.Generator) -> float:
    """Frames of 112x112, which these protocols leave as they are but for one column or the stretching of caffe."""
    mean = rng.uniform(40, 160, (3, 16, 128, 171)).astype(np.float32)
    frames = grey_levels(rng, 16, 112, 112)
    row, column = (8, 8) if protocol == "tgan2" else (8, 29)
    crop = mean[:, :, row : row + 112, column : column + 112]
    volume = write_binaryproto(folder / "mean", mean[None])
    if protocol == "tensorflow":
        volume = folder / "crop_mean.npy"
        np.save(volume, crop.transpose(1, 2, 3, 0))
    pixels = frames.astype(np.float64)
    if protocol == "caffe":
        pixels = np.stack([cv2.resize(frame, (171, 128))[8:120, 29:141] for frame in pixels])
    if protocol == "tensorflow":
        pixels = np.stack([cv2.resize(frame, (112, 113))[:112] for frame in pixels])
    order = 1 if protocol == "tensorflow" else -1
    wanted = c3d_logits(layers, pixels[..., ::order].transpose(3, 0, 1, 2) - crop)
    layers.clear()
    return relative(imported("c3d", file, volume, protocol=protocol)(as_videos(frames))[0], wanted)


CASES = {each.__name__: each for each in (generator, encoder, recurrent, facebook, chainer, tensorflow)}


def imported(kind: str, *files: Path, protocol: str | None = None) -> torch.nn.Module:
    """The network, after a line on what it took to import it."""
    Path("/proc/self/clear_refs").write_text("5")
    before, started = status("VmRSS"), time.monotonic()
    checkpoint = import_weights(kind, files, protocol=protocol)
    seconds, peak = time.monotonic() - started, status("VmHWM")
    parameters = sum(parameter.numel() for parameter in checkpoint.network.parameters())
    size = sum(file["bytes"] for file in checkpoint.provenance["imported"]["files"])
    print(
        f"{kind} from {files[0].name}: {parameters:,} parameters, {size / 1e6:.0f} MB, imported in {seconds:.1f} s, "
        f"memory {before >> 20} MiB before, {peak >> 20} MiB at most",
        end="",
    )
    return checkpoint.network


def opencv(prototxt: str, model: Path, inputs: Sequence[np.ndarray]) -> np.ndarray:
    description = model.with_suffix(".prototxt")
    description.write_text(prototxt)
    net = cv2.dnn.readNetFromCaffe(str(description), str(model))
    outputs = []
    for each in inputs:
        net.setInput(each[None].astype(np.float32))
        outputs.append(net.forward()[0].astype(np.float64))
    return np.stack(outputs)


def cropped(frames: np.ndarray, mean: Sequence[float]) -> np.ndarray:
    top, left = (frames.shape[1] - 227) // 2, (frames.shape[2] - 227) // 2
    return (frames[:, top : top + 227, left : left + 227, ::-1] - np.array(mean)).transpose(0, 3, 1, 2)


def status(name: str) -> int:
    """Bytes, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name + ":"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where to write; all of it is removed again")
    parser.add_argument("--only", choices=CASES, help="one network, in this process")
    options = parser.parse_args()
    if not options.only:
        with tempfile.TemporaryDirectory(prefix="stgan-", dir=options.folder) as folder:
            for name in CASES:  # a process each, so that its memory is its own
                if name == "tensorflow" and importlib.util.find_spec(name) is None:
                    print("tensorflow is not installed, so its checkpoint is left out")
                    continue
                subprocess.run([sys.executable, __file__, folder, "--only", name], check=True)
                for file in Path(folder).iterdir():
                    file.unlink()
        return
    file, error = CASES[options.only](options.folder, np.random.default_rng(0))
    print(f"; largest difference {error:.1e}", flush=True)
    if error > 1e-4:
        raise SystemExit(f"{file}: more than 1e-4")


if __name__ == "__main__":
    main()
