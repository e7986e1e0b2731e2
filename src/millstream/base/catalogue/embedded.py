from millstream.base.messages import Text

_SMALLER = (
    "Ask for less context (setting embedded.context) or fewer calls at once (embedded.slots), "
    "take a smaller quantization or model, or close other programs. "
    "embedded.check_memory = false loads it all the same."
)
_SMALLER_ZH = (
    "请减小上下文（设置 embedded.context）或并发数（embedded.slots），换用更小的量化或模型，"
    "或关闭其他程序。设置 embedded.check_memory = false 可强制加载。"
)

MESSAGES = {
    "loading": Text("loading {model} ({size})", "正在加载 {model}（{size}）"),
    "ready": Text(
        "{model} is loaded: {seconds:.1f} s, threads {threads}, context {context}, slots {slots}",
        "{model} 已加载：{seconds:.1f} 秒，线程 {threads}，上下文 {context}，并发 {slots}",
    ),
    "no-extra": Text(
        "models in this process need the extra `local`, which is not installed",
        "在本进程中运行模型需要安装附加组件 local，目前未安装",
        "pip install 'millstream[local]'",
        "pip install 'millstream[local]'",
    ),
    "broken-extra": Text(
        "the llama.cpp library of the extra `local` does not start here: {problem}",
        "附加组件 local 中的 llama.cpp 库无法在本机启动：{problem}",
        "Install it anew, or run the model by Ollama: pip install --force-reinstall "
        "'millstream[local]'",
        "请重新安装，或改用 Ollama 运行模型：pip install --force-reinstall 'millstream[local]'",
    ),
    "no-memory": Text(
        "not enough memory for {model}: it takes {needed} (weights {weights}, and {cache} for "
        "{slots} × {context} tokens of context), and {free} is free",
        "内存不足，无法加载 {model}：需要 {needed}（权重 {weights}，{slots} × {context} 个 token 的"
        "上下文 {cache}），可用 {free}",
        _SMALLER,
        _SMALLER_ZH,
    ),
    "memory-refused": Text(
        "not enough memory for {model}: the system refused it while the model was loaded",
        "内存不足，无法加载 {model}：加载过程中系统拒绝分配内存",
        _SMALLER,
        _SMALLER_ZH,
    ),
    "unknown-architecture": Text(
        "{model} has the architecture {architecture!r}, which the llama.cpp in use does not know",
        "{model} 的架构为 {architecture!r}，当前的 llama.cpp 尚不支持",
        "Update it with `pip install -U 'millstream[local]'`, or take another model.",
        "请用 `pip install -U 'millstream[local]'` 更新，或换用其他模型。",
    ),
    "refused": Text(
        "llama.cpp cannot load {model}: {words}",
        "llama.cpp 无法加载 {model}：{words}",
        "If this shell or container limits memory, give it more; else fetch the file again with "
        "`millstream models pull`, or take another model.",
        "若当前 shell 或容器限制了内存，请放宽限制；否则请用 `millstream models pull` "
        "重新获取该文件，或换用其他模型。",
    ),
    "crashed-loading": Text(
        "llama.cpp broke down while it loaded {model} ({how}): {words}",
        "llama.cpp 在加载 {model} 时崩溃（{how}）：{words}",
        "If this shell or container limits memory, give it more; else fetch the file again with "
        "`millstream models pull`, or take another model.",
        "若当前 shell 或容器限制了内存，请放宽限制；否则请用 `millstream models pull` "
        "重新获取该文件，或换用其他模型。",
    ),
    "killed-loading": Text(
        "{model} was killed by the system while it was loaded ({how}): most likely memory ran out",
        "{model} 在加载时被系统终止（{how}）：很可能是内存耗尽",
        _SMALLER,
        _SMALLER_ZH,
    ),
    "crashed": Text(
        "{model} broke down in the middle of the call ({how}): {words}",
        "{model} 在调用途中崩溃（{how}）：{words}",
        "Run again: the model is loaded anew by the next call.",
        "请重新运行：下次调用会重新加载该模型。",
    ),
    "killed": Text(
        "{model} was killed in the middle of the call ({how}): most likely memory ran out",
        "{model} 在调用途中被终止（{how}）：很可能是内存耗尽",
        "Run again: the model is loaded anew by the next call. If it happens each time, ask for "
        "less context (setting embedded.context) or take a smaller model.",
        "请重新运行：下次调用会重新加载该模型。若每次都发生，请减小上下文（设置 embedded.context）"
        "或换用更小的模型。",
    ),
    "unloaded": Text(
        "{model} was unloaded in the middle of the call",
        "{model} 在调用途中被卸载",
        "Run again: the model is loaded anew by the next call.",
        "请重新运行：下次调用会重新加载该模型。",
    ),
}
