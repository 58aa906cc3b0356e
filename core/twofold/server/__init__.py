"""Serves embedders over HTTP to existing clients. Needs the extra `server`.

    from twofold.server import create_app

    app = create_app(Embedder("jinaai/jina-embeddings-v3"))    # an ASGI application: run it, or mount it elsewhere

`twofold serve` runs it on uvicorn.
"""

from twofold.extras import extra

with extra("server"):
    from twofold.server.app import create_app
    from twofold.server.limits import Limits

__all__ = ["Limits", "create_app"]
