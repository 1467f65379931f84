"""Published weights of other programs as our networks.

A file is read by what is in it, never by its name, never as a program, and never beyond `MOST_BYTES`. Each format has
a room that reads it as layers, and each network one that knows what its layers are called elsewhere.
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
