"""Files that a person downloads from the page."""

import zipfile
from pathlib import Path

from stgan.files import LOCK, replacing


def zipped(folder: Path, where: Path) -> Path:
    """The files of a folder as an archive in `where`, without links and hidden files. Videos are stored as they are."""
    archive = where / f"{folder.name}.zip"
    with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not path.is_symlink() and path.name != LOCK and inside.parts[0][0] != ".":
                file.write(path, Path(folder.name) / inside)
    return archive
