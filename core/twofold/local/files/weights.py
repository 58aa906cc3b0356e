"""Weights: safetensors files and nothing else, checked before they are read, then memory-mapped."""

from __future__ import annotations

import hashlib
import json
import math
import operator
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch

ADAPTER_FILE = "adapter_model.safetensors"
LARGEST_HEADER = 100_000_000  # the limit of the safetensors library itself
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Bytes of one element of each type that a published encoder stores."""
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
CHUNK = 2**22


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies: its file, and its first byte in it; its type in safetensors' words, and its shape."""

    file: Path
    start: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """How many bytes it takes in the file."""
        return math.prod(self.shape) * BYTES[self.dtype]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: those of its index, or the one that it has.

    Raises:
        ModelError: none, some of the index's missing, or pickles alone, which could run code and are never opened.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return _indexed(index)
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    if pickles := sorted(file.name for pattern in PICKLES for file in folder.glob(pattern)):
        raise ModelError(
            f"{folder} has its weights as a pickle alone ({pickles[0]}), which can run code: convert it to "
            "model.safetensors, for example with safetensors.torch.save_file"
        )
    if (folder / ADAPTER_FILE).exists():
        raise ModelError(f"{folder} is an adapter alone: merge it into its base model, and save that")
    raise ModelError(f"{folder} has no weights: no model.safetensors and no model.safetensors.index.json")


def _indexed(index: Path) -> list[Path]:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(name == Path(str(name)).name for name in shards.values()):
        raise ModelError(f"{index} has no weight_map from tensors to files beside it")
    files = [index.parent / name for name in sorted(set(shards.values()))]
    if missing := [file.name for file in files if not file.exists()]:
        raise ModelError(f"{index.parent} lacks weights that its index lists: {', '.join(missing)}")
    return files


def read_header(file: Path) -> dict[str, TensorInfo]:
    """What tensors a safetensors file holds, and where; its length is checked against that.

    Raises:
        ModelError: the file is absent, truncated or corrupt, or holds tensors of a type that no encoder has.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, LARGEST_HEADER):
                raise ValueError("its header is longer than the file")  # noqa: TRY301 - one message for all of these
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        infos = {name: _tensor_info(file, 8 + length, name, entry) for name, entry in header.items()}
    except FileNotFoundError:
        raise ModelError(f"there is no {file}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise ModelError(f"{file} is not a whole safetensors file: {error}. Fetch it again") from None
    end = max((info.start + info.nbytes for info in infos.values()), default=8 + length)
    if size != end:
        raise ModelError(f"{file} is truncated or corrupt: {size} bytes, where its header says {end}. Fetch it again")
    return infos


def _tensor_info(file: Path, data: int, name: str, entry: Mapping[str, Any]) -> TensorInfo:
    start, end = entry["data_offsets"]
    if entry["dtype"] not in BYTES:
        raise ValueError(f"tensor {name} is of type {entry['dtype']}, which the encoder does not read")
    info = TensorInfo(file, data + start, entry["dtype"], tuple(map(operator.index, entry["shape"])))
    if start < 0 or min(info.shape, default=0) < 0 or end - start != info.nbytes:
        raise ValueError(f"tensor {name} has {end - start} bytes, where its shape and type need {info.nbytes}")
    return info


def read_headers(files: Iterable[Path]) -> dict[str, TensorInfo]:
    """The tensors of several files."""
    return {name: info for file in files for name, info in read_header(file).items()}


def read_tensor(info: TensorInfo, name: str) -> torch.Tensor:
    """One tensor, mapped into memory and not read until it is used.

    The file is opened for this tensor alone: a copy of it in another dtype lets the mapping go again, so that loading
    never holds a file twice.

    Raises:
        ModelError: the file has changed or gone since its header was read.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - after the extra was checked

    try:
        with safe_open(info.file, framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{info.file} cannot be read: {error}. Fetch it again") from error
    return tensor


def read_blocks(info: TensorInfo, name: str, rows: int) -> Iterator[torch.Tensor]:
    """A matrix by blocks of rows, each from a mapping of its own: what was read can leave memory at once."""
    for start in range(0, info.shape[0], rows):
        yield read_tensor(info, name)[start : start + rows]


def digest(tensors: Mapping[str, TensorInfo], also: object = None) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of tensors by name: in one file or in many, wherever they lie.

    `also` is JSON that decides with them what is computed.
    """
    total = hashlib.sha256(json.dumps(also, sort_keys=True).encode())
    for name, info in sorted(tensors.items()):
        total.update(f"{name} {info.dtype} {info.shape}\n".encode())
        with info.file.open("rb") as stream:
            stream.seek(info.start)
            left = info.nbytes
            while left and (read := stream.read(min(left, CHUNK))):
                total.update(read)
                left -= len(read)
    return total.hexdigest()[:16]


def file_digest(file: Path) -> str:
    """The SHA-256 of a file's contents."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
