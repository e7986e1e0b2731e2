"""LLM: a prompt with variables goes to a language model; its answer streams out.

The prompt's messages are rendered in the order of the file; a variable that is missing is an
error, unlike in answers. Then come, with memory on, the turn's question, and with vision on the
files. Text that a context variable holds is put in for `{{#context#}}` as it is: references
inside it are not looked up. Reasoning is always kept apart from the answer; only a node that asks
for `tagged` gets it back in front of its text. With structured output on, the answer is JSON that
fulfils the node's schema, checked here on this machine, or the node fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal

import msgspec

from millstream.base import BadInput, Failed, NotHere
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Need, Node, Outcome, Reading, Usage
from millstream.engine.node import DataClass
from millstream.engine.ports import (
    Message,
    ModelChunk,
    ModelEnd,
    ModelRef,
    ModelRequest,
    Models,
    Role,
)
from millstream.nodes.template_transform import (
    VariableSelector,
    inner_place,
    parse_template,
    plain,
)
from millstream.values import MISSING, File, Pool, Selector, TextTemplate, to_text
from millstream.values.templates import Heavy, Template

CONTEXT = "{{#context#}}"
CONTEXT_NAME = "context__"  # what a Jinja2 prompt calls it
CONTEXT_HERE = "{{ context__ }}"
QUERY = Selector("sys", "query")
FILES = Selector("sys", "files")


class ModelConfig(msgspec.Struct, kw_only=True):
    """mode: whether the prompt is a list of messages or one text."""

    provider: str = ""
    name: str = ""
    mode: str | None = "chat"
    completion_params: dict[str, Any] | None = None

    @property
    def ref(self) -> ModelRef:
        return ModelRef(self.provider, self.name)


class PromptMessage(msgspec.Struct, kw_only=True):
    """One message of the template; jinja2_text counts where edition_type is "jinja2". content: what
    others than Dify call the text; it counts where there is none."""

    role: Role | None = "user"
    text: str | None = ""
    content: Any = None
    edition_type: str | None = None
    jinja2_text: str | None = None
    id: str | None = None


class PromptConfig(msgspec.Struct, kw_only=True):
    jinja2_variables: list[VariableSelector] | None = None


class ContextConfig(msgspec.Struct, kw_only=True):
    enabled: bool | None = False
    variable_selector: list[str] | None = None


class Window(msgspec.Struct, kw_only=True):
    enabled: bool | None = False
    size: int | str | None = None


class Memory(msgspec.Struct, kw_only=True):
    role_prefix: dict[str, Any] | None = None
    window: Window | None = None
    query_prompt_template: str | None = None


class VisionConfigs(msgspec.Struct, kw_only=True):
    variable_selector: list[str] | None = None
    detail: str | None = "high"


class Vision(msgspec.Struct, kw_only=True):
    enabled: bool | None = False
    configs: VisionConfigs | None = None

    @property
    def selector(self) -> Selector | None:
        """Where the files are; None with vision off."""
        if not self.enabled:
            return None
        chosen = Selector.of(self.configs.variable_selector if self.configs else None)
        return chosen if chosen.given else FILES


class StructuredOutput(msgspec.Struct, kw_only=True):
    schema: dict[str, Any] | str | None = None


class LLMData(NodeData, kw_only=True):
    model: ModelConfig
    prompt_template: list[PromptMessage] | PromptMessage | None = None
    prompt_config: PromptConfig | None = None
    context: ContextConfig | None = None
    memory: Memory | None = None
    vision: Vision | None = None
    structured_output: StructuredOutput | None = None
    structured_output_switch_on: bool | None = None
    structured_output_enabled: bool | None = None  # the older name
    reasoning_format: Literal["tagged", "separated"] | None = None

    @property
    def structured(self) -> bool:
        on = self.structured_output_switch_on
        return bool(self.structured_output_enabled if on is None else on)


class LLM(Node[LLMData]):
    type = "llm"
    Data: ClassVar[DataClass] = LLMData
    retries = True
    effect = True

    def __init__(self, data: LLMData, build: Build) -> None:
        super().__init__(data, build)
        self.id = build.spec.id
        prompts = data.prompt_template
        self.completion = isinstance(prompts, PromptMessage)
        messages = [prompts] if isinstance(prompts, PromptMessage) else prompts or []
        self.prompts = [
            Prompt(message, build, "prompt_template", *(() if self.completion else (i,)))
            for i, message in enumerate(messages)
        ]
        config = data.prompt_config
        self.variables = [
            (v.variable, Selector.of(v.value_selector))
            for v in (config.jinja2_variables if config else None) or ()
        ]
        context = data.context
        self.context = (
            Selector.of(context.variable_selector) if context and context.enabled else None
        )
        self.vision = data.vision.selector if data.vision else None
        memory = data.memory
        self.question = TextTemplate(memory.query_prompt_template or "") if memory else None
        self.params = Params(data.model.completion_params or {})
        self.schema = _schema(data, build)
        self.jinja = any(prompt.template for prompt in self.prompts)

    def outputs(self) -> dict[str, str]:
        names = {
            "text": "string",
            "reasoning_content": "string",
            "usage": "object",
            "finish_reason": "string",
            "files": "array[file]",
        }
        return {**names, "structured_output": "object"} if self.schema else names

    def reads(self) -> Iterable[Reading]:
        for prompt in self.prompts:
            yield from prompt.reads()
        if self.jinja:
            for i, (_, selector) in enumerate(self.variables):
                yield Reading(selector, f"prompt_config.jinja2_variables.{i}.value_selector")
        if self.context is not None:
            yield Reading(self.context, "context.variable_selector")
        if self.vision is not None and self.vision != FILES:
            yield Reading(self.vision, "vision.configs.variable_selector", ("file", "array"))
        for selector in self.question.selectors if self.question else ():
            yield Reading(selector, "memory.query_prompt_template", required=True)
        yield from self.params.reads()

    def needs(self) -> Iterable[Need]:
        return (Need("model", self.data.model.ref, self.id, schema=self.schema is not None),)

    def inputs(self, pool: Pool) -> Inputs:
        context = self._context(pool)
        messages: list[Message | Mapping[str, Any]] = []
        for prompt in self.prompts:
            if prompt.template is not None:
                values = {name: _as_text(selector.read(pool)) for name, selector in self.variables}
                messages.append({"role": prompt.role, "jinja2": {**values, CONTEXT_NAME: context}})
            else:
                messages.extend(prompt.render(pool, context))
        if self.completion:
            messages = [_completion(message, pool) for message in messages]
        elif self.question is not None:
            messages.append(Message("user", self._question(pool)))
        files = self._files(pool)
        if files:
            _attach(messages, files)
        params = self.params.render(pool)
        return {
            "model": str(self.data.model.ref),
            "messages": messages,
            "params": params,
            "schema": self.schema,
        }

    async def run(self, inputs: Inputs, context: Context) -> Outcome:
        models = context.ports.models
        if models is None:
            raise NotHere("engine.no-port", port="models")
        messages = await self._rendered(inputs["messages"], context)
        params = dict(inputs["params"])
        request = ModelRequest(
            model=self.data.model.ref,
            messages=messages,
            mode="completion" if self.completion else "chat",
            params=params,
            stop=_stops(params.pop("stop", None)),
            schema=inputs["schema"],
        )
        text, reasoning, end = await ask(models, request, context)
        if self.data.reasoning_format == "tagged" and reasoning:
            text = f"<think>\n{reasoning}\n</think>\n{text}"
        outputs: dict[str, Any] = {
            "text": text,
            "reasoning_content": reasoning,
            "usage": usage_object(end.usage),
            "finish_reason": end.finish_reason,
            "files": [],
        }
        if self.schema is not None:
            if end.structured is None:
                raise Failed("nodes.no-structure", error_type="LLMNodeError")
            outputs["structured_output"] = end.structured
        details = {"model": end.model}
        if end.rung:
            details["structured_by"] = end.rung
        return Outcome(outputs, usage=end.usage, details=details)

    # -------------------------------------------------------------------------------- the prompt

    def _context(self, pool: Pool) -> str:
        """The text of the context variable: any value, or a list of texts or of chunks."""
        if self.context is None:
            return ""
        value = self.context.read(pool)
        if value is MISSING or value is None:
            return ""
        if not isinstance(value, list):
            return to_text(value)
        parts = []
        for item in value:
            if isinstance(item, dict) and "content" in item:
                parts.append(str(item["content"]))
            elif isinstance(item, str):
                parts.append(item)
            else:
                raise Failed("nodes.bad-context", error_type="InvalidContextStructureError")
        return "\n".join(parts)

    def _question(self, pool: Pool) -> str:
        assert self.question is not None
        if self.question.source.strip():
            return self.question.render(pool, missing=_missing)
        return to_text(_or_none(QUERY.read(pool)))

    def _files(self, pool: Pool) -> tuple[File, ...]:
        if self.vision is None:
            return ()
        value = self.vision.read(pool)
        found = value if isinstance(value, list) else [value]
        return tuple(item for item in found if isinstance(item, File))

    async def _rendered(self, messages: Sequence[Any], context: Context) -> list[Message]:
        """The messages to send: Jinja2 ones rendered, empty ones left out."""
        if self.jinja:
            prompts = iter([prompt for prompt in self.prompts if prompt.template is not None])
            texts: list[Any] = []
            for message in messages:
                if isinstance(message, Message):
                    texts.append(message)
                    continue
                text = await next(prompts).jinja(message["jinja2"], context)
                texts.append(Message(message["role"], text, tuple(message.get("files", ()))))
            messages = texts
        kept = [message for message in messages if message.text or message.files]
        if not kept:
            raise Failed("nodes.no-prompt", error_type="NoPromptFoundError")
        return kept


class Prompt:
    """One message of a prompt template, compiled."""

    def __init__(self, message: PromptMessage, build: Build, *path: str | int) -> None:
        self.role: Role = message.role or "user"
        self.field = ".".join(map(str, path))
        self.template: Template | None = None
        self.place = build.place(*path, "jinja2_text")
        if message.edition_type == "jinja2":
            source = (message.jinja2_text or "").replace(CONTEXT, CONTEXT_HERE)
            self.template = parse_template(source, build, *path, "jinja2_text")
        text = message.text or (message.content if isinstance(message.content, str) else "")
        self.parts = [TextTemplate(part) for part in text.split(CONTEXT)]

    def reads(self) -> Iterable[Reading]:
        if self.template is None:
            for part in self.parts:
                for selector in part.selectors:
                    yield Reading(selector, f"{self.field}.text", required=True)

    async def jinja(self, variables: dict[str, Any], context: Context) -> str:
        """The text of a Jinja2 message."""
        template = self.template
        assert template is not None
        try:
            if template.static:
                with suppress(Heavy):
                    return template.render(variables)
            sandbox = context.ports.sandbox
            if sandbox is None:
                raise Failed("engine.no-port", port="sandbox")
            return await sandbox.render(template.source, variables)
        except Failed as error:
            raise inner_place(error, self.place) from None

    def render(self, pool: Pool, context: str) -> list[Message]:
        """The message, and one more for the files that its text names."""
        texts = [part.render(pool, missing=_missing) for part in self.parts]
        messages = [Message(self.role, texts[0] if len(texts) == 1 else context.join(texts))]
        files: list[File] = []
        for part in self.parts:
            for selector in part.selectors:
                value = selector.read(pool)
                for item in value if isinstance(value, list) else (value,):
                    if isinstance(item, File):
                        files.append(item)
        if files:
            messages.append(Message(self.role, "", tuple(files)))
        return messages


class Params:
    """Completion parameters; those that hold references are rendered for each execution."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.fixed = {}
        self.templates: dict[str, TextTemplate] = {}
        for name, value in params.items():
            template = TextTemplate(value) if isinstance(value, str) else None
            if template is not None and template.selectors:
                self.templates[name] = template
            else:
                self.fixed[name] = value

    def reads(self) -> Iterable[Reading]:
        for name, template in self.templates.items():
            for selector in template.selectors:
                yield Reading(selector, f"model.completion_params.{name}")

    def render(self, pool: Pool) -> dict[str, Any]:
        if not self.templates:
            return self.fixed
        values = dict(self.fixed)
        for name, template in self.templates.items():
            text = template.render(pool)
            try:
                read: Any = msgspec.json.decode(text)
            except msgspec.DecodeError:
                read = text
            values[name] = read if isinstance(read, bool | int | float) else text
        return values


