"""Cloud Storage XML API over HTTP."""

from __future__ import annotations

import re
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote
from xml.sax.saxutils import escape

import grpc
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from emulator.api.errors import ApiError, invalid_argument
from emulator.services.gate import Gate
from emulator.services.http_gate import gate_http_request
from emulator.services.storage.objects import (
    MAX_PAGE_SIZE,
    BucketObjects,
    ListQuery,
    ObjectPage,
    StoredObject,
)

_IF_GENERATION_MATCH: Final = "x-goog-if-generation-match"
_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)", re.ASCII)
_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, "InvalidArgument"),
    grpc.StatusCode.UNAUTHENTICATED: (401, "AuthenticationRequired"),
    grpc.StatusCode.PERMISSION_DENIED: (403, "AccessDenied"),
    grpc.StatusCode.NOT_FOUND: (404, "NoSuchKey"),
    grpc.StatusCode.ALREADY_EXISTS: (409, "Conflict"),
    grpc.StatusCode.ABORTED: (409, "Conflict"),
    grpc.StatusCode.FAILED_PRECONDITION: (412, "PreconditionFailed"),
    grpc.StatusCode.OUT_OF_RANGE: (416, "InvalidRange"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (429, "TooManyRequests"),
    grpc.StatusCode.UNIMPLEMENTED: (501, "NotImplemented"),
    grpc.StatusCode.UNAVAILABLE: (503, "ServiceUnavailable"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (504, "GatewayTimeout"),
}


class StorageXmlApi:
    """The pages of Cloud Storage: `/BUCKET` and `/BUCKET/OBJECT`."""

    def __init__(self, gate: Gate, objects: BucketObjects) -> None:
        self._gate = gate
        self._objects = objects

    def routes(self) -> list[Route]:
        """The routes, to be placed behind those of the emulator itself."""
        methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
        return [
            Route("/{bucket}", self.answer, methods=methods),
            Route("/{bucket}/{name:path}", self.answer, methods=methods),
        ]

    async def answer(self, request: Request) -> Response:
        """One request, through the same gate as the gRPC calls."""
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        bucket, name = _bucket_and_object(request)
        verb = request.method if name or request.method != "GET" else "LIST"

        async def handle() -> Response:
            return self._handle(verb, bucket, name, request, body)

        return await gate_http_request(self._gate, f"storage.{verb}", handle, _error_response)

    def _handle(self, verb: str, bucket: str, name: str, request: Request, body: bytes) -> Response:
        params = request.query_params
        match verb:
            case "LIST":
                query = _query(request)
                return _listing_response(bucket, query, self._objects.list(bucket, query))
            case "PUT" if name and not params:
                return _headers_only(self._put(bucket, name, request, body))
            case "PUT" | "POST" | "DELETE" if name and params:
                return self._upload(verb, bucket, name, request, body)
            case "GET" if name:
                return _content_response(
                    self._objects.get(bucket, name), request.headers.get("range", "")
                )
            case "HEAD" if name:
                return _headers_only(self._objects.get(bucket, name), length=True)
            case "DELETE" if name:
                match = request.headers.get(_IF_GENERATION_MATCH, "")
                self._objects.delete(bucket, name, if_generation=match)
                return Response(status_code=204)
        raise _unimplemented()

    def _upload(self, verb: str, bucket: str, name: str, request: Request, body: bytes) -> Response:
        """A step of an upload in parts, which clients choose for large objects."""
        params = request.query_params
        upload = params.get("uploadId", "")
        if verb == "POST" and "uploads" in params:
            upload = self._objects.begin_upload()
            return _xml_response(200, _element("InitiateMultipartUploadResult", "UploadId", upload))
        if verb == "PUT" and upload and params.get("partNumber", "").isdecimal():
            etag = self._objects.add_part(upload, int(params["partNumber"]), body)
            return Response(headers={"etag": etag})
        if verb == "POST" and upload:
            stored = self._put(bucket, name, request, self._objects.complete_upload(upload))
            text = _element("CompleteMultipartUploadResult", "ETag", stored.etag)
            return _xml_response(200, text, _object_headers(stored))
        if verb == "DELETE" and upload:
            self._objects.complete_upload(upload)
            return Response(status_code=204)
        raise _unimplemented()

    def _put(self, bucket: str, name: str, request: Request, body: bytes) -> StoredObject:
        return self._objects.put(
            bucket,
            name,
            body,
            content_type=request.headers.get("content-type", "application/octet-stream"),
            if_generation=request.headers.get(_IF_GENERATION_MATCH, ""),
        )


def _bucket_and_object(request: Request) -> tuple[str, str]:
    """Bucket and object of a request; names may hold any character, escaped in the path."""
    path = request.scope["raw_path"].decode("ascii").partition("?")[0]
    bucket, _, name = path.removeprefix("/").partition("/")
    return unquote(bucket), unquote(name)


def _query(request: Request) -> ListQuery:
    params = request.query_params
    most = params.get("max-keys", str(MAX_PAGE_SIZE))
    if not (most.isascii() and most.isdecimal()):
        raise invalid_argument("max-keys is not a number.")
    return ListQuery(
        prefix=params.get("prefix", ""),
        delimiter=params.get("delimiter", ""),
        start_after=params.get("start-after", ""),
        token=params.get("continuation-token", ""),
        max_keys=int(most),
    )


def _listing_response(bucket: str, query: ListQuery, listing: ObjectPage) -> Response:
    contents = "".join(
        f"<Contents><Key>{escape(name)}</Key><Generation>{stored.generation}</Generation>"
        f"<LastModified>{stored.updated.isoformat().replace('+00:00', 'Z')}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.data)}</Size></Contents>"
        for name, stored in listing.objects
    )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
        for prefix in listing.prefixes
    )
    following = escape(listing.next_token)
    more = f"<NextContinuationToken>{following}</NextContinuationToken>" if following else ""
    return _xml_response(
        200,
        f"<ListBucketResult><Name>{escape(bucket)}</Name><Prefix>{escape(query.prefix)}</Prefix>"
        f"<IsTruncated>{str(bool(following)).lower()}</IsTruncated>{more}{contents}{prefixes}"
        "</ListBucketResult>",
    )


