"""A callable class for Ray Data's `map_batches`.

dataset.map_batches(EmbedBatch, fn_constructor_args=[embedder], compute=ActorPoolStrategy(size=4), batch_size=256)
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import TwofoldError
from twofold.extras import extra
from twofold.jobs.distributed.answers import is_of_a_row
from twofold.jobs.distributed.places import Sent, places
from twofold.jobs.distributed.way import SideOrTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from twofold.embedder import Embedder
    from twofold.jobs.distributed.way import Side


class EmbedBatch:
    """Adds vectors for a column of texts to each batch. Each instance is one of Ray Data's actors.

    A text that cannot be embedded affects only its own row, which gets a null vector and the reason.

    Args:
        embedder: computes the vectors. Only its settings are sent. An actor reads the key from its own environment.
        column: the column with the texts.
        vector, error: names of the added columns: the vectors, and the reason if a row has none.
        side: "document" or "query".
        task: any task of the model, instead of a side.
        actors: how many actors share a hosted model's quota. Each uses an equal part.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        column: str = "text",
        vector: str = "vector",
        error: str = "error",
        side: Side = "document",
        task: str | None = None,
        actors: int = 1,
    ) -> None:
        self._sent = Sent(pickle.dumps(embedder), part=1 / actors)
        self._column, self._vector, self._error, self._way = column, vector, error, SideOrTask(side, task)

    def __call__(self, batch: Mapping[str, Any] | pa.Table) -> pa.Table:
        """The batch with both columns added, as an Arrow table.

        Raises:
            TwofoldError: an error about no particular row, such as a rejected key or a missing model.
        """
        with extra("ray"):
            import pyarrow as pa  # noqa: PLC0415 - optional
        table = batch if isinstance(batch, pa.Table) else pa.table({name: _plain(each) for name, each in batch.items()})
        texts = table.column(self._column).to_pylist()
        with places(self._sent).one() as embedder:
            width = embedder.dimensions
            answers = self._way.embed_each(embedder, texts)
        for answer in answers:
            if isinstance(answer, TwofoldError) and not is_of_a_row(answer):
                raise answer
        rows = [None if isinstance(one, TwofoldError) else one[0] for one in answers]
        errors = [str(one) if isinstance(one, TwofoldError) else None for one in answers]
        added = {
            self._vector: pa.array(rows, pa.list_(pa.float32(), width)),
            self._error: pa.array(errors, pa.string()),
        }
        for name, each in added.items():
            table = table.append_column(name, each)
        return table


def _plain(values: Any) -> Any:
    """A column that Arrow accepts. The rows of a multidimensional array become lists."""
    return values if not isinstance(values, np.ndarray) or values.ndim == 1 else list(values)
