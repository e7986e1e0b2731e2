"""What a model takes and whether it fits: heads of tables, parts of memory, plans of apps."""

from millstream.base.messages import Text

MESSAGES = {
    # ------------------------------------------------------------------------------ what is asked
    "nothing-asked": Text(
        "no model and no app to look at",
        "没有指定模型或应用",
        "For example: millstream fit 7b · millstream fit model.gguf · millstream fit --for app.yml",
        "例如：millstream fit 7b · millstream fit model.gguf · millstream fit --for app.yml",
    ),
    "not-a-result": Text(
        "{file} is not the result of a run",
        "{file} 不是运行结果",
        "Write one with: millstream run APP.yml … --json > result.json",
        "可用以下命令生成：millstream run APP.yml … --json > result.json",
    ),
    "other-result": Text(
        "no node of {app} that asks a model ran in {file}: there is nothing to hold the plan "
        "against",
        "{file} 中没有运行过 {app} 的任何模型节点：无法与计划对比",
        "Give the result of a run of this app: millstream run APP.yml … --json > result.json",
        "请给出此应用的运行结果：millstream run APP.yml … --json > result.json",
    ),
    "values-need-flash": Text(
        "llama.cpp keeps values as {type} with flash attention only",
        "llama.cpp 仅在启用 flash attention 时才能以 {type} 保存值缓存",
        "Leave --no-flash out, or take --values F16.",
        "请去掉 --no-flash，或使用 --values F16。",
    ),
    "only-with-app": Text(
        "{option} goes with --for APP.yml",
        "{option} 需要与 --for APP.yml 一起使用",
    ),
    "only-with-training": Text(
        "{option} goes with --train METHOD",
        "{option} 需要与 --train 方法 一起使用",
    ),
    "only-with-adapters": Text(
        "{option} goes with --train lora or qlora: full training has no adapters",
        "{option} 需要与 --train lora 或 qlora 一起使用：全量训练没有适配器",
    ),
    "cannot-run": Text(
        "{model} is not on this machine, so that the app cannot be run on it",
        "本机没有 {model}，无法用它运行该应用",
        "Fetch it first: millstream models pull",
        "请先下载：millstream models pull",
    ),
    "finding": Text("looking at {word} …", "正在查看 {word} …"),
    "calibrating": Text("measuring this machine, ten seconds …", "正在测量本机性能，约十秒 …"),
    "asking": Text("asking llama.cpp about {word} …", "正在向 llama.cpp 询问 {word} …"),
    "running": Text("running {app} …", "正在运行 {app} …"),
    # --------------------------------------------------------------------------------- the model
    "about": Text(
        "{architecture}, {parameters} weights, {quantization}, {bits:.2f} bits each",
        "{architecture}，{parameters} 个权重，{quantization}，每个权重 {bits:.2f} 位",
    ),
    "about-active": Text("a token takes {active} of them", "每个 token 只用到其中 {active}"),
    "count-billion": Text("{number} billion", "{number}B"),
    "count-million": Text("{number} million", "{number}M"),
    "count-thousand": Text("{number} thousand", "{number}k"),
    "about-use": Text(
        "{slots} × {context:,} tokens of context, cache {keys}/{values}, {batch} tokens of a "
        "prompt at once",
        "{slots} 个并发 × {context:,} 个 token 上下文，缓存 {keys}/{values}，提示词每批 {batch} 个",
    ),
    "title-memory": Text("Memory", "内存"),
    "title-types": Text("In every precision", "各种精度"),
    "title-grid": Text("Total by context and calls at once", "按上下文与并发数的总内存"),
    "title-training": Text("Training", "训练"),
    "title-machine": Text("On this machine", "在本机上"),
    "title-models": Text("Side by side", "对比"),
    "head-part": Text("part", "部分"),
    "head-what": Text("what", "内容"),
    "head-size": Text("size", "大小"),
    "head-said": Text("llama.cpp says", "llama.cpp 实测"),
    "head-precision": Text("precision", "精度"),
    "head-weights": Text("weights", "权重"),
    "head-bits": Text("bits a weight", "每权重位数"),
    "head-total": Text("to run", "运行所需"),
    "head-fits": Text("fits", "能否运行"),
    "head-speed": Text("tokens/s", "token/秒"),
    "head-prefill": Text("prompt tokens/s", "提示词 token/秒"),
    "head-rule": Text("rule of thumb: weights, to run", "经验法则：权重，运行"),
    "head-why": Text("fallbacks; why the rule differs", "回退；与经验法则不同的原因"),
    "title-why": Text("Fallbacks; why the rule of thumb differs", "回退；与经验法则不同的原因"),
    "head-context": Text("context", "上下文"),
    "head-slots": Text("{slots} at once", "{slots} 个并发"),
    "head-model": Text("model", "模型"),
    "head-quantization": Text("quantization", "量化"),
    "head-node": Text("node", "节点"),
    "head-prompt": Text("prompt", "提示词"),
    "head-output": Text("answer", "回答"),
    "head-times": Text("times", "次数"),
    "head-seconds": Text("time", "时间"),
    "head-at-once": Text("at once", "并发"),
    "head-needed": Text("needed", "需要"),
    "head-memory": Text("memory", "内存"),
    "head-offload": Text("on the card", "显卡层数"),
    "head-was": Text("was", "实际"),
    "head-corrected": Text("by the real tokens", "按实际 token 数"),
    "head-licence": Text("licence", "许可证"),
    "head-reasons": Text("why", "理由"),
    "head-pull": Text("get it", "获取方式"),
    "part-weights": Text("weights", "权重"),
    "part-repack": Text("second copies", "重排副本"),
    "part-cache": Text("cache", "缓存"),
    "part-states": Text("states", "状态"),
    "part-compute": Text("scratch space", "计算缓冲"),
    "part-output": Text("output", "输出"),
    "part-runtime": Text("runtime", "运行时"),
    "part-rest": Text("scratch space, output, runtime", "计算缓冲、输出、运行时"),
    "part-total": Text("total", "合计"),
    "part-master": Text("32-bit copy", "32 位主副本"),
    "part-adapters": Text("adapters", "适配器"),
    "part-gradients": Text("gradients", "梯度"),
    "part-optimizer": Text("optimizer", "优化器状态"),
    "part-activations": Text("activations", "激活值"),
    "part-logits": Text("logits", "logits"),
    "piece-embeddings": Text("embeddings", "词嵌入"),
    "piece-head": Text("head", "输出层"),
    "piece-experts": Text("experts", "专家"),
    "piece-routers": Text("routers", "路由"),
    "piece-feed-forward": Text("feed-forward", "前馈"),
    "piece-attention": Text("attention", "注意力"),
    "piece-recurrent": Text("recurrent", "循环"),
    "piece-other": Text("norms and others", "归一化等"),
    "what-weights": Text(
        "{piece}, {tensors} × {type}: {weights} weights",
        "{piece}，{tensors} × {type}：{weights} 个权重",
    ),
    "what-all": Text("in all", "合计"),
    "what-repack": Text(
        "weights in the order that this processor multiplies faster",
        "按本处理器更快的顺序重排的权重",
    ),
    "what-layers": Text("layers {which}: {kind}", "第 {which} 层：{kind}"),
    "kind-attention": Text("keys and values of every token", "每个 token 的键和值"),
    "kind-window": Text(
        "keys and values of a window of {window:,} tokens", "滑动窗口 {window:,} 个 token 的键和值"
    ),
    "kind-latent": Text("one latent for each token (MLA)", "每个 token 一个潜向量（MLA）"),
    "kind-recurrent": Text("a state for each call, however long", "每个并发一个状态，与长度无关"),
    "kind-both": Text("keys, values and a state", "键、值和状态"),
    "kind-nothing": Text("nothing", "无"),
    "heads-mqa": Text(", one head for {heads} (MQA)", "，{heads} 个头共用一个（MQA）"),
    "heads-gqa": Text(", {kv} heads for {heads} (GQA)", "，{heads} 个头共用 {kv} 个（GQA）"),
    "and": Text("; ", "；"),
    "what-compute": Text("for {batch} tokens at a time", "每批 {batch} 个 token"),
    "what-output": Text("what a batch leaves for the sampler", "供采样的输出"),
    "what-runtime": Text("the process: library, vocabulary, graphs", "进程本身：库、词表、计算图"),
    "yes": Text("yes", "能"),
    "no": Text("no", "不能"),
    "unknown": Text("?", "?"),
    "fallbacks": Text(
        "{tensors} of its tensors in {taken} for {wanted}",
        "{tensors} 个张量用 {taken} 代替 {wanted}",
    ),
    "needs-imatrix": Text("needs an importance matrix", "需要重要性矩阵"),
    "rule": Text("{weights}, {low}–{high}", "{weights}，{low}–{high}"),
    "memory": Text("{free} of {total} of memory are free", "内存 {total}，可用 {free}"),
    "machine": Text("{processor}, cores: {cores}", "{processor}，{cores} 核"),
    "room": Text("{slots} × {context}", "{slots} × {context}"),
    "rooms": Text("longest context by calls at once: {rooms}", "各并发数下最长的上下文：{rooms}"),
    "card": Text(
        "{gpu} ({backend}, {free} of {total} free): {layers} of {all} layers, {vram} on the card "
        "and {ram} beside it; all of it needs {whole}",
        "{gpu}（{backend}，{total} 中可用 {free}）：可放 {all} 层中的 {layers} 层，显存 {vram}，"
        "内存 {ram}；全部放入需要 {whole}",
    ),
    "card-unused": Text(
        "the llama.cpp that is installed does not use it", "当前安装的 llama.cpp 不使用该显卡"
    ),
    "no-card": Text("no graphics card was found", "未发现显卡"),
    "pace": Text(
        "{decode:.3g} tokens/s at a depth of {depth}, a prompt at {prefill:.3g} (predicted, "
        "threads {threads}; at best {bound:.3g})",
        "深度 {depth} 时 {decode:.3g} token/秒，提示词 {prefill:.3g} token/秒"
        "（预测，{threads} 线程；上限 {bound:.3g}）",
    ),
    "all-types": Text("more types: --all", "更多类型：--all"),
    "trained": Text("{method}: {trained} weights change", "{method}：更新 {trained} 个权重"),
    # ---------------------------------------------------------------------------------- the plan
    "plan": Text("Plan of {app}", "{app} 的计划"),
    "plan-total": Text(
        "{peak} with all models loaded; {seconds} of model calls by the calibration of this "
        "machine",
        "全部模型加载时 {peak}；按本机校准，模型调用共 {seconds}",
    ),
    "plan-memory": Text("{peak} with all models loaded", "全部模型加载时 {peak}"),
    "plan-model": Text(
        "{model}: {quantization}, {slots} × {context:,} tokens, {memory}; calls at once: up "
        "to {at_once}; the longest needs {needed:,} tokens",
        "{model}：{quantization}，{slots} 个并发 × {context:,} 个 token，{memory}；"
        "最多 {at_once} 个并发调用，最长需要 {needed:,} 个 token",
    ),
    "score": Text("The plan against the run", "计划与实际对比"),
    "score-total": Text(
        "planned {planned}; {corrected} by the tokens that there really were; it took {took}",
        "计划 {planned}；按实际 token 数应为 {corrected}；实际用时 {took}",
    ),
    "score-memory": Text(
        "memory: planned {peak}, at most {was}", "内存：计划 {peak}，实际峰值 {was}"
    ),
    "app-alone": Text("no model of this app runs here", "此应用没有在本机运行的模型"),
    # --------------------------------------------------------------------------- recommendations
    "for-app": Text(
        "for {app}: calls of up to {context:,} tokens",
        "针对 {app}：单次调用最多 {context:,} 个 token",
    ),
    "pull": Text("millstream models pull {name}", "millstream models pull {name}"),
    # -------------------------------------------------------------------------------- the report
    "report-title": Text("What fits: {names}", "能否运行：{names}"),
    "report-plan": Text("A plan for {app}", "{app} 的运行计划"),
    "report-recommend": Text("Models for this machine", "适合本机的模型"),
    "fact-machine": Text("machine", "机器"),
    "fact-memory": Text("memory", "内存"),
    "fact-use": Text("use", "用法"),
    "fact-source": Text("source", "来源"),
    "limit-free": Text("free here", "本机可用"),
    "chart-memory": Text("Memory by part, in every precision", "各种精度下的内存构成"),
    "chart-context": Text("Memory by context", "内存与上下文"),
    "chart-speed": Text("Speed by precision (predicted)", "各种精度的速度（预测）"),
    "series-slots": Text("{slots} at once", "{slots} 个并发"),
    "axis-memory": Text("memory", "内存"),
    "axis-context": Text("context, tokens", "上下文（token）"),
    "summary-fits": Text(
        "{name} needs {size} to run as asked; {free} are free: it fits.",
        "按要求运行 {name} 需要 {size}；可用 {free}：可以运行。",
    ),
    "summary-not": Text(
        "{name} needs {size} to run as asked; {free} are free: it does not fit.",
        "按要求运行 {name} 需要 {size}；可用 {free}：无法运行。",
    ),
    "summary-unknown": Text(
        "{name} needs {size} to run as asked.", "按要求运行 {name} 需要 {size}。"
    ),
    "definitions": Text(
        "To run: weights, second copies that this processor multiplies faster, the cache of keys "
        "and values for all calls at once, states of recurrent layers, scratch space, output and "
        "the process itself. FP32 and FP16 are plain; INT8 and INT4 are what other runtimes make "
        "(8 bits with a scale a row, 4 bits in groups of 128); the others are types of GGUF files, "
        "tensor by tensor. Speeds are predicted from a calibration of this machine.",
        "运行所需：权重、为本处理器重排的副本、所有并发的键值缓存、循环层状态、计算缓冲、输出以及进程本身。"
        "FP32 与 FP16 为普通浮点；INT8 与 INT4 为其他运行时的做法"
        "（每行一个缩放的 8 位；128 个一组的 4 位）；"
        "其余为 GGUF 文件类型，逐张量计算。速度由本机校准数据预测。",
    ),
}
