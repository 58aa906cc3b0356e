"""What an `embed` that was cut short has paid for: vectors by the digests of their texts, in a file beside its output.

The file is one line of JSON that says what the vectors are, then records of the same size: 16 bytes of a text's
SHA-256, and its vector as little-endian float32. A record that a kill has cut off is passed over.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.vectors import FloatArray

KEY_BYTES = 16


class Unfinished:
    """The vectors that are there of earlier runs, and those of this one.

    Attributes:
        path: the file, `<output>.unfinished`.

    Raises:
        InputError: an earlier run left vectors of something else.
    """

    def __init__(self, output: Path, said: dict[str, Any], dimensions: int) -> None:
        """Read what is there; `said` is what these vectors are."""
        self.path = output.with_name(f"{output.name}.unfinished")
        self._header = (json.dumps(said, sort_keys=True) + "\n").encode()
        self._record = np.dtype([("key", f"V{KEY_BYTES}"), ("vector", "<f4", (dimensions,))])
        self._found: dict[bytes, int] = {}
        if self.path.exists():
            self._read()
        else:
            self.path.write_bytes(self._header)

    def has(self, text: str) -> bool:
        """Whether a text has its vector."""
        return _key(text) in self._found

    def keep(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Write vectors down."""
        records = np.empty(len(texts), self._record)
        keys = [_key(text) for text in texts]
        records["key"] = np.array(keys, f"V{KEY_BYTES}")
        records["vector"] = vectors
        there = len(self._found)
        start = len(self._header) + there * self._record.itemsize
        with self.path.open("r+b") as file:
            file.truncate(start)  # an earlier run's last record may have been cut off
            file.seek(start)
            file.write(records.tobytes())
        self._found.update((key, there + number) for number, key in enumerate(keys))

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of texts that have theirs, shape (n, dimensions)."""
        records = np.memmap(self.path, self._record, "r", len(self._header), (len(self._found),))
        return np.array(records["vector"][[self._found[_key(text)] for text in texts]], np.float32)

    def remove(self) -> None:
        """Remove the file: the output is whole."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> None:
        raw = self.path.read_bytes()
        if not raw.startswith(self._header):
            raise InputError(
                f"{self.path} is what another model or task left unfinished: finish that embed, or remove the file"
            )
        count = (len(raw) - len(self._header)) // self._record.itemsize
        records = np.frombuffer(raw, self._record, count, len(self._header))
        self._found = {key.tobytes(): number for number, key in enumerate(records["key"])}


def _key(text: str) -> bytes:
    return sha256(text.encode()).digest()[:KEY_BYTES]
