"""A voice as it comes over HTTP: a form with fields and one file, never more of it than may be."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import cast

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from models.own_voice import FIELDS

from .prompt import MAX_BYTES, too_large
from .refusal import VoiceRefused, bad_field

MAX_FIELDS = 32
MAX_FIELD_BYTES = 8_192  # far above the longest transcript
MAX_FORM_BYTES = MAX_BYTES + 65_536  # the file, the fields, and what separates them
HEARD_OUT_BYTES = 2 * MAX_FORM_BYTES
"""A form that is not much too large is read to its end: many clients read an answer only when they have sent all."""
UPLOAD_S = 120.0

_TICKED = {"true", "yes", "on", "1"}


@dataclass(frozen=True, slots=True)
class Upload:
    """What a form held: its fields, and a file that lives as long as the request."""

    values: dict[str, str]
    audio: SpooledTemporaryFile[bytes]


@asynccontextmanager
async def received(request: Request, *, timeout_s: float = UPLOAD_S) -> AsyncIterator[Upload]:
    """Raises VoiceRefused, OSError when there is no room for it. It is refused while it comes, not afterwards."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise VoiceRefused(415, "bad_upload", "A form as multipart/form-data was expected, but another kind came.")
    whole = asyncio.Event()
    stream = _bounded(request, whole)
    parser = _Parser(request.headers, stream, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    parser.whole = whole
    try:
        async with asyncio.timeout(timeout_s):
            form = await parser.parse()
    except TimeoutError:
        message = f"All of the form was expected within {timeout_s:g} s, but it was still coming."
        raise VoiceRefused(408, "timeout", message) from None
    except MultiPartException as error:
        raise _bad_upload(f"the form cannot be read: {error.message[0].lower()}{error.message[1:]}") from None
    except (UnicodeError, LookupError):  # of the charset that its head names
        raise _bad_upload("the form cannot be read: its text was expected in UTF-8.") from None
    except ClientDisconnect:
        raise _bad_upload("the connection was lost before all of it came.") from None
    finally:
        await stream.aclose()
    try:
        upload = _upload(form)
        await asyncio.to_thread(upload.audio.rollover)  # a file that another process can read
        yield upload
    finally:
        await form.close()


class _Parser(MultiPartParser):
    """Says when the form's last boundary has come: a form that lacks it is cut short."""

    whole: asyncio.Event

    def on_end(self) -> None:
        self.whole.set()


async def _bounded(request: Request, whole: asyncio.Event) -> AsyncGenerator[bytes, None]:
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > HEARD_OUT_BYTES:
        raise too_large()
    num_bytes = 0
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes > HEARD_OUT_BYTES:
            break
        if num_bytes <= MAX_FORM_BYTES:
            yield chunk
    if num_bytes > MAX_FORM_BYTES:
        raise too_large()
    if not whole.is_set():
        raise _bad_upload("the form is cut short: its last boundary was expected, but it did not come.")


def _upload(form: FormData) -> Upload:
    values: dict[str, str] = {}
    audio: SpooledTemporaryFile[bytes] | None = None
    for field, value in form.multi_items():
        if field in values or (field == "audio" and audio is not None):
            raise _bad_upload(f"{field[:40]!r} was expected once, but it came twice.")
        if field == "audio":
            if not isinstance(value, UploadFile):
                raise bad_field("'audio' was expected as a file, but a text came.")
            audio = cast("SpooledTemporaryFile[bytes]", value.file)
        elif field not in FIELDS:
            raise bad_field(f"One of the fields {', '.join(FIELDS)}, audio was expected, but {field[:40]!r} came.")
        elif isinstance(value, UploadFile):
            raise bad_field(f"'{field}' was expected as a text, but a file came.")
        else:
            values[field] = value
    if audio is None:
        raise bad_field("'audio' was expected as a file, but it is missing.")
    if values.get("consent", "").strip().lower() in _TICKED:
        values["consent"] = f"The uploader declared that the speaker agrees, {datetime.date.today()}."
    return Upload(values, audio)


def _bad_upload(message: str) -> VoiceRefused:
    return VoiceRefused(400, "bad_upload", message[0].upper() + message[1:])
