"""Reads a corpus for commands that do not index it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.documents import is_blank
from twofold.errors import InputError
from twofold.jobs import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.jobs import Corpus, Item


def read_documents(corpus: Corpus) -> Iterator[Item]:
    """The documents of a corpus. Blank ones are skipped and counted.

    Raises:
        InputError: a document cannot be read.
    """
    for item in corpus:
        if isinstance(item, Unreadable):
            raise InputError(item.reason)
        if is_blank(item.text):
            corpus.skipped["blank documents"] += 1
        else:
            yield item


def describe_skipped(corpus: Corpus) -> str:
    """What was skipped, such as "3 .png files, 1 blank documents"; empty if nothing was."""
    return ", ".join(f"{count:,} {what}" for what, count in corpus.skipped.most_common())
