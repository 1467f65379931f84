"""Files that a person sends to the page, and fetches from it."""

import shutil
import zipfile
from pathlib import Path

from stgan.files import LOCK, replacing
from stgan.names import is_file_name


def zipped(folder: Path, where: Path) -> Path:
    """The files of a folder as an archive in `where`, without links and hidden files. Videos are stored as they are."""
    archive = where / f"{folder.name}.zip"
    with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not path.is_symlink() and path.name != LOCK and inside.parts[0][0] != ".":
                file.write(path, Path(folder.name) / inside)
    return archive


def kept(upload: str, folder: Path, number: int = 1) -> Path:
    """A copy of an uploaded file in a folder, under its own name if that is a usable one."""
    path = Path(upload)
    name = path.name if is_file_name(path.name) else f"clip_{number}{path.suffix}"
    if (folder / name).exists():
        name = f"{number}_{name}"
    return Path(shutil.copyfile(path, folder / name))
