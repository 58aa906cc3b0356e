"""Opens a model from a folder or a hub id and chooses the engine that runs it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import islice
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
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.files.recognise import UnknownFamily
from twofold.local.files.weights import NoWeights, explain_weights

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from twofold.backend import Backend
    from twofold.local.sentence_transformers import SentenceTransformersBackend
    from twofold.settings import Settings

NEEDED = ("*.json", "*.safetensors", "*.txt", "README.md")
WEIGHTS = {"model.safetensors", "model.safetensors.index.json"}
TRIED = 3
"""The number of pull requests of a model that are examined."""
NOT_NEEDED = ("onnx/*", "openvino/*", "coreml/*", "gguf/*")


def open_backend(settings: Settings) -> Backend:
    """Find a checkpoint, recognise its family, and choose the engine that runs it.

    Raises:
        ModelError: the folder or hub id has no usable checkpoint.
        MissingExtra: the family runs through sentence-transformers, and that extra is not installed.
    """
    where, hub_id = Path(settings.model).expanduser(), None
    if not where.is_dir():
        card = find_card(settings.model)
        hub_id = card.name if card else settings.model
        where = locate(hub_id, settings.revision)
    try:
        backend = _choose(settings, where, hub_id)
    except NoWeights as error:
        raise error if hub_id is None else _without_weights(hub_id, settings.revision, where) from None
    except ModelError as error:
        if hub_id is None:
            raise
        raise ModelError(str(error).replace(f"{where} ", f"{hub_id} ")) from error.__cause__
    files = backend.checkpoint.files if isinstance(backend, LocalBackend) else backend.files
    files.warn_unclear(backend.card, settings)
    return backend


def _choose(settings: Settings, where: Path, hub_id: str | None) -> LocalBackend | SentenceTransformersBackend:
    try:
        return LocalBackend(settings, Checkpoint.read(where, hub_id))
    except UnknownFamily as unknown:
        reason = str(unknown)
    from twofold.local.sentence_transformers import SentenceTransformersBackend  # noqa: PLC0415 - rarely needed

    return SentenceTransformersBackend(settings, where, reason, hub_id)


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

    load = partial(snapshot_download, model, revision=revision, allow_patterns=[*NEEDED], ignore_patterns=[*NOT_NEEDED])
    try:
        return Path(load())
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        if not isinstance(error, HfHubHTTPError | HFValidationError):  # the hub did not answer
            with suppress(LocalEntryNotFoundError, OSError):  # some versions ask it although the commit is cached
                return Path(load(local_files_only=True))
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        which = model if revision is None else f"{model} (revision {revision})"
        raise ModelError(
            f"{which} is not a folder, and as a hub id it could not be downloaded: {reason.rstrip('.')}. "
            "Give the path of a checkpoint folder, or check the id, the network and, for a gated model, HF_TOKEN"
        ) from error


def _without_weights(hub_id: str, revision: str | None, where: Path) -> ModelError:
    """The error for a hub id without safetensors. The hub is asked which files and pull requests the model has."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - only after a failure

    which = hub_id if revision is None else f"{hub_id} (revision {revision})"
    try:
        api = HfApi()
        said = f"{which} {explain_weights(api.list_repo_files(hub_id, revision=revision))}"
        found = _converted(api, hub_id) if "pickle" in said else None
    except Exception:  # noqa: BLE001 - whatever it raises, the error is that there are no weights
        return ModelError(
            f"{which} has no weights in the hub's cache ({where}). Twofold downloads only safetensors: if the "
            "repository has only pickled weights, give the revision of a pull request that has model.safetensors"
        )
    if found is not None:
        said = f"{said}. Or use its pull request that has model.safetensors: revision={found!r}"
    return ModelError(said)


def _converted(api: HfApi, hub_id: str) -> str | None:
    """A pull request of a hub id that adds safetensors, as a revision, or None."""
    pulls = api.get_repo_discussions(hub_id, discussion_type="pull_request")
    for pull in islice((pull for pull in pulls if "safetensors" in pull.title.lower()), TRIED):
        revision = f"refs/pr/{pull.num}"
        if WEIGHTS & set(api.list_repo_files(hub_id, revision=revision)):
            return revision
    return None
