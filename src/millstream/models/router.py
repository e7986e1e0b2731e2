"""The `Models` port: from a file's model to what answers here, with everything that a call needs.

A request goes through binding (what the model is here), a slot (no more calls at once than the
server can really run; waiting is not part of a call's time), the guard of the context, the
adapter of the protocol, and the splitting off of reasoning; with a schema it climbs the ladder of
`structured`. Text streams through untouched on the way. Closing the stream closes the connection.
"""

from __future__ import annotations

import asyncio
import base64
import mimetypes
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from functools import partial
from importlib import import_module
from time import perf_counter
from types import ModuleType

import msgspec

from millstream.engine.ports import (
    Files,
    Message,
    ModelChunk,
    ModelEnd,
    ModelRef,
    ModelRequest,
    Usage,
)
from millstream.models import guard, prompt, structured
from millstream.models.http import Http
from millstream.models.reasoning import Splitter
from millstream.models.repetition import Repetition
from millstream.models.stitch import continued
from millstream.models.target import LazyTarget, Target
from millstream.values import File

EMBEDDED = "embedded"
_FREE = nullcontext()  # a slot where there is no end of them
Items = AsyncGenerator[ModelChunk | ModelEnd, None]
Bind = Callable[[ModelRef], Target | LazyTarget | Awaitable[Target | LazyTarget]]


class Rules(msgspec.Struct, frozen=True):
    """How calls are checked and helped along; the settings `models.<field>`.

    reasks: how often a model is told that its JSON was wrong. continue_on_length: how often an
    answer that ran into the token limit is continued; 0 keeps it as it is, with the finish reason
    "length". check_prompt_tokens: a prompt that the server did not read whole is an error.
    stop_repetition: an answer without a token limit, of a model that runs in Millstream, is ended
    when it goes round in a circle (`repetition`); its finish reason is then "repetition".
    """

    reasks: int = 2
    continue_on_length: int = 0
    check_prompt_tokens: bool = True
    stop_repetition: bool = True


class Router:
    """bind: what a file's model is here; raises NotHere. files: reads images that are not on the
    web, for models that take images."""

    def __init__(
        self, http: Http, bind: Bind, *, files: Files | None = None, rules: Rules | None = None
    ) -> None:
        self.http = http
        self.rules = rules or Rules()
        self._bind = bind
        self._files = files
        self._slots: dict[tuple[str, str], asyncio.Semaphore] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def generate(self, request: ModelRequest) -> Items:
        """Stream an answer (`engine.ports.Models`)."""
        if request.schema is not None:
            return self._structured(request)
        if self.rules.continue_on_length:
            return continued(self._answer, request, self.rules.continue_on_length)
        return self._answer(request)

    async def resolve(self, ref: ModelRef) -> Target:
        """What a file's model is here, started if need be."""
        found = self._bind(ref)
        if isinstance(found, Awaitable):
            found = await found
        return found if isinstance(found, Target) else await found.open()

    async def _structured(self, request: ModelRequest) -> Items:
        target = await self.resolve(request.model)
        if "response_format" in self.http.refused.get(target.identity, ()):
            quirks = msgspec.structs.replace(target.quirks, schema="json_object")
            target = msgspec.structs.replace(target, quirks=quirks)
        answer = partial(self._answer, target=target)
        stream = structured.generate(answer, target, request, reasks=self.rules.reasks)
        async with aclosing(stream):
            async for item in stream:
                yield item

    async def _answer(self, request: ModelRequest, target: Target | None = None) -> Items:
        """One call: the plain way, without schema and continuation."""
        if target is None:
            target = await self.resolve(request.model)
        if any(message.files for message in request.messages):
            request = await self._with_files(target, request)
        module = adapter(target)
        async with self._slot(target):
            counter = getattr(module, "count_tokens", None)
            checked = await guard.prepare(self.http, target, request, counter)
            splitter = Splitter()
            watch = self._watch(target, request)
            began = first = perf_counter()
            pieces = 0
            stream: Items = module.generate(self.http, target, checked.request)
            end: ModelEnd | None = None
            try:
                async for item in stream:
                    if type(item) is ModelChunk:
                        if watch is not None:
                            pieces += 1
                            first = perf_counter() if pieces == 1 else first
                            if watch.feed(item.text or item.reasoning):
                                now = perf_counter()
                                read = checked.prompt_tokens or 0
                                taken = now - began, first - began, now - first
                                usage = Usage(read, pieces, 1, *taken)
                                end = ModelEnd(usage, "repetition", str(target))
                        if item.text:
                            parts = splitter.feed(item.text)
                            if parts is None:
                                yield item
                            else:
                                if item.reasoning:
                                    yield ModelChunk("", item.reasoning)
                                for text, thought in parts:
                                    yield ModelChunk(text, thought)
                        else:
                            yield item
                        if end is not None:  # it goes round in a circle
                            break
                    elif isinstance(item, ModelEnd):
                        end = item
            finally:
                await stream.aclose()
        for text, thought in splitter.close():
            yield ModelChunk(text, thought)
        assert end is not None
        if self.rules.check_prompt_tokens:
            checked.verify(end)
        end.model = end.model or str(target)
        if splitter.misjudged and end.replaces is None:
            end.replaces = splitter.text
        yield end

    def _watch(self, target: Target, request: ModelRequest) -> Repetition | None:
        """Whether an answer is to be ended when the model repeats itself without end."""
        if target.provider != EMBEDDED or not self.rules.stop_repetition:
            return None
        if request.schema is not None or prompt.max_tokens(request) is not None:
            return None
        return Repetition()

    def _slot(self, target: Target) -> AbstractAsyncContextManager[object]:
        if target.slots is None:
            return _FREE
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a semaphore serves one loop
            self._slots, self._loop = {}, loop
        key = target.base_url, target.server_model
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = asyncio.Semaphore(target.slots)
        return slot

    # ---------------------------------------------------------------------------------- files

    async def _with_files(self, target: Target, request: ModelRequest) -> ModelRequest:
        """The request as the model can take it: images as `data:` (or web) addresses, and other
        files left out, as the DSL wants of what a model does not support."""
        messages = []
        for message in request.messages:
            files = [file for file in message.files if target.images and file.type == "image"]
            inlined = tuple([await self._inlined(target, file) for file in files])
            messages.append(Message(message.role, message.text, inlined))
        kept = [message for message in messages if message.text or message.files]
        return msgspec.structs.replace(request, messages=kept)

    async def _inlined(self, target: Target, file: File) -> File:
        url, mime = file.url, file.mime_type
        if url.startswith("data:"):
            return file
        if url.startswith(("http://", "https://")):
            if target.protocol in ("openai", "azure"):
                return file  # fetched by the server
            answer = await self.http.fetch("GET", url)
            data, mime = answer.body, answer.headers.get("Content-Type", "").split(";")[0] or mime
        elif self._files is not None:
            data = await self._files.read(file)
        else:
            return file
        mime = mime or mimetypes.guess_type(file.name)[0] or "image/png"
        address = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        return msgspec.structs.replace(file, url=address, mime_type=mime)


def adapter(target: Target) -> ModuleType:
    """The module that speaks a target's protocol, loaded when first needed."""
    name = "openai" if target.protocol == "azure" else target.protocol
    return import_module(f"millstream.models.{name}")