async def ask(
    models: Models, request: ModelRequest, context: Context, *, show: bool = True
) -> tuple[str, str, ModelEnd]:
    """Send a request and stream the answer into the run: text, reasoning, and the end.

    Raises Failed for a stream that breaks off without its end, so that half an answer is never
    taken for a whole one."""
    texts: list[str] = []
    reasoning: list[str] = []
    end: ModelEnd | None = None
    items = models.generate(request)
    try:
        async for item in items:
            if type(item) is ModelChunk and type(item.text) is type(item.reasoning) is str:
                if item.text:
                    texts.append(item.text)
                    if show:
                        context.text(item.text)
                if item.reasoning:
                    reasoning.append(item.reasoning)
                    if show:
                        context.reasoning(item.reasoning)
            elif type(item) is ModelEnd and end is None:
                end = item
            else:
                raise Failed("nodes.model-garbled", model=str(request.model))
    finally:
        await items.aclose()
    if end is None:
        raise Failed("nodes.model-broke-off", model=str(request.model))
    text = "".join(texts)
    if end.replaces is not None:
        text = end.replaces
        if show:
            context.replace(text)
    return text, "".join(reasoning), end


def usage_object(usage: Usage) -> dict[str, Any]:
    """Usage under the names that app files read; prices are decimal texts, times seconds."""
    price = f"{usage.price:.7f}" if usage.price else "0"
    return {
        "prompt_tokens": usage.prompt_tokens,
        "prompt_unit_price": "0",
        "prompt_price_unit": "0",
        "prompt_price": "0",
        "completion_tokens": usage.completion_tokens,
        "completion_unit_price": "0",
        "completion_price_unit": "0",
        "completion_price": "0",
        "total_tokens": usage.total_tokens,
        "total_price": price,
        "currency": usage.currency,
        "latency": round(usage.latency, 3),
        "time_to_first_token": round(usage.time_to_first_token, 3),
        "time_to_generate": round(usage.time_to_generate, 3),
    }


