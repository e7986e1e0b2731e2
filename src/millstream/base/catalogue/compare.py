from millstream.base.messages import Text

MESSAGES = {
    "only-plain": Text(
        "{name} is quantized already ({types}): FP32 and FP16 files made of it have its loss in "
        "them, so nothing of what it lost can be measured",
        "{name} 已经量化过（{types}）：由它生成的 FP32、FP16 文件已包含其精度损失，无法测出",
        "Take the F16, BF16 or F32 file of the model. For a trial --allow-requantize compares all "
        "the same, and says so; --predict only computes.",
        "请使用该模型的 F16、BF16 或 F32 文件。若只是试验，可加 --allow-requantize（结果会注明）；"
        "--predict 则只做计算。",
    ),
    "number": Text(
        "{option} {given}: it takes at least {least}",
        "{option} {given}：至少为 {least}",
        "Give a larger number.",
        "请给出更大的数值。",
    ),
    "nothing-fits": Text(
        "{name} does not fit into this machine's memory in any two of the types: there is nothing "
        "to measure against each other",
        "{name} 没有任何两种类型能放入本机内存，无法互相比较",
        "--predict computes without loading; --types Q3_K_M,Q2_K names smaller ones.",
        "--predict 只计算、不加载；--types Q3_K_M,Q2_K 可指定更小的类型。",
    ),
    "no-library": Text(
        "Speeds are not predicted: llama.cpp's library is not here.",
        "未预测速度：本机没有 llama.cpp 库。",
    ),
    # ------------------------------------------------------------------------------ while it works
    "finding": Text("Looking for {word}", "正在查找 {word}"),
    "calibrating": Text("Measuring this machine (once)", "正在测量本机（仅一次）"),
    "making": Text("Making {type}", "正在生成 {type}"),
    "checking": Text("Checking {type}", "正在校验 {type}"),
    "losing": Text("Reading with {type}", "{type} 正在阅读"),
    "timing": Text("Timing {type} ({done} of {total})", "{type} 计时中（{done}/{total}）"),
    # ----------------------------------------------------------------------------------- the table
    "title": Text("{name}: {parameters} parameters", "{name}：{parameters} 个参数"),
    "only-predicted": Text(
        "Predicted: no weights of it are on this machine, so nothing was measured.",
        "仅为预测：本机没有该模型的权重，未做测量。",
    ),
    "stopped": Text(
        "Stopped before all was measured: what is missing was not, and speeds are foreseen where "
        "it is said.",
        "测量未完成即已停止：缺失的数值未测得；注明“预测”的速度不是测得的。",
    ),
    "predicted": Text("Predicted only (--predict).", "仅预测（--predict）。"),
    "head-type": Text("Type", "类型"),
    "head-weights": Text("Weights", "权重"),
    "head-share": Text("of {base}", "相对 {base}"),
    "head-said": Text("said", "常说"),
    "head-bits": Text("Bits/weight", "位/权重"),
    "head-memory": Text("Memory ({context})", "内存（{context}）"),
    "head-memory-measured": Text("Memory, measured", "实测内存"),
    "head-foreseen": Text("foreseen", "预测"),
    "head-fits": Text("Fits", "放得下"),
    "head-perplexity": Text("Perplexity", "困惑度变化"),
    "head-kld": Text("KLD", "KLD"),
    "head-same": Text("Same first choice", "首选一致"),
    "head-tasks": Text("Tasks right", "任务正确率"),
    "head-decode": Text("Writes, tokens/s", "生成 token/秒"),
    "head-prefill": Text("Reads, tokens/s", "读取 token/秒"),
    "head-times": Text("× {base}", "{base} 的倍数"),
    "head-verdict": Text("Verdict", "结论"),
    "head-when": Text("When to use which", "适用场合"),
    "head-loading": Text("Loads in", "加载用时"),
    "head-first": Text("First token", "首 token"),
    "yes": Text("yes", "是"),
    "no": Text("no", "否"),
    "verdict-as-said": Text("as said", "与常说一致"),
    "verdict-better": Text("better", "更好"),
    "verdict-worse": Text("worse", "更差"),
    "verdict-open": Text("can't be told", "无法判断"),
    "base": Text("{name} (base)", "{name}（基准）"),
    "noisy": Text(
        "Marked ~: something else took processor time meanwhile; take that speed with doubt.",
        "带 ~ 的：测量时有其他程序占用处理器，该速度仅供参考。",
    ),
    "not-measured": Text("{type} was not measured: {reason}", "{type} 未测量：{reason}"),
    "too-large": Text(
        "{memory} do not fit into the {free} that are free", "{memory} 超过可用的 {free}"
    ),
    "requantized": Text(
        "The source is quantized ({types}): FP32 and FP16 here are its numbers written out, not "
        "the original. What it had lost before is not in these figures.",
        "源文件已量化（{types}）：此处的 FP32、FP16 只是把它的数值展开，并非原模型；"
        "此前的损失不在这些数字中。",
    ),
    "kept": Text("The files stay in {folder}.", "文件保留在 {folder}。"),
    # ------------------------------------------------------------------------------ when to use it
    "when-FP32": Text(
        "For training, and as the measure of the others. To run a model it buys nothing over FP16.",
        "用于训练，以及作为其他精度的参照。只是运行模型时，它并不优于 FP16。",
    ),
    "when-FP16": Text(
        "The original for most models: to fine-tune, to quantize from, to run on a card with room.",
        "多数模型的原始精度：适合微调、作为量化的源文件，或在显存充足的显卡上运行。",
    ),
    "when-INT8": Text(
        "When nothing may be lost: code, numbers, long reasoning, small models; half the memory of "
        "FP16.",
        "不容损失时：代码、数字、长推理、小模型；内存为 FP16 的一半。",
    ),
    "when-INT4": Text(
        "When memory decides, the usual choice: a larger model in four bits mostly beats a smaller "
        "one in eight.",
        "内存有限时的常用选择：4 位的大模型通常胜过 8 位的小模型。",
    ),
    "when-more": Text("Between FP16 and INT4, by need.", "介于 FP16 与 INT4 之间，按需选用。"),
    "when-less": Text(
        "When nothing larger fits; try your own app on it first.",
        "放不下更大的类型时；请先用自己的应用试过。",
    ),
    "here-lossless": Text(
        "Here {type} is the smallest that is nearly lossless: perplexity {rise}, the same first "
        "choice in {same} of all places, {share} of {base}'s weights.",
        "在此，{type} 是近乎无损的最小类型：困惑度 {rise}，{same} 的位置首选一致，"
        "权重为 {base} 的 {share}。",
    ),
    "here-none": Text(
        "Here no quantized type is nearly lossless (under 1 % of perplexity and 90 % the same "
        "first choice).",
        "在此，没有近乎无损的量化类型（困惑度变化低于 1 % 且首选一致率不低于 90 %）。",
    ),
    "here-fastest": Text(
        "Here {type} writes fastest: {decode} tokens/s, {times} × {base}.",
        "在此，{type} 生成最快：{decode} token/秒，为 {base} 的 {times} 倍。",
    ),
    "here-memory": Text(
        "{type} has {share} of {base}'s weights ({bits:.2f} bits each); the rule says {said}.",
        "{type} 的权重为 {base} 的 {share}（每个 {bits:.2f} 位），常说为 {said}。",
    ),
    # ---------------------------------------------------------------------------------- the report
    "report-title": Text("{name}: which precision", "{name}：选择哪种精度"),
    "fact-model": Text("model", "模型"),
    "fact-machine": Text("machine", "机器"),
    "machine": Text("{processor}, cores: {cores}", "{processor}，{cores} 核"),
    "fact-memory": Text("memory, free", "内存，可用"),
    "fact-use": Text("use", "用法"),
    "use": Text("{slots} × {context} tokens of context", "{slots} × {context} token 上下文"),
    "fact-loss": Text("loss, over", "损失，基于"),
    "tokens": Text("{tokens} tokens, against {base}", "{tokens} 个 token，以 {base} 为基准"),
    "fact-speed": Text("speed, over", "速度，基于"),
    "lengths": Text(
        "prompts of {prompt}, answers of {output} tokens", "提示 {prompt}、回答 {output} token"
    ),
    "fact-when": Text("when", "时间"),
    "section-memory": Text("Memory saved", "节省的内存"),
    "section-loss": Text("Precision lost", "损失的精度"),
    "section-speed": Text("Speed gained", "提升的速度"),
    "section-speed-foreseen": Text("Speed, foreseen", "预测的速度"),
    "section-when": Text("When to use which", "何时用哪种"),
    "section-notes": Text("To know", "注意"),
    "section-definitions": Text("How to read this", "阅读说明"),
    "bars-memory": Text("What it takes to run", "运行所需的内存"),
    "bars-speed": Text("Tokens a second, writing", "生成速度"),
    "bars-speed-foreseen": Text("Tokens a second, writing, foreseen", "预测的生成速度"),
    "part-weights": Text("weights", "权重"),
    "part-repack": Text("copies for this processor", "为本处理器重排的副本"),
    "part-rest": Text("cache, buffers, process", "缓存、缓冲与进程"),
    "part-decode": Text("writing", "生成"),
    "limit-free": Text("free", "可用"),
    "plot-loss": Text("What a smaller file costs", "文件变小的代价"),
    "axis-size": Text("weights", "权重"),
    "axis-kld": Text("mean divergence", "平均散度"),
    "series-types": Text("types", "类型"),
    "definitions": Text(
        "Said: the rule that is quoted everywhere, against FP32. FP16: half the memory, loss under "
        "1 %, 1.5 to 2 × as fast. INT8: a quarter, 1 to 5 %, 2 to 4 ×. INT4: an eighth, 5 to 10 %, "
        "4 to 8 ×. INT8 is Q8_0 here, INT4 is Q4_K_M and its like.\n"
        "Memory: weights, cache, buffers and the process, for the use above; measured is the most "
        "that the model's process had in memory while it was timed, with the context that this "
        "took.\n"
        "Perplexity: by how much it rose, ± one standard deviation. The rule does not say what it "
        "means by loss; this is the nearest that has a definition. KLD: how far the predictions "
        "are from the base's, in nats, on average. Same first choice: how often both find the same "
        "token likeliest. On a short text these two tell types apart where the perplexity can't.\n"
        "A verdict is given where the figure's error allows one: two standard deviations.",
        "常说：各处引用的经验法则，均相对 FP32。FP16：内存减半，损失低于 1 %，快 1.5 到 2 倍。"
        "INT8：四分之一，1 到 5 %，2 到 4 倍。INT4：八分之一，5 到 10 %，4 到 8 倍。"
        "此处 INT8 指 Q8_0，INT4 指 Q4_K_M 及同类。\n"
        "内存：上述用法所需的权重、缓存、缓冲与进程；实测值为计时期间模型进程占用内存的最大值，"
        "其上下文长度以计时所需为准。\n"
        "困惑度：上升的幅度，± 一个标准差。经验法则没有说明“损失”指什么，这是最接近且有定义的指标。"
        "KLD：预测与基准的平均差距，单位纳特。首选一致：两者认为最可能的 token 相同的比例。"
        "文本较短时，困惑度无法区分的类型，这两项可以。\n"
        "只有误差允许时才给出结论（两个标准差）。",
    ),
}
