"""Models on Amazon SageMaker and Bedrock, through boto3, which finds credentials and region in its usual way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twofold.extras import extra
from twofold.hosted.exchange import CONNECT_SECONDS, READ_SECONDS, Answer
from twofold.hosted.loop import in_thread
from twofold.keys import Key

if TYPE_CHECKING:
    import asyncio

    from twofold.hosted.exchange import Request

JSON = "application/json"
PASSING = frozenset({"HTTPClientError", "ConnectionError", "OSError"})
"""Names of the error classes, botocore's among them, that a retry may avoid."""


class AwsTransport:
    """Invokes one SageMaker endpoint or one Bedrock model.

    boto3 cannot be interrupted: if a call is cancelled, its thread ends at boto3's own read timeout.
    """

    def __init__(self, service: str, name: str, client: Any = None) -> None:
        """Create the boto3 client, unless the user's `client` is given.

        Args:
            service: "sagemaker" or "bedrock".
            name: the endpoint's name, or the model's id or ARN.
            client: a boto3 client.

        Raises:
            MissingExtra: boto3 is not installed.
        """
        with extra("aws"):
            import boto3  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415
        self._call = _on_sagemaker if service == "sagemaker" else _on_bedrock
        self._name = name
        runtime: Any = f"{service}-runtime"
        self._client = client or boto3.client(
            runtime,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 1},  # the flow decides on retries
            ),
        )

    async def send(self, request: Request, seconds: float, caller: asyncio.AbstractEventLoop | None) -> Answer:
        return await in_thread(self._invoke, request)

    def _invoke(self, request: Request) -> Answer:
        try:
            said, stream = self._call(self._client, self._name, request.body)
            body = stream.read(request.most_bytes + 1)
        except Exception as error:  # noqa: BLE001 - every exception becomes a message
            return _fault(request, error)
        wrong = f"it is longer than {request.most_bytes} bytes" if len(body) > request.most_bytes else ""
        return Answer.received(request.number, 200, _headers(said), body, key=Key(), wrong=wrong)


def _on_sagemaker(client: Any, name: str, body: bytes) -> tuple[dict[str, Any], Any]:
    """The response, and the stream of its body."""
    said = client.invoke_endpoint(EndpointName=name, ContentType=JSON, Accept=JSON, Body=body)
    return said, said["Body"]


def _on_bedrock(client: Any, name: str, body: bytes) -> tuple[dict[str, Any], Any]:
    """The response, and the stream of its body."""
    said = client.invoke_model(modelId=name, contentType=JSON, accept=JSON, body=body)
    return said, said["body"]


def _fault(request: Request, error: Exception) -> Answer:
    """An exception as an answer. SageMaker reports its container's errors as 424; the container's status is used."""
    said, name = getattr(error, "response", None), type(error).__name__
    if not isinstance(said, dict):
        passing = any(base.__name__ in PASSING for base in type(error).__mro__)
        passing = passing and "CERTIFICATE_VERIFY_FAILED" not in str(error)
        words = Key().redact(f"{name}: {error}")[:300]
        unreached = name in {"EndpointConnectionError", "ConnectTimeoutError"}
        slow = name == "ReadTimeoutError"
        return Answer(request.number, fault=words, slow=slow, hopeless=not passing, unreached=unreached)
    status = said.get("OriginalStatusCode") or said.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if "Throttl" in name or "Throttl" in said.get("Error", {}).get("Code", ""):
        status = 429
    words = said.get("OriginalMessage") or said.get("Error", {}).get("Message", "")
    return Answer.received(request.number, int(status), _headers(said), str(words).encode(), key=Key())


def _headers(said: dict[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = said.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers
