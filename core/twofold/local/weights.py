"""Weights: safetensors files and nothing else, checked before they are read, then memory-mapped."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twofold.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch

LARGEST_HEADER = 100_000_000  # the limit of the safetensors library itself
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies, and its shape."""

    file: Path
    shape: tuple[int, ...]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: those of its index, or the one that it has.

    Raises:
        ModelError: none, some of the index's missing, or pickles alone, which could run code and are never opened.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        files = sorted({folder / name for name in read_json(index).get("weight_map", {}).values()})
        if missing := [file.name for file in files if not file.exists()]:
            raise ModelError(f"{folder} lacks weights that its index lists: {', '.join(missing)}")
        return files
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    if pickles := sorted(file.name for pattern in PICKLES for file in folder.glob(pattern)):
        raise ModelError(
            f"{folder} has its weights as a pickle alone ({pickles[0]}), which can run code: convert it to "
            "model.safetensors, for example with safetensors.torch.save_file"
        )
    raise ModelError(f"{folder} has no weights: no model.safetensors and no model.safetensors.index.json")


def read_header(file: Path) -> dict[str, TensorInfo]:
    """The names and shapes of a safetensors file, its length checked against them.

    Raises:
        ModelError: the file is truncated or corrupt.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, LARGEST_HEADER):
                raise ValueError("its header is longer than the file")  # noqa: TRY301 - one message for all of these
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        infos = {name: TensorInfo(file, tuple(entry["shape"])) for name, entry in header.items()}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(f"{file} is not a whole safetensors file: {error}. Fetch it again") from None
    if size != 8 + length + end:
        raise ModelError(f"{file} is truncated or corrupt: {size} bytes, where its header says {8 + length + end}")
    return infos


def read_headers(files: Iterable[Path]) -> dict[str, TensorInfo]:
    """The tensors of several files."""
    return {name: info for file in files for name, info in read_header(file).items()}


def read_tensor(info: TensorInfo, name: str) -> torch.Tensor:
    """One tensor, mapped into memory and not read until it is used.

    The file is opened for this tensor alone: a copy of it in another dtype lets the mapping go again, so that loading
    never holds a file twice.
    """
    from safetensors import safe_open  # noqa: PLC0415 - after the extra was checked

    with safe_open(info.file, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor


def digest(files: Iterable[Path]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the files' contents, in the order of their names."""
    total = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file.

    Raises:
        ModelError: the file is there and is not a JSON object.
    """
    try:
        raw = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{file} is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise ModelError(f"{file} is not a JSON object")
    return raw
