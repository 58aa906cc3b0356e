"""The collections of a folder or a server: which there are, and how one is removed."""

from __future__ import annotations

from typing import Any

from chroma_twofold.connect import asking, connect, is_there
from twofold.adapters import resolve


class Catalogue:
    """What a store can do beyond one collection; see `twofold.stores.catalogue`."""

    name: str
    client: Any
    _address: str | None

    def names(self) -> list[str]:
        """Every collection of the tenant and database; a folder that is not there has none, and is not made."""
        if self.client is None and self._address is not None:
            if not is_there(self._address):
                return []
            self.client = connect(self._address)
        with asking():
            found = resolve(self.client.list_collections())
        return sorted(one if isinstance(one, str) else one.name for one in found)

    def drop(self) -> None:
        """Remove the collection from its database."""
        with asking(f"Chroma cannot remove the collection {self.name!r}"):
            resolve(self.client.delete_collection(self.name))