def _content_response(stored: StoredObject, asked: str) -> Response:
    """The content of an object, or the range of it that was asked for."""
    headers = _object_headers(stored)
    if not asked:
        return Response(stored.data, headers=headers, media_type=stored.content_type)
    match = _RANGE.fullmatch(asked)
    size = len(stored.data)
    if match is None or asked == "bytes=-":
        raise invalid_argument("The range is not understood.")
    first = int(match["first"]) if match["first"] else max(0, size - int(match["last"]))
    last = min(int(match["last"]), size - 1) if match["first"] and match["last"] else size - 1
    if first > last:
        message = "The requested range cannot be satisfied."
        raise ApiError(grpc.StatusCode.OUT_OF_RANGE, message)
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    part = stored.data[first : last + 1]
    return Response(part, status_code=206, headers=headers, media_type=stored.content_type)


def _headers_only(stored: StoredObject, *, length: bool = False) -> Response:
    headers = _object_headers(stored)
    if length:
        headers["content-length"] = str(len(stored.data))
    return Response(headers=headers, media_type=stored.content_type)


def _object_headers(stored: StoredObject) -> dict[str, str]:
    return {
        "etag": stored.etag,
        "x-goog-generation": str(stored.generation),
        "last-modified": format_datetime(stored.updated, usegmt=True),
    }


def _error_response(refusal: ApiError) -> Response:
    status, code = _HTTP_STATUS.get(refusal.code, (500, "InternalError"))
    text = escape(refusal.message)
    return _xml_response(status, f"<Error><Code>{code}</Code><Message>{text}</Message></Error>")


def _unimplemented() -> ApiError:
    return ApiError(grpc.StatusCode.UNIMPLEMENTED, "The emulator does not implement this.")


def _element(outer: str, inner: str, text: str) -> str:
    return f"<{outer}><{inner}>{escape(text)}</{inner}></{outer}>"


def _xml_response(status: int, body: str, headers: dict[str, str] | None = None) -> Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>{body}'
    return Response(text, status_code=status, headers=headers, media_type="application/xml")
