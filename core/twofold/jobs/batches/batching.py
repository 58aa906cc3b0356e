"""Embeds texts with a provider's batch API, which is cheaper. The vectors are stored in the cache.

embedder = Embedder("openai:text-embedding-3-small", cache="paid-for")
batch(embedder, texts)                   # takes hours; may be killed at any time and called again
embedder.embed_documents(texts)          # from the cache
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twofold.backend import Batching
from twofold.errors import InputError
from twofold.jobs.batches.arrivals import Arrivals, prefix_of
from twofold.jobs.batches.run import BatchRun, Stopped
from twofold.jobs.batches.submissions import Submissions
from twofold.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twofold.backend import BatchAPI
    from twofold.embedder import Embedder


@dataclass(slots=True)
class Batched:
    """The result of `batch`, in numbers of texts.

    Attributes:
        cached: were already in the cache, or are repeated.
        done: embedded, and now in the cache.
        refused: refused by the provider. A single request for such a text succeeds, or reports the reason.
        submitted: batches (not texts) that this run submitted.
        under_way: still at the provider. Another run continues with them.
        stopped: whether `stop` ended the run.
    """

    cached: int = 0
    done: int = 0
    refused: int = 0
    submitted: int = 0
    under_way: int = 0
    stopped: bool = False


def batch(
    embedder: Embedder,
    texts: Iterable[str],
    *,
    progress: bool = False,
    stop: Callable[[], bool] | None = None,
) -> Batched:
    """Embed `texts` as documents with the provider's batch API, and store the vectors in the embedder's cache.

    Texts in the cache are not submitted. Each batch is recorded beside the cache before it is submitted. A run that is
    killed or stopped leaves its batches at the provider, and the next run continues with them; nothing is submitted
    twice. Texts of a batch that expired or was cancelled are submitted again; refused texts are not. Each batch also
    holds a text whose vector a single request has computed. If the two vectors differ, nothing of the batch is stored.

    Args:
        embedder: for a hosted model whose provider has a batch API, with `cache`.
        texts: a list, or the result of `texts_to_embed`. It is read again if texts must be submitted again.
        progress: show a progress bar.
        stop: called several times a second; True ends the run and leaves the batches at the provider.

    Raises:
        InputError: there is no cache or no batch API for the model, `texts` is an iterator or has an item that is not a
            string, or another process uses the batches of this cache.
        ProviderError: the provider refuses a batch, or is unavailable for longer than `max_outage`.
        SpaceMismatch: the vectors of the batch API differ from those of single requests.
    """
    api = check_batch(embedder)
    if isinstance(texts, str) or iter(texts) is texts:
        raise InputError("expected a list of texts, not an iterator: texts may be read twice, to submit some again")
    folder = str(embedder.settings.cache)
    total = len(texts) if isinstance(texts, Sized) else None
    with (
        Submissions(folder, f"{prefix_of(embedder)} {embedder.settings.base_url or ''}") as kept,
        reporting(total, "batches", shown=progress) as report,
    ):
        run = BatchRun(api, kept, Arrivals(embedder, folder, api, kept), stop or (lambda: False), report)
        made = Batched()
        try:
            run.carry_out(texts)
        except Stopped:
            made.stopped = True
        made.cached, made.done, made.refused, made.submitted = run.cached, run.done, run.refused, run.submitted
        made.under_way = sum(one.lines for one in kept.open())
        return made


def check_batch(embedder: Embedder) -> BatchAPI:
    """The batch API that `batch` would use; nothing is sent.

    Raises:
        InputError: there is no cache, no batch API for the model, or no key.
    """
    if embedder.settings.cache is None:
        raise InputError("a batch needs cache, the folder in which its vectors are stored")
    if not isinstance(embedder.backend, Batching):
        raise InputError(f"{embedder.settings.model}: only hosted models have a batch API")
    return embedder.backend.batch_api(embedder.document_task, embedder.dimensions, embedder.settings.truncate)