def _schema(data: LLMData, build: Build) -> dict[str, Any] | None:
    """The schema of a node with structured output on; null when none is given."""
    if not data.structured or data.structured_output is None:
        return None
    schema: Any = data.structured_output.schema
    if isinstance(schema, str):
        try:
            schema = msgspec.json.decode(schema)
        except msgspec.DecodeError:
            schema = None
    if not isinstance(schema, dict):
        raise BadInput("nodes.bad-schema", place=build.place("structured_output", "schema"))
    return schema


def _missing(selector: Selector) -> str:
    raise Failed("nodes.no-variable", name=str(selector), error_type="VariableNotFoundError")


def _or_none(value: Any) -> Any:
    return None if value is MISSING else value


def _as_text(value: Any) -> Any:
    """A variable of a Jinja2 prompt: lists and objects reach it as text."""
    value = plain(value)
    if isinstance(value, list):
        return "\n".join(
            str(item["content"]) if isinstance(item, dict) and "content" in item else to_text(item)
            for item in value
        )
    return to_text(value) if isinstance(value, dict) else value


def _completion(message: Any, pool: Pool) -> Any:
    """A completion prompt: the places of the question and of the (here empty) history."""
    if not isinstance(message, Message):
        return message
    query = to_text(_or_none(QUERY.read(pool)))
    text = message.text.replace("{{#histories#}}", "").replace("#histories#", "")
    return Message("user", text.replace("#sys.query#", query), message.files)


def _attach(messages: list[Any], files: tuple[File, ...]) -> None:
    """Put files into the last user message, or into a new one."""
    for i in range(len(messages) - 1, -1, -1):
        message = messages[i]
        if isinstance(message, Message) and message.role == "user":
            messages[i] = Message("user", message.text, (*message.files, *files))
            return
        if isinstance(message, dict) and message["role"] == "user":
            messages[i] = {**message, "files": [*message.get("files", ()), *files]}
            return
    messages.append(Message("user", "", files))


def _stops(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [str(item) for item in value or ()]
