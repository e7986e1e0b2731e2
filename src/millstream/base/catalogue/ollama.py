from millstream.base.messages import Text

MESSAGES = {
    "no-model": Text(
        "Ollama at {server} has no model {name!r}",
        "{server} 上的 Ollama 没有模型 {name!r}",
        "Fetch it: ollama pull {name} (or: millstream models pull ollama:{name}); "
        "what is there already: millstream models",
        "获取该模型：ollama pull {name}（或 millstream models pull ollama:{name}）；"
        "查看已有模型：millstream models",
    ),
    "clipped": Text(
        "Ollama gave {model} only a part of the prompt: about {likely} tokens were sent, "
        "{count} were read, in a context (num_ctx) of {num_ctx}",
        "Ollama 只把提示词的一部分交给了 {model}：发送约 {likely} 个 token，"
        "实际读取 {count} 个，上下文长度（num_ctx）为 {num_ctx}",
        "Raise num_ctx in the model's parameters or its binding, or shorten the prompt. "
        "Newer versions of Ollama refuse instead of cutting.",
        "请在模型参数或绑定中调大 num_ctx，或缩短提示词。较新版本的 Ollama 会直接拒绝而不是截断。",
    ),
    "too-long": Text(
        "the prompt does not fit into the context (num_ctx) of {num_ctx} tokens that {model} "
        "has on Ollama: {message}",
        "提示词超出了 {model} 在 Ollama 上的上下文长度（num_ctx = {num_ctx}）：{message}",
        "Raise num_ctx in the model's parameters or its binding, shorten the prompt, or bind a "
        "model with a longer context.",
        "请在模型参数或绑定中调大 num_ctx、缩短提示词，或绑定上下文更长的模型。",
    ),
    "longer-than-context": Text(
        "the prompt has at least {least} tokens, but {model} has a context (num_ctx) of {num_ctx}",
        "提示词至少有 {least} 个 token，而 {model} 的上下文长度（num_ctx）只有 {num_ctx}",
        "Shorten the prompt, raise num_ctx if it is set, or bind a model with a longer context.",
        "请缩短提示词、调大已设置的 num_ctx，或绑定上下文更长的模型。",
    ),
    "no-memory": Text(
        "Ollama has not enough memory for {model} with a context (num_ctx) of {num_ctx}: {message}",
        "Ollama 的内存不足以运行 {model}（上下文长度 num_ctx = {num_ctx}）：{message}",
        "Stop other models (ollama stop NAME), set a smaller num_ctx in the binding, or bind a "
        "smaller model.",
        "请停止其他模型（ollama stop 名称）、在绑定中设置更小的 num_ctx，或绑定更小的模型。",
    ),
    "pull-unknown": Text(
        "there is no model {name!r} to fetch: {message}",
        "找不到可获取的模型 {name!r}：{message}",
        "Check the name and its tag at https://ollama.com/library",
        "请在 https://ollama.com/library 核对名称与标签。",
    ),
    "pull-failed": Text(
        "Ollama at {server} could not fetch {name!r}: {message}",
        "{server} 上的 Ollama 未能获取 {name!r}：{message}",
        "Run the same command again: what has been fetched is kept.",
        "请再次运行同一命令：已下载的部分会保留。",
    ),
    "not-ollama": Text(
        "{server} answers, but not as Ollama does",
        "{server} 有应答，但不是 Ollama",
        "Check the address: millstream doctor",
        "请检查地址：millstream doctor",
    ),
}
