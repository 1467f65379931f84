"""Measurements of clips, kept on disk: nothing is computed twice, and an interrupted run can continue."""

import hashlib
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stgan.errors import StganError
from stgan.names import quoted

_FILE = "scores.sqlite"
_DIGEST = 32  # bytes of SHA-256 in front of each entry
_TIMEOUT = 30.0  # seconds to wait for another process that writes


class ScoreCache:
    """Arrays by key, in an SQLite file that several processes and threads may use at once.

    Keys are hashes of contents, so an entry never becomes outdated. An entry that cannot be read counts as missing.

    Raises:
        StganError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=_TIMEOUT, check_same_thread=False)
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, arrays BLOB NOT NULL)")
            self._database.commit()
        except (OSError, sqlite3.Error) as error:
            raise self._problem(error) from error

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays kept under a key, or None."""
        try:
            with self._lock:
                row = self._database.execute("SELECT arrays FROM results WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._problem(error) from error
        try:
            return load(_checked(row[0])) if row else None
        except (SafetensorError, ValueError):
            return None

    def put(self, entries: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Keep arrays under their keys, all or none of them."""
        rows = [(key, _with_digest(save(dict(arrays)))) for key, arrays in entries.items()]
        try:
            with self._lock, self._database:
                self._database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def close(self) -> None:
        self._database.close()

    def _problem(self, error: Exception) -> StganError:
        return StganError(
            f"results cannot be kept in {quoted(self.path)} ({error}); remove the file, choose another folder by "
            "--cache or XDG_CACHE_HOME, or use --no-cache where a command has that"
        )


def _with_digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest() + data


def _checked(entry: Any) -> bytes:
    """The data of an entry. ValueError if its digest does not match, because the file was damaged."""
    if not isinstance(entry, bytes) or _with_digest(entry[_DIGEST:]) != entry:
        raise ValueError
    return entry[_DIGEST:]
