"""Providers and servers that are known by name: where they are and what they do their own way.

A preset's name is the id that app files use for the provider, in the short form of
`home.names.provider_name`; `ALIASES` has the other names that people and newer files use. Where a
key is looked for is `home.credentials`' knowledge. Which model of which provider is called in the
end is for bindings to say.

Addresses as the providers document them in 2026. What a preset says about JSON is the best that
all of a provider's models do; a server that refuses it is asked in a plainer way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from millstream.base import BadInput, NotHere, Secret
from millstream.home.credentials import variables
from millstream.home.names import provider_name
from millstream.home.settings import Endpoint
from millstream.models.target import Protocol_, Quirks, Target


class Preset(msgspec.Struct, frozen=True):
    """A provider or a kind of server.

    base_url: "" where everybody has an own one. url_variables: environment variables that may
    hold it. local: it runs on machines of one's own and needs no key. options: of its targets.
    """

    provider: str
    base_url: str = ""
    protocol: Protocol_ = "openai"
    quirks: Quirks = Quirks(schema="json_object")
    url_variables: tuple[str, ...] = ()
    local: bool = False
    options: dict[str, Any] = {}


_OPEN = Quirks(schema="json_schema", params=None)
_OBJECT = Quirks(schema="json_object", params=None)
_PLAIN = Quirks(schema="none", params=None)
_SERVED = Quirks(schema="grammar", params=None, system_only=False)
_OPENAI = Quirks(
    schema="json_schema",
    max_tokens="max_completion_tokens",
    params=("reasoning_effort", "verbosity", "logit_bias", "user", "service_tier"),
)

_PRESETS = (
    # --- on machines of one's own -----------------------------------------------------------
    Preset("embedded", "", "openai", _SERVED, local=True, options={"tokenize": True}),
    Preset("ollama", "http://localhost:11434", "ollama", Quirks(schema="grammar"), local=True),
    Preset("lmstudio", "http://localhost:1234/v1", "openai", _SERVED, local=True),
    Preset(
        "llamacpp",
        "http://localhost:8080/v1",
        "openai",
        _SERVED,
        local=True,
        options={"tokenize": True},
    ),
    Preset(
        "vllm",
        "http://localhost:8000/v1",
        "openai",
        _SERVED,
        local=True,
        options={"tokenize": "vllm"},
    ),
    Preset("localai", "http://localhost:8080/v1", "openai", _SERVED, local=True),
    Preset("xinference", "http://localhost:9997/v1", "openai", _SERVED, local=True),
    Preset("gpustack", "http://localhost/v1", "openai", _SERVED, local=True),
    Preset(
        "openai_api_compatible",
        "",
        "openai",
        Quirks(schema="json_schema", params=None, system_only=False),
        local=True,
    ),
    # --- providers ---------------------------------------------------------------------------
    Preset("openai", "https://api.openai.com/v1", "openai", _OPENAI, ("OPENAI_BASE_URL",)),
    Preset("azure_openai", "", "azure", _OPENAI, ("AZURE_OPENAI_ENDPOINT",)),
    Preset(
        "anthropic", "https://api.anthropic.com", "anthropic", Quirks(), ("ANTHROPIC_BASE_URL",)
    ),
    Preset(
        "gemini",
        "https://generativelanguage.googleapis.com",
        "gemini",
        Quirks(),
        ("GOOGLE_GEMINI_BASE_URL",),
    ),
    Preset("deepseek", "https://api.deepseek.com", quirks=_OBJECT),
    Preset("tongyi", "https://dashscope.aliyuncs.com/compatible-mode/v1", quirks=_OBJECT),
    Preset("moonshot", "https://api.moonshot.cn/v1"),
    Preset("zhipuai", "https://open.bigmodel.cn/api/paas/v4", quirks=_OBJECT),
    Preset("zai", "https://api.z.ai/api/paas/v4", quirks=_OBJECT),
    Preset("volcengine_maas", "https://ark.cn-beijing.volces.com/api/v3", quirks=_OBJECT),
    Preset("siliconflow", "https://api.siliconflow.cn/v1", quirks=_OBJECT),
    Preset("minimax", "https://api.minimax.io/v1", quirks=_PLAIN),
    Preset("openrouter", "https://openrouter.ai/api/v1", quirks=_OPEN),
    Preset("groq", "https://api.groq.com/openai/v1"),
    Preset("mistralai", "https://api.mistral.ai/v1", quirks=Quirks(usage=False)),
    Preset("x", "https://api.x.ai/v1", quirks=Quirks()),
    Preset("togetherai", "https://api.together.xyz/v1", quirks=_OPEN),
    Preset("fireworks", "https://api.fireworks.ai/inference/v1", quirks=_OPEN),
    Preset("cerebras", "https://api.cerebras.ai/v1", quirks=Quirks()),
    Preset("perplexity", "https://api.perplexity.ai", quirks=Quirks()),
    Preset("cohere", "https://api.cohere.ai/compatibility/v1", quirks=Quirks()),
    Preset("nvidia", "https://integrate.api.nvidia.com/v1", quirks=_PLAIN),
    Preset("huggingface_hub", "https://router.huggingface.co/v1", quirks=_OPEN),
    Preset("modelscope", "https://api-inference.modelscope.cn/v1", quirks=_PLAIN),
    Preset("deepinfra", "https://api.deepinfra.com/v1/openai", quirks=_OBJECT),
    Preset("novita", "https://api.novita.ai/v3/openai", quirks=_OBJECT),
    Preset("stepfun", "https://api.stepfun.com/v1"),
    Preset("hunyuan", "https://api.hunyuan.cloud.tencent.com/v1", quirks=_PLAIN),
    Preset("wenxin", "https://qianfan.baidubce.com/v2"),
    Preset("spark", "https://spark-api-open.xf-yun.com/v1"),
    Preset("baichuan", "https://api.baichuan-ai.com/v1", quirks=_PLAIN),
    Preset("yi", "https://api.lingyiwanwu.com/v1", quirks=_PLAIN),
)
PRESETS: Mapping[str, Preset] = {preset.provider: preset for preset in _PRESETS}

ALIASES: Mapping[str, str] = {
    "aliyun": "tongyi",
    "ark": "volcengine_maas",
    "azure": "azure_openai",
    "baidu": "wenxin",
    "claude": "anthropic",
    "dashscope": "tongyi",
    "doubao": "volcengine_maas",
    "google": "gemini",
    "grok": "x",
    "huggingface": "huggingface_hub",
    "kimi": "moonshot",
    "llama.cpp": "llamacpp",
    "llama-server": "llamacpp",
    "lm_studio": "lmstudio",
    "lm-studio": "lmstudio",
    "mistral": "mistralai",
    "moonshotai": "moonshot",
    "openai-compatible": "openai_api_compatible",
    "qianfan": "wenxin",
    "qwen": "tongyi",
    "together": "togetherai",
    "volcengine": "volcengine_maas",
    "xai": "x",
    "zhipu": "zhipuai",
}


def address(endpoint: Endpoint) -> str:
    """Where an endpoint's requests go. An address of OpenAI's protocol that has no path is meant
    to have /v1, unless its host is that of a provider whose own has none."""
    return with_path(endpoint.url) if endpoint.protocol in (None, "openai") else endpoint.url


def with_path(url: str) -> str:
    """An address of OpenAI's protocol with the path that it is meant to have."""
    if urlsplit(url).path.strip("/"):
        return url
    url = url.rstrip("/")
    return url if any(preset.base_url == url for preset in _PRESETS) else url + "/v1"


