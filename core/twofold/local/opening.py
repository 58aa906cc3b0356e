"""Opens a model from a folder or a hub id and chooses the engine that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twofold.cards import find_card
from twofold.errors import ModelError
from twofold.extras import extra

with extra("local"):
    import huggingface_hub as _hub  # noqa: F401 - a missing library is reported at once, not during work
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
    """Find a checkpoint, recognise its family, and choose the engine that runs it.

    Raises:
        ModelError: the folder or hub id has no usable checkpoint.
        MissingExtra: the family runs through sentence-transformers, and that extra is not installed.
    """
    card = None if Path(settings.model).is_dir() else find_card(settings.model)
    where = locate(card.name if card else settings.model, settings.revision)
    try:
        return LocalBackend(settings, Checkpoint.read(where, card.name if card else None))
    except UnknownFamily as unknown:
        reason = str(unknown)
    from twofold.local.sentence_transformers import SentenceTransformersBackend  # noqa: PLC0415 - rarely needed

    return SentenceTransformersBackend(settings, where, reason)


def locate(model: str, revision: str | None = None) -> Path:
    """The folder of a checkpoint: `model` itself, or the snapshot of a hub id, downloaded if it is not in the cache.

    huggingface-hub applies its own settings for the cache, offline mode and token.

    Raises:
        ModelError: `model` is not a folder, and not a hub id that can be downloaded.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise ModelError(f"{model} is a file: give the folder that contains it")
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ModelError(f"there is no folder {model}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - not needed for folders
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(
            snapshot_download(model, revision=revision, allow_patterns=[*NEEDED], ignore_patterns=[*NOT_NEEDED])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        which = model if revision is None else f"{model} (revision {revision})"
        raise ModelError(
            f"{which} is not a folder, and as a hub id it could not be downloaded: {reason.rstrip('.')}. "
            "Give the path of a checkpoint folder, or check the id, the network and, for a gated model, HF_TOKEN"
        ) from error
