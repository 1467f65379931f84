"""Import of published weights of other programs.

A file's format is recognised by its content, not by its name. Nothing in a file is run, and a file of more than
`layers.MOST_BYTES` is refused. One module per format reads layers; one module per network knows the names that other
programs give its layers.
"""

from stgan.checkpoints.importing.c3d_files import PROTOCOLS
from stgan.checkpoints.importing.file_formats import FORMATS, recognise
from stgan.checkpoints.importing.published import KINDS, POOL5, import_card, import_weights

__all__ = ["FORMATS", "KINDS", "POOL5", "PROTOCOLS", "import_card", "import_weights", "recognise"]