def preset(provider: str) -> Preset | None:
    """The preset that a provider's id in an app file, or a person's word for it, means."""
    name = provider_name(provider)
    return PRESETS.get(ALIASES.get(name, name))


def target(
    provider: str,
    name: str,
    *,
    key: Secret | None = None,
    base_url: str = "",
    protocol: Protocol_ | None = None,
    context: int | None = None,
    slots: int | None = None,
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Target:
    """A model of a provider, ready to be called.

    provider: a preset's name, or any name of one's own with a `base_url`. options: the
    protocol's own, and `quirks` and `images` that overrule what is known of the server.

    Raises NotHere for a provider of which nothing is known but its name, BadInput for options
    that are not right.
    """
    environ = os.environ if environ is None else environ
    known = preset(provider)
    if known is None:
        known = PRESETS["openai_api_compatible"]
        if not base_url:
            import shlex

            family = provider_name(provider)
            bind = shlex.quote(f"{family}/{name}")
            raise NotHere("models.unknown-provider", provider=family, name=name, bind=bind)
    options = known.options | dict(options or {})
    protocol = protocol or known.protocol
    quirks = known.quirks if protocol == known.protocol else Quirks()
    for variable in known.url_variables:
        base_url = base_url or environ.get(variable, "")
    base_url = base_url or known.base_url
    if not base_url:
        code = "models.no-azure-address" if protocol == "azure" else "models.no-address"
        raise NotHere(code, provider=known.provider, name=name)
    if protocol in ("openai", "azure") and _is_completion_model(name):
        quirks = msgspec.structs.replace(quirks, completions=True)
    try:
        own = options.pop("quirks", {})
        quirks = msgspec.convert(msgspec.to_builtins(quirks) | own, Quirks)
        images = options.pop("images", takes_images(name))
        images = msgspec.convert(images, bool, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        raise BadInput("models.bad-option", provider=provider, problem=str(error)) from None
    if protocol == "azure" and (version := environ.get("OPENAI_API_VERSION")):
        options.setdefault("api_version", version)
    return Target(
        provider=provider_name(provider),
        name=name,
        protocol=protocol,
        base_url=base_url.rstrip("/"),
        key=key,
        context=context,
        slots=slots,
        images=images,
        setting=variables(provider)[0],
        quirks=quirks,
        options=options,
    )


_SEES = re.compile(
    r"gpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-turbo|gpt-4-vision|gpt-5|chatgpt-4o|(^|/)o[134](-|$)"
    r"|claude-(3|opus|sonnet|haiku)|claude-\w+-\d|gemini|gemma-?3|gemma-?4|llava|bakllava|moondream|pixtral"
    r"|vision|(^|[-_/.\d])vl([-_:.\d]|$)|omni|minicpm-v|internvl|glm-\d(\.\d)?v|qvq|kimi-(k2\.5|latest)"
    r"|mistral-(small-3|medium-3|large-3)|llama-?4|llama-?3\.2-(11|90)b|grok-(4|2-vision)|step-1o|phi-\w*-?multimodal",
    re.I,
)


def takes_images(name: str) -> bool:
    """Whether a model of this name is given images, by what its family is known for. A server
    that knows better says so through its target's `images` option."""
    return _SEES.search(name) is not None


def _is_completion_model(name: str) -> bool:
    """OpenAI's models that have no chat."""
    return re.search(r"gpt-3\.5-turbo-instruct|davinci-00|babbage-00", name) is not None
