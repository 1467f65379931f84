"""Reads a TensorFlow checkpoint in its own process: `python tensorflow_child.py PREFIX OUT.npz MOST_BYTES`.

TensorFlow's reader is C++ code that may crash on a damaged file, and loading it takes seconds and much memory. The
variables of C3D go to OUT.npz. After a failure, the last line on standard output is JSON with the error.
"""

import json
import re
import sys
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf

WANTED = re.compile(r"(?:.*/)?(?:[wb]c\d[a-z]?|[wb]d\d|[wb]?out)")


def main(prefix: str, out: str, most: int) -> None:
    _limit_memory(8 * most)
    reader = tf.train.load_checkpoint(prefix)
    shapes = {name: shape for name, shape in reader.get_variable_to_shape_map().items() if WANTED.fullmatch(name)}
    if sum(prod(shape) for shape in shapes.values()) * 4 > most:
        raise ValueError(f"its variables have more than {most} bytes")
    variables: dict[str, Any] = {name: np.asarray(reader.get_tensor(name), np.float32) for name in shapes}
    np.savez(out, **variables)


def _limit_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except Exception as error:  # TensorFlow raises many types
        print(json.dumps({"error": str(error)[:2000]}))
        sys.exit(1)
