"""Measures what sizes, forms, tasks, late chunking and models achieve on your own corpus."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.documents import Document
from twofold.errors import InputError
from twofold.jobs.chunking import Cutting
from twofold.jobs.corpus import Unreadable
from twofold.jobs.metrics import DEPTH, interval, measure
from twofold.jobs.questions import derive_questions
from twofold.jobs.tuning.forms import FORMS, check_forms, find
from twofold.stores.checks import check_counts, refuses_long
from twofold.vectors import cut, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twofold.embedder import Embedder
    from twofold.jobs.corpus import Item
    from twofold.jobs.questions import Question
    from twofold.jobs.tuning.forms import Form
    from twofold.vectors import FloatArray

SAMPLE = 2000
"""The most documents to embed."""

LOSS = 0.02
"""The share of the best nDCG@10 that a smaller choice may lose."""

SMALLEST = 32
"""The fewest dimensions tried by default."""

MOST_CHUNKS = 20
"""A search returns at most this many times more rows than documents, if documents have several chunks."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of embedding to compare: an embedder, and how documents are cut.

    Attributes:
        name: its name in the results.
        embedder: computes the vectors.
        chunk_tokens: the most tokens in a chunk. A document ranks by its best chunk. None keeps documents whole.
        late: embed each chunk in the context of its document.
    """

    name: str
    embedder: Embedder
    chunk_tokens: int | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one size and form of one way.

    Attributes:
        way, dimensions, form: what was measured.
        ndcg, recall: mean nDCG@10 and recall@10 over the questions.
        low, high: 95 % confidence interval of the nDCG difference to the first way at its full size in floats.
        bytes: size of one vector.
        rows: how many vectors the sampled documents have.
        milliseconds: time to search all rows for one question.
    """

    way: str
    dimensions: int
    form: Form
    ndcg: float
    recall: float
    low: float
    high: float
    bytes: int
    rows: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """All results. The others are compared with the first.

    Attributes:
        documents, questions: how many were used.
        derived: whether the questions were derived from the documents.
        results: one for each way, size and form.
        chosen: the result with the fewest total bytes whose nDCG@10 is at most `loss` (a share) below the best.
        loss: see `tune`.
    """

    documents: int
    questions: int
    derived: bool
    results: list[Result]
    chosen: Result
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """A dict that `json` can write."""
        return asdict(self)


def tune(
    ways: Sequence[Way],
    items: Iterable[Item | Unreadable],
    questions: Sequence[Question] = (),
    *,
    sizes: Sequence[int] = (),
    forms: Sequence[Form] = FORMS,
    sample: int = SAMPLE,
    loss: float = LOSS,
    seed: int = 0,
    progress: bool = False,
) -> Tuned:
    """Embed a sample of a corpus in each way, then measure each size and form of the vectors with questions.

    Vectors are computed once for each way. They are then cut and quantised as an embedder with `dimensions` and a store
    with quantisation would do.

    Args:
        ways: the ways to compare.
        items: the corpus. Unreadable and blank documents are skipped.
        questions: questions with judged answers. If empty, questions are derived from titles and first sentences, which
            are then removed from the documents.
        sizes: dimensions to try. If empty, the sizes that the model was trained for, or repeated halves of its width.
        forms: "float", "int8", "binary".
        sample: the most documents to embed. Documents that answer a question are always included.
        loss: see `Tuned.chosen`.
        seed: makes the sample repeatable.
        progress: show a progress bar for each way.

    Raises:
        InputError: there is nothing to compare or no question, or a size or form is invalid.
        MissingExtra: the extra `tune` is not installed. Raised before anything is embedded.
    """
    _check(ways, sizes, forms, sample, loss)
    documents = _sampled(items, questions, sample, seed)
    asked = [one for one in questions if one.answers]
    derived = not questions
    if derived:
        asked, documents = derive_questions(documents)
    if not asked:
        raise InputError("no questions: none was given with answers, and none could be derived from the documents")
    results = [result for way in ways for result in _measured(way, documents, asked, sizes, forms, progress=progress)]
    reference = results[0][1]
    told = [_with_interval(result, values - reference) for result, values in results]
    best = max(one.ndcg for one in told)
    good = [one for one in told if one.ndcg >= best * (1 - loss)]
    chosen = min(good, key=lambda one: (one.bytes * one.rows, -one.ndcg))
    return Tuned(len(documents), len(asked), derived, told, chosen, loss)


