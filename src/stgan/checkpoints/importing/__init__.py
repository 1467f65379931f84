"""Import of published weights of other programs.

A file's format is recognised by its content, not by its name. Nothing in a file is run, and at most `MOST_BYTES` are
read. One module per format reads layers; one module per network knows the names that other programs give its layers.
"""

from stgan.checkpoints.importing.c3d_files import PROTOCOLS
from stgan.checkpoints.importing.file_formats import FORMATS, Format, recognise
from stgan.checkpoints.importing.layers import MOST_BYTES
from stgan.checkpoints.importing.published import KINDS, POOL5, import_card, import_weights

__all__ = [
    "FORMATS",
    "KINDS",
    "MOST_BYTES",
    "POOL5",
    "PROTOCOLS",
    "Format",
    "import_card",
    "import_weights",
    "recognise",
]
