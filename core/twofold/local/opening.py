"""Opening a model: a folder or a hub id, and the engine that runs what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twofold.cards import find_card
from twofold.errors import ModelError
from twofold.extras import extra

with extra("local"):
    import huggingface_hub as _hub  # noqa: F401 - what is missing is said at once, not in the middle of work
    import safetensors as _safetensors  # noqa: F401
    import tokenizers as _tokenizers  # noqa: F401
    import torch as _torch  # noqa: F401

from twofold.local.backend import LocalBackend
from twofold.local.files.checkpoint import Checkpoint, UnknownFamily

if TYPE_CHECKING:
    from twofold.backend import Backend
    from twofold.settings import Settings

NEEDED = ("*.json", "*.safetensors", "*.txt", "README.md")
NOT_NEEDED = ("onnx/*", "openvino/*", "coreml/*", "gguf/*")


def open_backend(settings: Settings) -> Backend:
    """Find a checkpoint, recognise it, and choose the engine that runs it.

    Raises:
        ModelError: a folder or hub id without a usable checkpoint.
        MissingExtra: a family that goes through sentence-transformers, and that extra is not installed.
    """
    card = None if Path(settings.model).is_dir() else find_card(settings.model)
    where = locate(card.name if card else settings.model, settings.revision)
    try:
        return LocalBackend(settings, Checkpoint.read(where, card.name if card else None))
    except UnknownFamily as unknown:
        reason = str(unknown)
    from twofold.local.sentence_transformers import SentenceTransformersBackend  # noqa: PLC0415 - seldom needed

    return SentenceTransformersBackend(settings, where, reason)


def locate(model: str, revision: str | None = None) -> Path:
    """The folder of a checkpoint: itself, or a hub id's snapshot, fetched where the cache lacks it.

    The hub's library honours its own cache, offline mode and token.

    Raises:
        ModelError: neither a folder nor a hub id that can be had.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise ModelError(f"{model} is a file: give the folder that it lies in")
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ModelError(f"there is no folder {model}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - not for folders
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(
            snapshot_download(model, revision=revision, allow_patterns=[*NEEDED], ignore_patterns=[*NOT_NEEDED])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        which = model if revision is None else f"{model} (revision {revision})"
        raise ModelError(
            f"{which} is no folder, and as a hub id it could not be fetched: {reason.rstrip('.')}. "
            "Give the path of a checkpoint folder, or check the id, the network and, for a gated model, HF_TOKEN"
        ) from error