def _check(ways: Sequence[Way], sizes: Sequence[int], forms: Sequence[Form], sample: int, loss: float) -> None:
    measure([{"a": 1}], [["a"]])  # raises MissingExtra before anything is embedded
    if not ways or not forms:
        raise InputError("nothing to compare: expected at least one way of embedding and one form of vectors")
    if len({way.name for way in ways}) < len(ways):
        raise InputError("two ways have the same name")
    if sample < 1 or not 0 <= loss < 1:
        raise InputError(f"sample={sample}, loss={loss}: sample must be at least 1, and loss at least 0 and below 1")
    for way in ways:
        Cutting(way.chunk_tokens, way.late).check(way.embedder)
        for size in sizes:
            way.embedder.card.check_dimensions(size)
        check_forms(forms, sizes or sizes_of(way.embedder))


def sizes_of(embedder: Embedder) -> list[int]:
    """The sizes to try: the model's Matryoshka sizes, or repeated halves of the embedder's dimensions."""
    full = embedder.dimensions
    trained = [size for size in embedder.card.matryoshka if size < full]
    halves = [full >> step for step in range(1, 8) if full >> step >= SMALLEST and (full >> step) % 8 == 0]
    return [full, *sorted(trained or halves, reverse=True)]


def _sampled(items: Iterable[Item | Unreadable], questions: Sequence[Question], sample: int, seed: int) -> list[Item]:
    """Random documents, and all documents that answer a question."""
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    wanted = {key for question in questions for key in question.answers or ()}
    answers: list[Item] = []
    others: list[Item] = []
    seen = 0
    for item in items:
        if isinstance(item, Unreadable) or not item.text.strip():
            continue
        if item.id in wanted:
            answers.append(item)
            continue
        seen += 1
        if len(others) < sample:
            others.append(item)
        elif (place := chance.randrange(seen)) < sample:
            others[place] = item
    if lacking := wanted - {item.id for item in answers}:
        raise InputError(f"{min(lacking)!r} should answer a question but is not in the corpus")
    return answers + others[: max(0, sample - len(answers))]


def _measured(
    way: Way,
    documents: Sequence[Item],
    asked: Sequence[Question],
    sizes: Sequence[int],
    forms: Sequence[Form],
    *,
    progress: bool,
) -> Iterable[tuple[Result, Any]]:
    rows, owners = _rows(way, documents, progress=progress)
    queries = way.embedder.embed_queries([question.text for question in asked])
    names = [documents[owner].id for owner in owners]
    most = min(MOST_CHUNKS, max(Counter(owners).values()))
    answers = [question.answers or {} for question in asked]
    for size in sizes or sizes_of(way.embedder):
        short = normalize(cut(rows, size)), normalize(cut(queries, size))
        for form in forms:
            found = find(form, *short, DEPTH * most)
            ranked = [[*dict.fromkeys(names[place] for place in own)][:DEPTH] for own in found.places]
            values, recalls = measure(answers, ranked)
            means = float(values.mean()), float(recalls.mean())
            yield (
                Result(way.name, size, form, *means, 0.0, 0.0, found.bytes, len(rows), found.milliseconds),
                values,
            )


def _rows(way: Way, documents: Sequence[Item], *, progress: bool) -> tuple[FloatArray, list[int]]:
    """The vectors of documents or their chunks, and the document number of each vector."""
    cutting = Cutting(way.chunk_tokens, way.late)
    if way.chunk_tokens is None and refuses_long(way.embedder):
        counts = way.embedder.count_tokens([item.text for item in documents])
        check_counts(way.embedder, [item.id for item in documents], dict(enumerate(counts)))
    cuts = [cutting.document(way.embedder, item.text) for item in documents]
    owners = [number for number, one in enumerate(cuts) for _ in one.spans]
    if way.chunk_tokens and not way.late:
        cuts = [Document.whole(one.text[start:end]) for one in cuts for start, end in one.spans]
    return np.concatenate(way.embedder.embed_late(cuts, progress=progress)), owners


def _with_interval(result: Result, differences: Any) -> Result:
    low, high = interval(differences)
    return Result(**{**asdict(result), "low": low, "high": high})
