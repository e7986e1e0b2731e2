"""What a quantization costs: figures, what to know of them, what can't be compared."""

from millstream.base.messages import Text

_ANOTHER = "Compare files that were made from this base."
_ANOTHER_ZH = "请比较由该基准模型生成的文件。"
_LINE = 'A line is an object such as {{"inputs": {{"text": "…"}}, "expect": {{"contains": "…"}}}}.'
_LINE_ZH = '每行一个对象，例如 {{"inputs": {{"text": "…"}}, "expect": {{"contains": "…"}}}}。'

MESSAGES = {
    # ------------------------------------------------------------------------------------- models
    "no-numbers": Text(
        "{model} predicts no numbers (NaN): its weights are damaged, or its runtime cannot do them",
        "{model} 的预测结果不是数值（NaN）：权重已损坏，或运行库无法处理",
        "Make or fetch the file again, and leave it out if that does not help.",
        "请重新生成或下载该文件；若仍如此，请不要使用它。",
    ),
    "no-decode": Text(
        "llama.cpp could not read a text with {model} (status {status})",
        "llama.cpp 无法用 {model} 处理文本（状态 {status}）",
        "Try a smaller --context or --batch.",
        "请减小 --context 或 --batch。",
    ),
    "no-logits": Text(
        "{model} predicts no words: it is made for embeddings or for encoding",
        "{model} 不预测词语：它是嵌入或编码模型",
        "Take a model that writes text.",
        "请使用能生成文本的模型。",
    ),
    "other-vocabulary": Text(
        "{model} and {base} have different vocabularies ({theirs:,} and {ours:,} words): no figure "
        "of one can be compared with the other's",
        "{model} 与 {base} 的词表不同（{theirs:,} 与 {ours:,} 个词），各项数值无法比较",
        _ANOTHER,
        _ANOTHER_ZH,
    ),
    "other-words": Text(
        "{model} and {base} have different vocabularies: word {number} is {theirs!r} in one and "
        "{ours!r} in the other",
        "{model} 与 {base} 的词表不同：第 {number} 个词分别为 {theirs!r} 和 {ours!r}",
        _ANOTHER,
        _ANOTHER_ZH,
    ),
    "other-tokenizer": Text(
        "{model} and {base} cut text in different ways: {key} is {theirs} in one and {ours} in the "
        "other",
        "{model} 与 {base} 的分词方式不同：{key} 分别为 {theirs} 和 {ours}",
        _ANOTHER,
        _ANOTHER_ZH,
    ),
    "long-context": Text(
        "{model} was trained for {trained:,} tokens: chunks of {context:,} are too long for it",
        "{model} 的训练上下文为 {trained:,} 个 token，{context:,} 的分块过长",
        "Take a smaller --context.",
        "请减小 --context。",
    ),
    "no-memory": Text(
        "{model} takes {needed:,} bytes of memory, {free:,} are free",
        "{model} 需要 {needed:,} 字节内存，可用 {free:,} 字节",
        "Close other programs, or take a smaller --batch.",
        "请关闭其他程序，或减小 --batch。",
    ),
    "killed": Text(
        "the work on {model} was ended by the system: most likely memory ran out",
        "系统终止了对 {model} 的处理：很可能是内存不足",
        "Close other programs, take a smaller --batch, or --scratch DIR: then one model is in "
        "memory at a time.",
        "请关闭其他程序，减小 --batch，或使用 --scratch 文件夹：每次只加载一个模型。",
    ),
    "not-here": Text(
        "{name} is not on this machine: only its description was read",
        "{name} 不在本机：目前只读取了它的描述",
        "Fetch it first: millstream models pull {name}",
        "请先下载：millstream models pull {name}",
    ),
    "no-model": Text(
        "{name} is a size, not a model: there is nothing to measure",
        "{name} 是规模而不是具体模型：没有可测量的内容",
        "Name a file or a model on the shelf: millstream models",
        "请指定文件或本机模型：millstream models",
    ),
    "no-weights": Text(
        "{folder} has a config.json and no weights: there is nothing to measure",
        "{folder} 中只有 config.json，没有权重：无可测量的内容",
        "Fetch the model's GGUF file, or its .safetensors files and make one of them: millstream "
        "quantize {folder} -t F16",
        "请下载模型的 GGUF 文件；或下载 .safetensors 文件后转换："
        "millstream quantize {folder} -t F16",
    ),
    "no-gguf": Text(
        "{folder} is no GGUF file, and only those are measured",
        "{folder} 不是 GGUF 文件，只能测量 GGUF 文件",
        "Make one of it first: millstream quantize {folder} -t F16",
        "请先转换：millstream quantize {folder} -t F16",
    ),
    # -------------------------------------------------------------------------------- text, room
    "short-text": Text(
        "the text {text} has {tokens:,} tokens, fewer than one chunk of {context:,}",
        "文本 {text} 有 {tokens:,} 个 token，不足一个 {context:,} 的分块",
        "Give a longer text, or a smaller --context.",
        "请提供更长的文本，或减小 --context。",
    ),
    "text-unreadable": Text(
        "the text {file} cannot be read: {reason}",
        "无法读取文本 {file}：{reason}",
        "--text takes a file, `-` for standard input, or the name of a text that comes with "
        "Millstream: {known}.",
        "--text 可以是文件、`-`（标准输入），或 Millstream 自带文本的名称：{known}。",
    ),
    "text-not-utf8": Text(
        "the text {file} is not in UTF-8 (byte {at:,})",
        "文本 {file} 不是 UTF-8 编码（第 {at:,} 字节）",
        "Save it as UTF-8.",
        "请另存为 UTF-8。",
    ),
    "no-folder": Text(
        "nothing can be written in {folder}: {reason}",
        "无法在 {folder} 中写入：{reason}",
        "Name another folder by --scratch.",
        "请用 --scratch 指定其他文件夹。",
    ),
    "no-disk": Text(
        "the base's predictions do not fit into {folder}: {needed:,} bytes are needed, {free:,} "
        "are free",
        "{folder} 放不下基准模型的预测：需要 {needed:,} 字节，可用 {free:,} 字节",
        "Name a folder with more room by --scratch, or take fewer --chunks.",
        "请用 --scratch 指定空间更大的文件夹，或减少 --chunks。",
    ),
    "cannot-write": Text(
        "the base's predictions cannot be kept in {folder}: {reason}",
        "无法在 {folder} 中保存基准模型的预测：{reason}",
        "Name another folder by --scratch, or take fewer --chunks.",
        "请用 --scratch 指定其他文件夹，或减少 --chunks。",
    ),
    # ------------------------------------------------------------------------------------ options
    "number": Text(
        "{option} must be {least:,} or more, not {given}",
        "{option} 应不小于 {least:,}，而不是 {given}",
    ),
    "nothing": Text(
        "there is nothing left to measure",
        "没有可测量的内容",
        "Leave out --no-text or --no-tasks, or give an app by --app and --cases.",
        "请去掉 --no-text 或 --no-tasks，或用 --app 和 --cases 指定应用。",
    ),
    "app-needs-cases": Text(
        "--app and --cases go together",
        "--app 与 --cases 须同时使用",
        "millstream loss BASE QUANT --app app.yml --cases cases.jsonl",
        "millstream loss BASE QUANT --app app.yml --cases cases.jsonl",
    ),
    "only-with-app": Text(
        "{option} says how an app is run, and there is none",
        "{option} 用于运行应用，但没有指定应用",
        "Give an app by --app and --cases.",
        "请用 --app 和 --cases 指定应用。",
    ),
    # -------------------------------------------------------------------------------------- cases
    "cases-unreadable": Text(
        "the cases {file} cannot be read: {reason}",
        "无法读取用例 {file}：{reason}",
        "--cases takes a file with a JSON object on each line.",
        "--cases 需要每行一个 JSON 对象的文件。",
    ),
    "measured": Text("the model that is measured", "被测模型"),
    "unasked": Text(
        "the app says nothing of {models}: every case failed before a model was asked. {reason}",
        "应用的结果不能说明 {models} 的情况：所有用例都在调用模型之前失败。{reason}",
        "{next}",
        "{next}",
    ),
    "no-cases": Text("{file} has no cases", "{file} 中没有用例", _LINE, _LINE_ZH),
    "case-not-json": Text(
        "this line is not JSON: {problem}", "该行不是 JSON：{problem}", _LINE, _LINE_ZH
    ),
    "case-not-object": Text("this line is not an object", "该行不是对象", _LINE, _LINE_ZH),
    "case-key": Text(
        "there is no {key!r} in a case",
        "用例中没有 {key!r} 这一项",
        "Known here: {known}.",
        "可用的有：{known}。",
    ),
    "case-inputs": Text("`inputs` is not an object", "`inputs` 不是对象", _LINE, _LINE_ZH),
    "case-query": Text("`query` is not a text", "`query` 不是文本", _LINE, _LINE_ZH),
    "case-needs-query": Text(
        "this is a chat app: the case has no `query`",
        "这是对话应用，用例缺少 `query`",
        '{{"query": "…", "inputs": {{}}}}',
        '{{"query": "…", "inputs": {{}}}}',
    ),
    "case-expect": Text(
        "`expect` says nothing that can be expected",
        "`expect` 中没有可检查的内容",
        "It is an object with `contains`, `equals` or `json-schema`.",
        "它是包含 `contains`、`equals` 或 `json-schema` 的对象。",
    ),
    "case-contains": Text(
        "`contains` is neither a text nor a list of texts",
        "`contains` 既不是文本，也不是文本列表",
        'Write "contains": "Paris", or "contains": ["Paris", "France"].',
        '请写成 "contains": "Paris" 或 "contains": ["Paris", "France"]。',
    ),
    "case-schema": Text(
        "`json-schema` is no schema: {problem}",
        "`json-schema` 不是有效的模式：{problem}",
        'Write a JSON Schema, such as {{"type": "object", "required": ["capital"]}}.',
        '请写成 JSON Schema，例如 {{"type": "object", "required": ["capital"]}}。',
    ),
    "no-output": Text(
        "the app has no output {name} (it has: {known})", "应用没有输出 {name}（现有：{known}）"
    ),
    "lacks": Text("does not contain {text!r}", "不包含 {text!r}"),
    "differs": Text("is not {text!r}", "不等于 {text!r}"),
    "not-json": Text("is not JSON", "不是 JSON"),
    "not-schema": Text("does not fulfil the schema: {problem}", "不符合模式：{problem}"),
    # -------------------------------------------------------------------------------------- notes
    "note-quantized": Text(
        "The base {base} is quantized itself ({types}). It is a reference, not the original: what "
        "was lost on the way to it is not in these figures.",
        "基准 {base} 本身已量化（{types}）。它只是参照，而非原始模型：此前的损失不在这些数值之内。",
    ),
    "note-dequantized": Text(
        "The base {base} has numbers like those of a file with {bits} bits a weight or fewer that "
        "was turned back into wide ones. It is a reference, not the original: what was lost on the "
        "way to it is not in these figures, and a type like the earlier one looks better than it "
        "is.",
        "基准 {base} 的数值像是由每个权重不超过 {bits} 位的文件还原而来。它只是参照，而非原始模型："
        "此前的损失不在这些数值之内，与原先相近的类型会显得比实际更好。",
    ),
    "note-other": Text(
        "{model} has other tensors than {base}: it is another model, not a quantization of it.",
        "{model} 与 {base} 的张量不同：它是另一个模型，而不是其量化版本。",
    ),
    "note-few": Text(
        "{tokens:,} tokens are few: look at the errors before you compare.",
        "只有 {tokens:,} 个 token，比较前请先看误差。",
    ),
    "note-perplexity": Text(
        "By perplexity alone these could not be told from the base (the change is within two "
        "errors): {models}. Go by the divergence.",
        "仅凭困惑度无法区分以下模型与基准（变化在两倍误差之内）：{models}。请以散度为准。",
    ),
    "note-fallbacks": Text(
        "Fallbacks: tensors whose rows do not fit the blocks of the type that the label wants, and "
        "that got a larger one. Go by the bits a weight, not by the label.",
        "回退张量：行长与标签所指类型的块大小不符，因而改用更大类型的张量。请看位/权重，而不是标签。",
    ),
    "note-tasks": Text(
        "The base does little better than chance ({percent} %) on the tasks: they say nothing "
        "about this model.",
        "基准在任务上的表现与随机猜测（{percent} %）相差不大：这些任务不能说明该模型的情况。",
    ),
    # ----------------------------------------------------------------------------------- progress
    "loading": Text("loading {model}", "正在加载 {model}"),
    "reading": Text("{model} is reading", "{model} 正在读取文本"),
    "answering": Text("{model} is doing the tasks", "{model} 正在做任务"),
    "running": Text("the app runs on {model}", "应用正在 {model} 上运行"),
    # --------------------------------------------------------------------------------- the tables
    "title-divergence": Text("How far from the base", "与基准的差距"),
    "title-ability": Text("What it still can do", "还能做到什么"),
    "title-app": Text("The app: {name}, {count} cases", "应用：{name}，{count} 个用例"),
    "head-model": Text("Model", "模型"),
    "head-size": Text("Size", "大小"),
    "head-bits": Text("Bits/weight", "位/权重"),
    "head-fallbacks": Text("Fallbacks", "回退张量"),
    "head-kld": Text("KLD", "KL 散度"),
    "head-median": Text("median", "中位数"),
    "head-90": Text("90 %", "90 %"),
    "head-95": Text("95 %", "95 %"),
    "head-99": Text("99 %", "99 %"),
    "head-99.9": Text("99.9 %", "99.9 %"),
    "head-max": Text("max", "最大"),
    "head-same": Text("Same top", "首选一致"),
    "head-rms": Text("RMS Δp", "Δp 均方根"),
    "head-delta": Text("Mean Δp", "Δp 均值"),
    "head-perplexity": Text("Perplexity", "困惑度"),
    "head-ratio": Text("ln(PPL/base)", "ln(PPL/基准)"),
    "head-tasks": Text("Tasks", "任务"),
    "head-tasks-en": Text("English", "英语"),
    "head-tasks-zh": Text("Chinese", "汉语"),
    "head-agree": Text("As the base", "与基准一致"),
    "head-passed": Text("Passed", "通过"),
    "head-similarity": Text("Similarity", "相似度"),
    "head-identical": Text("Same text", "完全相同"),
    "head-seconds": Text("Time a case", "每例用时"),
    "head-memory": Text("Peak memory", "内存峰值"),
    "head-text": Text("Text", "文本"),
    "head-case": Text("Case", "用例"),
    "head-output": Text("What came", "实际输出"),
    "head-failure": Text("What is wrong", "问题"),
    "base": Text("{name} (base)", "{name}（基准）"),
    "about": Text(
        "{tokens:,} tokens of {texts} count (chunks of {context}); {tasks} tasks; threads: "
        "{threads}; {seconds:.0f} s",
        "计入 {texts} 的 {tokens:,} 个 token（每块 {context}）；{tasks} 道任务；{threads} 线程，"
        "{seconds:.0f} 秒",
    ),
    "fixed": Text(
        "Runs are comparable: temperature 0, a fixed seed, one call at a time, no kept prompts.",
        "各次运行可比：温度为 0，随机种子固定，逐个调用，不保留提示词缓存。",
    ),
    "own-sampling": Text(
        "Runs use the app's own temperature and seed: part of the difference is chance.",
        "各次运行采用应用自己的温度和种子：部分差异来自随机性。",
    ),
    "more-failures": Text(
        "… and {count} more; --json and --report have them all",
        "……另有 {count} 个；--json 和 --report 中有全部",
    ),
    "case": Text("line {line}", "第 {line} 行"),
    # --------------------------------------------------------------------------------- the report
    "report-title": Text("What quantization costs: {base}", "量化的代价：{base}"),
    "summary-best": Text(
        "{name} is nearest to the base: mean divergence {kld}, the same likeliest word for {same} "
        "of the tokens, at {share} of its size.",
        "{name} 最接近基准：平均散度 {kld}，{same} 的 token 首选词相同，大小为基准的 {share}。",
    ),
    "summary-worst": Text(
        "{name} is farthest from it: {kld} and {same}, at {share} of the size.",
        "{name} 差距最大：{kld}，{same}，大小为基准的 {share}。",
    ),
    "summary-front": Text(
        "No other file here is both smaller and nearer to the base: {names}.",
        "以下文件中，没有其他文件比它们更小又更接近基准：{names}。",
    ),
    "cut": Text(
        "{done} of the {total} models were measured, and are what is shown.",
        "{total} 个模型中完成了 {done} 个的测量，以上只是这些。",
    ),
    "left-out": Text(
        "Left out: {reason}",
        "未包含：{reason}",
    ),
    "app-cut": Text(
        "Interrupted: {done} of the {total} runs of cases were done, and are what is shown.",
        "已中断：{total} 次用例运行中完成了 {done} 次，以上只是这些。",
    ),
    "summary-app": Text(
        "The app passes {base} of its cases on the base; on the others: {others}.",
        "应用在基准上通过 {base} 的用例；在其他模型上：{others}。",
    ),
    "fact-base": Text("Base", "基准"),
    "fact-texts": Text("Texts", "文本"),
    "fact-tokens": Text("Tokens that count", "计入的 token"),
    "fact-context": Text("Tokens of a chunk", "每块 token 数"),
    "fact-threads": Text("Threads", "线程"),
    "fact-seconds": Text("Time", "用时"),
    "fact-comparing": Text("Arithmetic on top of the models' own", "模型之外的计算"),
    "section-notes": Text("To know", "须知"),
    "section-divergence": Text("How far from the base", "与基准的差距"),
    "section-ability": Text("What it still can do", "还能做到什么"),
    "section-texts": Text("By text", "按文本"),
    "section-app": Text("The app", "应用"),
    "section-definitions": Text("What the figures mean", "数值的含义"),
    "caption-percentiles": Text(
        "The divergence that so many of the tokens do not go beyond",
        "相应比例的 token 的散度不超过该值",
    ),
    "plot-front": Text("Size and divergence", "大小与散度"),
    "plot-percentiles": Text("Divergence by share of tokens", "各比例 token 的散度"),
    "bars-tasks": Text("Tasks done right", "任务正确率"),
    "axis-size": Text("size of the file", "文件大小"),
    "axis-kld": Text("mean divergence", "平均散度"),
    "axis-token": Text("divergence of a token", "单个 token 的散度"),
    "axis-tokens": Text("share of tokens at or below it", "不超过该值的 token 比例"),
    "series-models": Text("files", "文件"),
    "series-front": Text("none is smaller and nearer", "最优前沿"),
    "part-right": Text("right", "正确"),
    "limit-chance": Text("chance", "随机"),
    "limit-base": Text("base", "基准"),
    "definitions": Text(
        "Divergence (KLD): Kullback-Leibler divergence of the model's prediction from the base's, "
        "over the whole vocabulary, in nats; 0 is the same prediction. Same top: tokens for which "
        "both have the same likeliest word. Δp: the change of the chance of the word that came, in "
        "percentage points. Perplexity: e to the mean negative log-likelihood. ±: one standard "
        "deviation. Tasks: of four ways to go on, whether the right one is the likeliest.",
        "散度（KLD）：模型预测相对基准预测的 KL 散度，对整个词表计算，单位为 nat；"
        "0 表示预测完全相同。首选一致：两者最可能的词相同的 token。"
        "Δp：实际出现的词的概率变化，单位为百分点。"
        "困惑度：平均负对数似然的 e 指数。±：一个标准差。任务：四个后续中，正确的一个是否最可能。",
    ),
    "definitions-app": Text(
        "Similarity: pairs of neighbouring characters that an output shares with the base's "
        "(Dice's coefficient; 1 is the same text).",
        "相似度：输出与基准输出共有的相邻字符对（Dice 系数；1 表示文本相同）。",
    ),
}
