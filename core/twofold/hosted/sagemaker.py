"""Jina's models on Amazon SageMaker, through boto3, which finds credentials and region as it always does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from twofold.extras import extra
from twofold.hosted.exchange import CONNECT_SECONDS, READ_SECONDS, Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.hosted.exchange import Request


class SageMakerTransport:
    """Invokes one endpoint. `client` is a boto3 client for "sagemaker-runtime" of the user's own, or None.

    boto3 cannot be interrupted: a thread that waits on it when a call is given up ends at boto3's own read timeout.
    """

    def __init__(self, endpoint: str, redact: Callable[[str], str], client: Any = None) -> None:
        """Open nothing yet."""
        with extra("sagemaker"):
            import boto3  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415
        self._endpoint, self._redact = endpoint, redact
        self._client = client or boto3.client(
            "sagemaker-runtime",
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 1},  # the flow decides on retries
            ),
        )

    def line(self) -> SageMakerTransport:
        """Itself: boto3's clients may be shared by threads."""
        return self

    def send(self, request: Request, seconds: float) -> Answer:
        """Invoke the endpoint, and block until its answer is there."""
        try:
            said = self._client.invoke_endpoint(
                EndpointName=self._endpoint,
                ContentType="application/json",
                Accept="application/json",
                Body=request.body,
            )
            body = said["Body"].read(request.most_bytes + 1)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes words
            return self._fault(request, error)
        wrong = f"over {request.most_bytes} bytes came" if len(body) > request.most_bytes else ""
        return Answer(request.number, 200, _headers(said), body, wrong)

    async def asend(self, request: Request, seconds: float) -> Answer:
        """The same from an event loop; boto3 itself has no async face."""
        return await asyncio.to_thread(self.send, request, seconds)

    def free(self) -> None:
        """Nothing to keep."""

    def cut(self) -> None:
        """Not possible with boto3."""

    def close(self) -> None:
        """Nothing to close: boto3 pools its connections."""

    def _fault(self, request: Request, error: Exception) -> Answer:
        said = getattr(error, "response", None)
        name = type(error).__name__
        if not isinstance(said, dict):
            return Answer(request.number, fault=self._redact(f"{name}: {error}")[:300], slow="Timeout" in name)
        # The container's own status, where SageMaker only passes it on as a 424 with its message.
        status = said.get("OriginalStatusCode") or said.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        words = said.get("OriginalMessage") or said.get("Error", {}).get("Message", "")
        return Answer(request.number, int(status), _headers(said), str(words).encode())


def _headers(said: dict[str, Any]) -> dict[str, str]:
    headers = said.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return {name.lower(): value for name, value in headers.items()}
