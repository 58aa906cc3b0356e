"""Reads weights from safetensors files only. Headers are checked first, then tensors are memory-mapped."""

from __future__ import annotations

import hashlib
import json
import math
import operator
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import torch

ADAPTER_FILE = "adapter_model.safetensors"
LARGEST_HEADER = 100_000_000  # the limit of the safetensors library itself

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""The size of an element of each supported dtype, in bytes."""
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
CHUNK = 2**22


class NoWeights(ModelError):
    """The folder has no safetensors file. The message says what it has instead."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's file, the offset of its first byte, its dtype as safetensors names it, and its shape."""

    file: Path
    start: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * BYTES[self.dtype]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint: those in its index, or `model.safetensors`.

    Raises:
        NoWeights: there are no weights, or only pickles, which can run code and are never opened.
        ModelError: a file in the index is missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return _indexed(index)
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    raise NoWeights(f"{folder} {explain_weights(names)}")


def explain_weights(names: Collection[str]) -> str:
    """Why a checkpoint with these files, and without safetensors, cannot be used, and what to do."""
    for what, pattern, way_out in (
        (
            "has its weights only as a pickle ({}), which can run code",
            r"(pytorch_model.*\.bin|[^/]*\.(pt|pth|ckpt))",
            "convert it to model.safetensors, for example with safetensors.torch.save_file",
        ),
        ("has only an adapter ({})", ADAPTER_FILE, "merge it into its base model and save the result"),
        (
            "has only GGUF files ({}), for llama.cpp and Ollama",
            r".*\.gguf",
            "use the repository of the original model, which has model.safetensors, or the API of a server",
        ),
        (
            "has only ONNX files ({})",
            r".*\.onnx",
            "use the repository of the original model, which has model.safetensors",
        ),
        ("has only OpenVINO files ({})", r".*openvino.*\.xml", "use the repository with model.safetensors"),
    ):
        if found := sorted(name for name in names if re.fullmatch(pattern, name)):
            return f"{what.format(found[0])}: {way_out}"
    return "has no weights: no model.safetensors and no model.safetensors.index.json"


def _indexed(index: Path) -> list[Path]:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(name == Path(str(name)).name for name in shards.values()):
        raise ModelError(f"{index} has no weight_map from tensors to files in the same folder")
    files = [index.parent / name for name in sorted(set(shards.values()))]
    if missing := [file.name for file in files if not file.exists()]:
        raise ModelError(f"{index.parent} lacks weights that its index lists: {', '.join(missing)}")
    return files


def read_header(file: Path) -> dict[str, TensorInfo]:
    """The tensors of a safetensors file, by name. Checks that the file is as long as its header requires.

    Raises:
        ModelError: the file is missing, truncated or corrupt, or has a tensor of an unsupported dtype.
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
        raise ModelError(f"{file} does not exist") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise ModelError(f"{file} is not a complete safetensors file: {error}. Download it again") from None
    end = max((info.start + info.nbytes for info in infos.values()), default=8 + length)
    if size != end:
        raise ModelError(
            f"{file} is truncated or corrupt: it has {size} bytes, its header requires {end}. Download it again"
        )
    return infos


def _tensor_info(file: Path, data: int, name: str, entry: Mapping[str, Any]) -> TensorInfo:
    start, end = entry["data_offsets"]
    if entry["dtype"] not in BYTES:
        raise ValueError(f"tensor {name} has type {entry['dtype']}, which the encoder does not support")
    info = TensorInfo(file, data + start, entry["dtype"], tuple(map(operator.index, entry["shape"])))
    if start < 0 or min(info.shape, default=0) < 0 or end - start != info.nbytes:
        raise ValueError(f"tensor {name} has {end - start} bytes, but its shape and type need {info.nbytes}")
    return info


def read_headers(files: Iterable[Path]) -> dict[str, TensorInfo]:
    return {name: info for file in files for name, info in read_header(file).items()}


def read_tensor(info: TensorInfo, name: str) -> torch.Tensor:
    """One tensor, memory-mapped: the data is read when it is used.

    The file is opened for each tensor separately. After a conversion to another dtype the mapping is released, so that
    loading never has a file in memory twice.

    Raises:
        ModelError: the file changed or disappeared after its header was read.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - after the extra was checked

    try:
        with safe_open(info.file, framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{info.file} cannot be read: {error}. Download it again") from error
    return tensor


def read_blocks(info: TensorInfo, name: str, rows: int) -> Iterator[torch.Tensor]:
    """A matrix by blocks of rows. Each block has its own mapping, so that its memory is released after use."""
    for start in range(0, info.shape[0], rows):
        yield read_tensor(info, name)[start : start + rows]


def digest(tensors: Mapping[str, TensorInfo], also: object = None) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of tensors in the order of their names, whatever their files.

    `also` is JSON data that affects the vectors too.
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
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file, or an empty one if the file does not exist.

    Raises:
        ModelError: the file does not contain a JSON object.
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
