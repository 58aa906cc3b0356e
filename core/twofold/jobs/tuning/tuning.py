"""`tune`: what sizes, forms, tasks, late chunking and models are worth on a corpus of one's own."""

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
from twofold.jobs.questions import made_of
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
"""Documents that are embedded."""

LOSS = 0.02
"""How much of the best nDCG@10 a smaller choice may lose."""

SMALLEST = 32
"""Dimensions below which nothing is tried by itself."""

MOST_CHUNKS = 20
"""Times as many rows as documents are looked at, where documents have several."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way of embedding that is to be compared: an embedder, and how documents are cut for it.

    Attributes:
        name: what the results call it.
        chunk_tokens: cut documents into chunks of so many tokens; a document is found by its best chunk.
        late: embed each chunk in its document.
    """

    name: str
    embedder: Embedder
    chunk_tokens: int | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What one size and form of one way is worth.

    Attributes:
        way, dimensions, form: which it is.
        ndcg, recall: nDCG@10 and recall@10, means over the questions.
        low, high: between these the nDCG is, less that of the first way at its full size in floats, in 95 of 100 cases.
        bytes: of one vector.
        rows: vectors that the documents of the sample have.
        milliseconds: of one question, by looking at all rows.
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
    """All results, the first of them that with which the others are compared, and the smallest that loses little.

    Attributes:
        documents, questions: how many there were.
        made: whether the questions were made of the documents.
        chosen: the fewest bytes in all whose nDCG@10 is at most `loss` (a share) under the best.
    """

    documents: int
    questions: int
    made: bool
    results: list[Result]
    chosen: Result
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    """Embed a sample of a corpus in each way, and measure each size and form of its vectors by questions.

    Vectors are made once for each way, and cut and quantised here, as an embedder with `dimensions` and a store that
    quantises would.

    Args:
        ways: those to compare.
        items: the corpus; what cannot be read or has no text is passed over.
        questions: with judgements; without them they are made of titles and first sentences, which are then taken out
            of the documents.
        sizes: dimensions; none are those that the model was trained for, or halves of its width.
        forms: "float", "int8", "binary".
        sample: documents at most; those that answer the questions are among them.
        loss: see `Tuned.chosen`.
        seed: draws the same sample each time.
        progress: draw a bar for each way.

    Raises:
        InputError: nothing to compare or to ask, a size or form that there is not.
        MissingExtra: the extra `tune` is not installed; before anything is embedded.
    """
    _check(ways, sizes, forms, sample, loss)
    documents = _sampled(items, questions, sample, seed)
    asked = [one for one in questions if one.answers]
    made = not questions
    if made:
        asked, documents = made_of(documents)
    if not asked:
        raise InputError("there are no questions: none was given with answers, and none could be made of the documents")
    results = [result for way in ways for result in _measured(way, documents, asked, sizes, forms, progress=progress)]
    reference = results[0][1]
    told = [_with_interval(result, values - reference) for result, values in results]
    best = max(one.ndcg for one in told)
    good = [one for one in told if one.ndcg >= best * (1 - loss)]
    chosen = min(good, key=lambda one: (one.bytes * one.rows, -one.ndcg))
    return Tuned(len(documents), len(asked), made, told, chosen, loss)


def _check(ways: Sequence[Way], sizes: Sequence[int], forms: Sequence[Form], sample: int, loss: float) -> None:
    measure([{"a": 1}], [["a"]])  # says what is not installed
    if not ways or not forms:
        raise InputError("nothing to compare: expected a way of embedding and a form of vectors at least")
    if len({way.name for way in ways}) < len(ways):
        raise InputError("two ways have the same name")
    if sample < 1 or not 0 <= loss < 1:
        raise InputError(
            f"sample={sample}, loss={loss}: a sample has one document at least, a loss is from 0 to below 1"
        )
    for way in ways:
        Cutting(way.chunk_tokens, way.late).check(way.embedder)
        for size in sizes:
            way.embedder.card.check_dimensions(size)
        check_forms(forms, sizes or sizes_of(way.embedder))


def sizes_of(embedder: Embedder) -> list[int]:
    """The sizes to try: those that a model was trained to be cut to, or halves of what the embedder gives."""
    full = embedder.dimensions
    trained = [size for size in embedder.card.matryoshka if size < full]
    halves = [full >> step for step in range(1, 8) if full >> step >= SMALLEST and (full >> step) % 8 == 0]
    return [full, *sorted(trained or halves, reverse=True)]


def _sampled(items: Iterable[Item | Unreadable], questions: Sequence[Question], sample: int, seed: int) -> list[Item]:
    """Documents at random, and those that answer the questions."""
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
        raise InputError(f"{min(lacking)!r} is to answer a question, and is not in the corpus")
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
    """The vectors of documents or of their chunks, and the number of the document of each."""
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
