"""Which vectors of an answer can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.wires.wire import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.hosted.call import Call
    from twofold.wires.wire import Reply

UNIT = 1e-2
"""How far from 1 the length of a vector may be that is to have it."""


def check(reply: Reply, call: Call, width: int | None, redact: Callable[[str], str]) -> None:
    """Refuse vectors that cannot be right.

    Raises:
        Violation: another width, a number that is not finite, zeros, another length than 1, another model.
    """
    vectors = reply.vectors
    if width is not None and vectors.shape[1] != width:
        raise Violation(f"vectors of {vectors.shape[1]} dimensions came, and {width} were asked for")
    if not np.isfinite(vectors).all():
        raise Violation("a vector has NaN or infinity")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not norms.all():
        raise Violation("a vector is all zeros")
    if call.unit and np.abs(norms - 1).max() > UNIT:
        raise Violation(f"a vector has length {norms[np.abs(norms - 1).argmax()]:.3f}, and 1 was asked for")
    if reply.model is not None and not call.echoes(reply.model):
        named = redact(reply.model)[:80]
        raise Violation(f"the model {named!r} answered, which was not asked for (a gateway's name: served_as)")
