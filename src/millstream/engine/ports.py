"""What a run asks of the world outside: models, tools, code, files, people, journal, clock.

The engine and the nodes know these Protocols only; the rooms `models`, `tools`, `sandbox`,
`knowledge` and `home` answer them, and `runtime` wires them together. Requests and answers are
plain data, so that they can be journalled, sent to another process or played back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from millstream.values import File

# ------------------------------------------------------------------------------------- models

Role = Literal["system", "user", "assistant", "tool"]


class ModelRef(msgspec.Struct, frozen=True):
    """A model as an app file names it. What it is here is the business of bindings."""

    provider: str
    name: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}" if self.name else "?"  # a template's model is empty


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a prompt. files: images and others that go with the text."""

    role: Role
    text: str
    files: tuple[File, ...] = ()


class ModelRequest(msgspec.Struct, omit_defaults=True, gc=False):
    """One call of a language model.

    mode: "completion" sends a single user message as a bare prompt where the server can.
    params: the file's `completion_params` under the file's names (temperature, top_p,
    max_tokens, …); an adapter maps what it knows and leaves out what its server refuses.
    schema: a JSON schema that the answer must fulfil; `structured` of the end is then set.
    """

    model: ModelRef
    messages: Sequence[Message]
    mode: Literal["chat", "completion"] = "chat"
    params: dict[str, Any] = {}
    stop: Sequence[str] = ()
    schema: dict[str, Any] | None = None


class Usage(msgspec.Struct, omit_defaults=True):
    """What calls cost. Times in seconds; prices are 0 for models on this machine."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    latency: float = 0.0  # whole calls, queueing excluded
    time_to_first_token: float = 0.0
    time_to_generate: float = 0.0
    price: float = 0.0
    currency: str = "USD"

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            calls=self.calls + other.calls,
            latency=self.latency + other.latency,
            time_to_first_token=self.time_to_first_token + other.time_to_first_token,
            time_to_generate=self.time_to_generate + other.time_to_generate,
            price=self.price + other.price,
            currency=self.currency,
        )


class ModelChunk(msgspec.Struct):
    """A piece of an answer: text, or reasoning that is not part of the text."""

    text: str = ""
    reasoning: str = ""


class ModelEnd(msgspec.Struct):
    """The end of an answer, always the last item of a stream.

    finish_reason: "stop", "length", "tool_calls", "content_filter" or the server's own word.
    model: what really answered, as "provider/name". structured: the validated JSON value when a
    schema was asked for; rung: how it was got (native, grammar, extracted, repaired, asked again).
    replaces: the streamed text was not the answer (a re-ask); this is. cached: tokens of the prompt
    that the server had read before, where it says so.
    """

    usage: Usage
    finish_reason: str | None = None
    model: str = ""
    structured: Any = None
    rung: str | None = None
    replaces: str | None = None
    cached: int | None = None


class Models(Protocol):
    def generate(self, request: ModelRequest) -> AsyncGenerator[ModelChunk | ModelEnd, None]:
        """Stream an answer. Closing the iterator cancels the call at the server."""


# -------------------------------------------------------------------------------------- tools


class ToolRef(msgspec.Struct, frozen=True):
    """A tool as an app file names it. kind: the file's `provider_type`."""

    kind: str
    provider: str
    name: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class ToolParameter(msgspec.Struct, frozen=True):
    name: str
    type: str = "string"
    required: bool = False
    default: Any = None


class ToolResult(msgspec.Struct):
    """What a tool gave. texts are joined by the node; variables become outputs of their own."""

    text: str = ""
    files: list[File] = []
    json: list[Any] = []
    variables: dict[str, Any] = {}
    usage: Usage | None = None


class Tools(Protocol):
    def parameters(self, tool: ToolRef) -> Sequence[ToolParameter] | None:
        """The parameters of a tool, form settings included; None for a tool that isn't here."""

    async def invoke(self, tool: ToolRef, parameters: dict[str, Any]) -> ToolResult:
        """Call a tool; raises MillstreamError."""


# ------------------------------------------------------------------------------- code, templates


class CodeResult(msgspec.Struct):
    """What `main` returned (a JSON value), and what the code printed."""

    value: Any
    printed: str = ""


class Sandbox(Protocol):
    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> CodeResult:
        """Run `main` of untrusted code; language "python3" or "javascript".

        Raises MillstreamError: code that raises (with the line in the code), a limit, or no
        safe way to run code here.
        """

    async def render(self, template: str, variables: dict[str, Any]) -> str:
        """Render an untrusted Jinja2 template that may run for ever or fill the memory."""


# ----------------------------------------------------- files, knowledge, people: later issues


class Files(Protocol):
    async def read(self, file: File) -> bytes:
        """The bytes of a file value."""

    async def save(self, data: bytes, *, name: str, mime_type: str) -> File:
        """Keep bytes that a node made."""


class Knowledge(Protocol):
    async def retrieve(self, datasets: Sequence[str], query: str, **options: Any) -> list[Any]:
        """The chunks that fit a query, best first, as mappings of the DSL."""


class People(Protocol):
    async def ask(self, name: str, form: dict[str, Any]) -> dict[str, Any]:
        """Wait for a person's answer to a form; `name` is the execution's name."""


# ---------------------------------------------------------------------------- journal and clock


class Record(msgspec.Struct):
    """A finished node execution as a journal keeps it. retries: how often it was tried again."""

    outputs: dict[str, Any]
    handle: str = "source"
    usage: Usage | None = None
    details: dict[str, Any] = {}
    retries: int = 0


class Journal(Protocol):
    """The memory of a run. An execution is known by its deterministic name; a record is only
    good for the same fingerprint (node definition, resolved inputs, model, parameters)."""

    def recall(self, name: str, fingerprint: bytes) -> Record | None:
        """The record of an execution that needs no second run; None to run it."""

    def record(self, name: str, fingerprint: bytes, record: Record) -> None:
        """Keep a finished execution; may be written a little later."""

    async def commit(self) -> None:
        """Return when all records so far are safe."""


class Clock(Protocol):
    """Time, ids and chance. Deterministic schedulers hand in their own."""

    def now(self) -> float:
        """Seconds from an arbitrary start, never going back."""

    def time(self) -> float:
        """Unix time in seconds."""

    async def sleep(self, seconds: float) -> None: ...

    def new_id(self) -> str:
        """A fresh id, unique among runs."""


class Ports(msgspec.Struct):
    """Everything a run may ask. A port that is None makes its askers fail with a clear error."""

    clock: Clock
    models: Models | None = None
    tools: Tools | None = None
    sandbox: Sandbox | None = None
    files: Files | None = None
    knowledge: Knowledge | None = None
    people: People | None = None
    journal: Journal | None = None


# --------------------------------------------------------------------------------------- needs


class Need(msgspec.Struct, frozen=True):
    """Something that must be here before an app runs.

    kind: "model" (ref is a ModelRef), "tool" (a ToolRef), "code" (a language name), "package" (a
    Python module that code imports), "runtime" (this version cannot run the node: ref is its
    type).
    """

    kind: Literal["model", "tool", "code", "package", "runtime"]
    ref: Any
    node: str
    schema: bool = False  # a model that must answer in JSON
    vision: bool = False  # a model that is given images
