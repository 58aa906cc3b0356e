"""Chooses the device and the precision."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import TYPE_CHECKING

import torch

from twofold.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

ACCURACY = {
    "float32": "within 1e-5 of transformers",
    "bfloat16": "cosine to float32 usually 0.9999",
    "int8": "lowest measured cosine to float32 0.998 for MiniLM, or 0.993 with 7-bit weights",
}
"""The accuracy of each precision, measured on passages in many languages."""


def choose_device(name: str) -> torch.device:
    """The requested device; "auto" prefers CUDA, then Apple's GPU, then the CPU.

    Raises:
        DeviceError: this machine does not have it; the message lists the devices that it has.
    """
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        name = "cuda:0" if "cuda:0" in there else there[-1]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        raise DeviceError(f"device {name!r} does not exist: this machine has {', '.join(there)}")
    _prepare_forks()
    return torch.device(wanted)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in; "auto" is bfloat16 if the hardware supports it natively, otherwise float32."""
    if name in {"float32", "bfloat16"}:
        return torch.float32 if name == "float32" else torch.bfloat16
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = device.type == "cpu" and cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (avx512_bf16 or amx_bf16). False if torch does not report it."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch raised the error because the memory of the device or of this machine ran out."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def trim_memory() -> None:
    """Return freed memory to the system. Otherwise glibc keeps tens of megabytes for later allocations."""
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _prepare_forks() -> None:
    """Let a forked child of this process compute, on one thread; it would wait forever for the parent's threads."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return found
