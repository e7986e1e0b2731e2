"""Measuring how fast a model is: what is wrong, what is doubtful, what tables and reports say."""

from millstream.base.messages import Text

_NAME_IT = (
    "Name a GGUF file, a model that `millstream models` shows, or the address of a server: "
    "millstream bench http://HOST:PORT/v1"
)
_NAME_IT_ZH = (
    "请指定 GGUF 文件、`millstream models` 列出的模型，或服务地址："
    "millstream bench http://主机:端口/v1"
)

MESSAGES = {
    # ------------------------------------------------------------------------------ what is asked
    "bad-list": Text(
        "{option} takes whole numbers from {least} to 10,000,000, with commas between them; "
        "{given!r} is not",
        "{option} 需要 {least} 到 10,000,000 的整数，用逗号分隔；{given!r} 不符合",
        "For example: {option} 128,512",
        "例如：{option} 128,512",
    ),
    "bad-number": Text(
        "{option} takes a number from {least:g} on; {given!r} is not",
        "{option} 需要不小于 {least:g} 的数；{given!r} 不符合",
    ),
    "needs-rate": Text(
        "the profile {profile} sends calls at a rate, and none is given",
        "{profile} 方式按固定速率发送请求，但未指定速率",
        "Say how many calls a second: --rate 0.5,2",
        "请指定每秒请求数：--rate 0.5,2",
    ),
    "rate-alone": Text(
        "--rate means nothing to the profile {profile}",
        "--rate 对 {profile} 方式无意义",
        "Add --profile constant or --profile poisson.",
        "请加上 --profile constant 或 --profile poisson。",
    ),
    "depth-rate": Text(
        "--depth needs calls that wait for one another; {profile} sends them at a rate",
        "--depth 要求请求依次等待，而 {profile} 方式按速率发送",
        "Make the prompt itself longer: --prompt",
        "请直接加长提示词：--prompt",
    ),
    "needs-watts": Text(
        "--kwh-price prices the energy, and nothing says how much the machine draws",
        "--kwh-price 用于计算电费，但没有给出机器的功率",
        "Say how much it draws while it works: --watts 65",
        "请给出机器工作时的功率：--watts 65",
    ),
    "long-context": Text(
        "{model} was trained for {trained:,} tokens, and --depth, --prompt and --output come to "
        "{tokens:,}",
        "{model} 的训练上下文为 {trained:,} 个 token，"
        "而 --depth、--prompt 与 --output 合计 {tokens:,}",
        "Ask for less with --prompt, --output or --depth.",
        "请减小 --prompt、--output 或 --depth。",
    ),
    "many-calls": Text(
        "--profile synchronous sends one call at a time; --concurrency {given} asks for more",
        "--profile synchronous 每次只发送一个请求，与 --concurrency {given} 矛盾",
        "Leave --profile out, or take concurrent or sweep.",
        "请去掉 --profile，或改用 concurrent、sweep。",
    ),
    "not-loaded-here": Text(
        "{option} says how a model is loaded, and {model} is not loaded by this program",
        "{option} 用于设置模型的加载方式，但 {model} 不由本程序加载",
        "Set it at the server, or measure a GGUF file.",
        "请在该服务上设置，或改测 GGUF 文件。",
    ),
    "short-prompt": Text(
        "a prompt of {tokens} tokens is not possible: the model's template and one word take "
        "{least}",
        "无法生成 {tokens} 个 token 的提示词：模型的对话模板加一个词就占 {least} 个",
        "Ask for a longer one: --prompt {least}",
        "请指定更长的长度：--prompt {least}",
    ),
    "bad-url": Text(
        "{url} is no address of a model server",
        "{url} 不是模型服务的地址",
        "Give it as http://HOST:PORT/v1, without a key in it.",
        "请使用 http://主机:端口/v1 的形式，其中不要包含密钥。",
    ),
    "which-model": Text(
        "{url} does not have exactly one model: {known}",
        "{url} 提供的模型不是恰好一个：{known}",
        "Name the model: --model NAME",
        "请指定模型：--model 名称",
    ),
    "model-alone": Text(
        "--model names the model of a server, and no address of one is given",
        "--model 用于指定服务上的模型，但未给出服务地址",
        "Give the address: millstream bench http://127.0.0.1:8000/v1 --model NAME. A model that "
        "this machine knows is named directly.",
        "请给出地址：millstream bench http://127.0.0.1:8000/v1 --model 名称。"
        "本机已知的模型可直接写名称。",
    ),
    # ------------------------------------------------------------------------------ what went wrong
    "silent": Text(
        "{server} gave no sign of life for {seconds:g} s, the limit of --timeout",
        "{server} 超过 {seconds:g} 秒（--timeout 的限制）没有任何响应",
        "Give it more time with --timeout, or 0 for no limit.",
        "可用 --timeout 延长时间，0 表示不限。",
    ),
    "kept": Text("What had been measured is shown, and kept.", "已测得的结果会显示并保留。"),
    "model-missing": Text(
        "{why}",
        "{why}",
        "Name a model that it has: behind the provider's name (`millstream models`), or by --model "
        "NAME beside an address.",
        "请指定它提供的模型：写在服务商名称之后（见 `millstream models`），"
        "或在地址之外用 --model 名称 指定。",
    ),
    "long-prompt": Text(
        "{why}",
        "{why}",
        "Ask for less: --prompt, --depth and --output together are to fit. Or raise the context "
        "at the server.",
        "请减小 --prompt、--depth 与 --output：三者之和不能超出上下文；也可以在服务上调大上下文。",
    ),
    "no-credit": Text(
        "{why}",
        "{why}",
        "Top up the account, or set another key: in {setting}, or with `millstream keys set "
        "{provider}`",
        "请充值，或设置其他密钥：环境变量 {setting}，或 `millstream keys set {provider}`",
    ),
    "refused": Text(
        "{why}",
        "{why}",
        "What it says tells why: change --prompt, --output or --model, or look at its log.",
        "请根据它返回的说明修改 --prompt、--output 或 --model，或查看服务端日志。",
    ),
    "no-memory": Text(
        "{why}",
        "{why}",
        "Stop other models (ollama stop NAME), or ask for less: --prompt, --depth, --concurrency.",
        "请停止其他模型（ollama stop 名称），或减小 --prompt、--depth、--concurrency。",
    ),
    "offline": Text(
        "{host} is outside this machine and its private network, and the setting network.offline "
        "forbids that",
        "{host} 不在本机或内网，而设置 network.offline 禁止访问外部网络",
        "millstream settings set network.offline false, or name a model of this machine.",
        "请运行 millstream settings set network.offline false，或指定本机的模型。",
    ),
    "another-model": Text("{why}", "{why}", _NAME_IT, _NAME_IT_ZH),
    "no-address": Text(
        "{why}",
        "{why}",
        "Say where the server is: millstream endpoints set {provider} URL. Or measure it by its "
        "address: millstream bench URL --model {name}",
        "请指定服务地址：millstream endpoints set {provider} URL；"
        "或直接用地址测量：millstream bench URL --model {name}",
    ),
    "no-azure-address": Text(
        "{why}",
        "{why}",
        "Set AZURE_OPENAI_ENDPOINT to https://RESOURCE.openai.azure.com.",
        "请把 AZURE_OPENAI_ENDPOINT 设为 https://资源名.openai.azure.com。",
    ),
    "busy": Text(
        "{server} takes no more requests for {model} now ({status}{asks}): {message}",
        "{server} 暂不接受 {model} 的更多请求（{status}{asks}）：{message}",
        "Run again later, or send less at once: --concurrency, --rate. What is measured is never "
        "sent a second time.",
        "请稍后再运行，或减少同时发送的请求：--concurrency、--rate。被测量的调用不会重发。",
    ),
    "cannot-read": Text(
        "{file} cannot be read: {reason}",
        "无法读取 {file}：{reason}",
        "Name a file that --save has written.",
        "请指定由 --save 写出的文件。",
    ),
    "no-folder": Text(
        "{file} cannot be written: there is no folder {folder}",
        "无法写入 {file}：文件夹 {folder} 不存在",
        "Make the folder first, or name another place.",
        "请先创建该文件夹，或指定其他位置。",
    ),
    "cannot-write": Text(
        "{file} cannot be written: {reason}",
        "无法写入 {file}：{reason}",
        "Make room on the disk, or name another file by --save.",
        "请腾出磁盘空间，或用 --save 指定另一个文件。",
    ),
    "not-replaced": Text(
        "{file} is no saved run, and is not replaced by one",
        "{file} 不是已保存的测试结果，不会被覆盖",
        "Name another file by --save, or remove this one first.",
        "请用 --save 指定另一个文件，或先删除该文件。",
    ),
    "empty-answers": Text(
        "{model} answered without a single token, each time",
        "{model} 每次回答都没有任何 token",
        "Ask it something by hand (`millstream models chat`), and look at the server's log.",
        "请手动向它提问（`millstream models chat`），并查看服务端日志。",
    ),
    "not-a-run": Text(
        "{file} is no saved benchmark: {problem}",
        "{file} 不是已保存的测速结果：{problem}",
        "Name a file that --save has written.",
        "请指定由 --save 写出的文件。",
    ),
    "newer-run": Text(
        "{file} was saved by a newer version (format {format})",
        "{file} 由更新的版本保存（格式 {format}）",
        "Update Millstream.",
        "请更新 Millstream。",
    ),
    "nothing-alike": Text(
        "nothing in this run was measured in {file}, too",
        "本次测量与 {file} 没有相同的测量项",
        "Measure with the same --prompt, --output, --depth and --concurrency as then.",
        "请使用与当时相同的 --prompt、--output、--depth 和 --concurrency。",
    ),
    "point-failed": Text(
        "{point}: no call succeeded, of {count}",
        "{point}：{count} 次调用全部失败",
    ),
    "trouble": Text("{label}: {message}", "{label}：{message}"),
    "stopped": Text(
        "Stopped. These are the figures of what had been measured until then.",
        "已中断。以下为中断前测得的结果。",
    ),
    "nothing-yet": Text("Stopped before anything had been measured.", "已中断，尚未测得任何结果。"),
    "not-written": Text(
        "Nothing was measured: {file} is not written.", "没有测得任何结果：未写入 {file}。"
    ),
    # ---------------------------------------------------------------------------- what is doubtful
    "lie-recount": Text(
        "the server counts {told} tokens in an answer that came in {pieces} pieces, and its own "
        "tokenizer makes {counted} of it ({count} of {calls} calls): its count is not used",
        "服务报告某个回答有 {told} 个 token，但该回答分 {pieces} 块到达，"
        "其分词器自己数得 {counted} 个"
        "（{calls} 次调用中有 {count} 次）：不采用它的计数",
    ),
    "lie-bytes": Text(
        "the server counts {told} tokens in an answer of {bytes} bytes ({count} of {calls} calls): "
        "that cannot be; the {pieces} pieces are counted instead",
        "服务报告只有 {bytes} 字节的回答有 {told} 个 token（{calls} 次调用中有 {count} 次）："
        "这不可能，改为按 {pieces} 个数据块计数",
    ),
    "lie-limit": Text(
        "the server counts {told} tokens where {wanted} were allowed and {pieces} pieces came "
        "({count} of {calls} calls): the pieces are counted instead",
        "上限为 {wanted} 个 token、实际到达 {pieces} 块，服务却报告 {told} 个"
        "（{calls} 次调用中有 {count} 次）：改为按数据块计数",
    ),
    "lie-words": Text(
        "the server counts {told} tokens in an answer of {words} words ({count} of {calls} calls): "
        "that cannot be; the {pieces} pieces are counted instead",
        "服务报告含 {words} 个词的回答只有 {told} 个 token（{calls} 次调用中有 {count} 次）："
        "这不可能，改为按 {pieces} 个数据块计数",
    ),
    "lie-prompt-bytes": Text(
        "the server counts {read} tokens in a prompt of {bytes} bytes ({count} of {calls} calls): "
        "that cannot be; {asked} are taken instead",
        "服务报告 {bytes} 字节的提示词有 {read} 个 token（{calls} 次调用中有 {count} 次）："
        "这不可能，改用 {asked}",
    ),
    "lie-prompt-words": Text(
        "the server counts {read} tokens in a prompt of {words} words ({count} of {calls} calls): "
        "that cannot be; {asked} are taken instead",
        "服务报告含 {words} 个词的提示词只有 {read} 个 token（{calls} 次调用中有 {count} 次）："
        "这不可能，改用 {asked}",
    ),
    "lie-prompt-growth": Text(
        "the server counts {growth:.0f} tokens more for each further word of a prompt, more than a "
        "word has bytes: its counts of prompts are not used, {asked} are taken instead of {read} "
        "({count} of {calls} calls)",
        "提示词每增加一个词，服务的计数就增加 {growth:.0f} 个 token，比词的字节数还多："
        "不采用它对提示词的计数，用 {asked} 代替 {read}（{calls} 次调用中有 {count} 次）",
    ),
    "doubt-no-usage": Text(
        "the server told no token counts ({count} of {calls} calls): a piece of an answer is taken "
        "for a token",
        "服务未返回 token 数（{calls} 次调用中有 {count} 次）：把每个数据块当作一个 token",
    ),
    "doubt-not-streamed": Text(
        "answers came in one piece ({count} of {calls} calls): the time to the first token is that "
        "of the whole answer, and there is no inter-token latency",
        "回答一次性返回（{calls} 次调用中有 {count} 次）：首 token 时间等于整个回答的时间，"
        "也没有 token 间隔",
    ),
    "doubt-merged": Text(
        "{each:.1f} tokens came in a piece: inter-token latency is that between pieces",
        "每个数据块包含 {each:.1f} 个 token：token 间隔按数据块之间的间隔计算",
    ),
    "doubt-split": Text(
        "a token came in {each:.1f} pieces: inter-token latency is that between pieces",
        "每个 token 分成 {each:.1f} 个数据块到达：token 间隔按数据块之间的间隔计算",
    ),
    "doubt-short": Text(
        "answers ended by themselves after {tokens} tokens, {wanted} were wanted",
        "回答在 {tokens} 个 token 处自行结束，未达到要求的 {wanted} 个",
    ),
    "doubt-long": Text(
        "answers had {tokens} tokens, {wanted} were allowed: the server does not keep to the limit "
        "of an answer, and the figures are those of the long ones",
        "回答有 {tokens} 个 token，而上限为 {wanted} 个：服务没有遵守回答的长度上限，"
        "数值来自这些更长的回答",
    ),
    "doubt-prompt-count": Text(
        "the server says that it read {read} tokens of prompts that have {asked}",
        "提示词有 {asked} 个 token，服务却报告读取了 {read} 个",
    ),
    "doubt-prompt-length": Text(
        "prompts have {read} tokens, {asked} were wanted: their length is an estimate, as the "
        "server has no tokenizer to ask",
        "提示词为 {read} 个 token，而要求是 {asked} 个：服务没有可查询的分词器，长度为估计值",
    ),
    "doubt-cached": Text(
        "the server had {share:.0%} of the prompts in its cache, though all were new: prefill is "
        "that of the rest",
        "提示词全部是新的，服务却有 {share:.0%} 命中缓存：预填充速度按其余部分计算",
    ),
    "doubt-depth": Text(
        "the server did not keep the {depth} tokens that were read beforehand, or does not say so: "
        "the time to the first token may be that of all of them",
        "服务没有保留预先读取的 {depth} 个 token（或未说明）：首 token 时间可能包含重新读取它们",
    ),
    "doubt-failed": Text(
        "{failed} of {calls} calls failed: the figures are those of the others",
        "{calls} 次调用中有 {failed} 次失败：数值来自其余调用",
    ),
    "doubt-noisy": Text(
        "noisy: the {count} repetitions differ by {share:.0%} of their mean (standard deviation)",
        "波动大：{count} 次重复之间相差均值的 {share:.0%}（标准差）",
    ),
    "doubt-shared": Text(
        "noisy: the model's threads had {share:.0%} of the processor time that they could have "
        "had; others were at work, or it was waiting",
        "有干扰：模型线程只得到应得处理器时间的 {share:.0%}，可能有其他程序在运行，或模型在等待",
    ),
    "doubt-above": Text(
        "decode is {share:.0%} of what this machine was measured to allow at best: pieces came in "
        "bursts, the processor's cache holds the model, or the machine was busy when it was "
        "measured (--calibrate)",
        "生成速度为本机实测上限的 {share:.0%}：可能是数据块成批到达、模型可放入处理器缓存，"
        "或测量本机时机器繁忙（--calibrate 可重新测量）",
    ),
    "doubt-no-card": Text(
        "there is no graphics card here: the {layers} GPU layers ran on the processor",
        "本机没有显卡：{layers} 个 GPU 层在处理器上运行",
    ),
    "doubt-card-unused": Text(
        "the llama.cpp that is installed does not use {cards}: the {layers} GPU layers ran on the "
        "processor",
        "当前安装的 llama.cpp 不使用 {cards}：{layers} 个 GPU 层在处理器上运行",
    ),
    "doubt-client": Text(
        "sending and reading took {share:.0%} of a core: the figures may be those of this program",
        "收发请求占用了一个核心的 {share:.0%}：测得的可能是本程序自身的速度",
    ),
    "doubt-late": Text(
        "calls were sent up to {seconds:.2f} s after they were due: the rate was not kept",
        "请求最多延迟 {seconds:.2f} 秒才发出：未能保持设定的速率",
    ),
    # ---------------------------------------------------------------------------------- progress
    "progress-loading": Text("loading", "加载中"),
    "progress-prompts": Text("making prompts", "生成提示词"),
    "progress-warm-up": Text("warming up", "预热"),
    "progress-measuring": Text("measuring", "测量中"),
    "calibrating": Text(
        "measuring this machine's bandwidth and arithmetic, once …",
        "测量本机的带宽与算力（仅一次）……",
    ),
    "finding": Text("looking for {word} …", "正在查找 {word}……"),
    "live": Text(
        "{done}/{of} calls, {running} running, {rate:,.1f} tokens/s",
        "调用 {done}/{of}，进行中 {running}，{rate:,.1f} token/秒",
    ),
    # --------------------------------------------------------------------------------- the tables
    "point-depth": Text("depth {depth}", "深度 {depth}"),
    "point-at-once": Text("{count} at once", "并发 {count}"),
    "point-constant": Text("{rate:g}/s", "每秒 {rate:g} 次"),
    "point-poisson": Text("{rate:g}/s, Poisson", "每秒 {rate:g} 次（泊松）"),
    "point-threads": Text("threads {count}", "{count} 线程"),
    "point-batch": Text("batch {count}", "批 {count}"),
    "point-layers": Text("{count} GPU layers", "GPU 层 {count}"),
    "head-point": Text("prompt → answer", "提示词 → 回答"),
    "head-figure": Text("figure", "指标"),
    "head-prefill": Text("prefill tokens/s", "预填充 token/秒"),
    "head-decode": Text("decode tokens/s", "生成 token/秒"),
    "head-first": Text("first token", "首 token"),
    "head-first-p95": Text("first token p95", "首 token p95"),
    "head-gap": Text("inter-token p50", "token 间隔 p50"),
    "head-gap-p95": Text("inter-token p95", "token 间隔 p95"),
    "head-gap-p99": Text("inter-token p99", "token 间隔 p99"),
    "head-per-token": Text("time per output token", "每输出 token 时间"),
    "head-seconds": Text("time per sample", "单次用时"),
    "head-requests": Text("requests/s", "请求/秒"),
    "head-output": Text("output tokens/s, all", "总输出 token/秒"),
    "head-all": Text("tokens/s, read and written", "token/秒（读写合计）"),
    "head-calls": Text("calls (failed)", "调用（失败）"),
    "head-tokens": Text("tokens read → written", "token 读 → 写"),
    "head-memory": Text("peak memory (predicted)", "内存峰值（预测）"),
    "head-card": Text("on graphics cards", "显存"),
    "head-operations": Text("operations per token", "每 token 运算量"),
    "head-rate": Text("reached, decode · prefill", "实际算力：生成 · 预填充"),
    "head-roof": Text("of the roofline, decode · prefill", "占屋顶线：生成 · 预填充"),
    "head-predicted": Text("predicted, decode · prefill", "预测：生成 · 预填充"),
    "head-joules": Text("energy per token", "每 token 能耗"),
    "head-price": Text("price of a million tokens written", "每百万输出 token 价格"),
    "head-price-all": Text("price of a million tokens in all", "每百万 token（含输入）价格"),
    "head-before": Text("before", "之前"),
    "head-now": Text("now", "现在"),
    "head-change": Text("change (95 %)", "变化（95 %）"),
    "head-p": Text("p", "p"),
    "head-verdict": Text("verdict", "结论"),
    "verdict-faster": Text("faster", "更快"),
    "verdict-slower": Text("slower", "更慢"),
    "verdict-none": Text("no difference", "无差异"),
    "verdict-few": Text("too few repetitions", "重复次数太少"),
    "short-prefill": Text("prefill", "预填充"),
    "short-decode": Text("decode", "生成"),
    "short-first": Text("first token", "首 token"),
    "short-gap": Text("inter-token", "token 间隔"),
    "short-seconds": Text("per sample", "单次用时"),
    "short-requests": Text("requests", "请求"),
    "short-output": Text("output", "输出"),
    "about-model": Text(
        "{architecture}, {parameters:.2f} billion weights, {quantization}, {size}",
        "{architecture}，{parameters:.2f}B 权重，{quantization}，{size}",
    ),
    "about-load": Text(
        "loaded in {seconds:.1f} s: {slots} × {context} tokens of context, threads {threads}, "
        "batch {batch}",
        "加载用时 {seconds:.1f} 秒：上下文 {slots} × {context} token，{threads} 线程，批 {batch}",
    ),
    "prompts-tokenizer": Text(
        "lengths of prompts are exact, by the server's tokenizer",
        "提示词长度精确，由服务的分词器计数",
    ),
    "prompts-usage": Text(
        "lengths of prompts are estimates, by what the server counted in two short calls",
        "提示词长度为估计值，依据服务对两次短调用的计数",
    ),
    "prompts-guess": Text(
        "lengths of prompts are guesses: the server has no tokenizer to ask and tells no counts",
        "提示词长度为猜测值：服务没有可查询的分词器，也不返回计数",
    ),
    "prompts-doubt": Text(
        "lengths of prompts are guesses: the server has no tokenizer to ask, and what it counts "
        "does not go with the texts",
        "提示词长度为猜测值：服务没有可查询的分词器，它的计数也与文本不符",
    ),
    "against-title": Text("Against {file} ({when})", "与 {file}（{when}）比较"),
    "against-note": Text(
        "p: exact permutation test over repetitions; the verdict takes {count} tests together "
        "(false discovery rate 5 %). The runs were made at different times.",
        "p：对各次重复做精确置换检验；结论综合了 {count} 项检验（错误发现率 5 %）。"
        "两次测量的时间不同。",
    ),
    "against-noisy": Text(
        "One of the runs was noisy: a difference may be that of the neighbours.",
        "其中一次测量有干扰：差异可能来自其他程序。",
    ),
    "unmatched": Text(
        "{count} points of this run were not measured then.", "本次有 {count} 项当时未测量。"
    ),
    # --------------------------------------------------------------------------------- the report
    "title": Text("How fast: {names}", "模型测速：{names}"),
    "fact-machine": Text("Machine", "机器"),
    "fact-memory": Text("Memory", "内存"),
    "fact-version": Text("Millstream", "Millstream"),
    "fact-when": Text("Measured", "测量时间"),
    "fact-repetitions": Text("Repetitions", "重复次数"),
    "machine": Text("{processor}, cores: {cores}", "{processor}，{cores} 核"),
    "summary-decode": Text(
        "{label} writes {decode:,.1f} tokens a second after a prompt of {prompt} tokens; the first "
        "one comes after {first:.2f} s.",
        "{label} 在 {prompt} 个 token 的提示词之后每秒生成 {decode:,.1f} 个 token，"
        "首个 token 需 {first:.2f} 秒。",
    ),
    "summary-knee": Text(
        "{label}: more at once than {count} add nothing: {output:,.1f} tokens a second in "
        "all there, {best:,.1f} at best.",
        "{label}：并发超过 {count} 不再有收益：此时总计每秒 {output:,.1f} 个 token，"
        "最高 {best:,.1f}。",
    ),
    "summary-roof": Text(
        "{label} reaches {share:.0%} of what the machine's memory bandwidth allows when it writes.",
        "{label} 生成时达到本机内存带宽所允许速度的 {share:.0%}。",
    ),
    "summary-noisy": Text(
        "{count} of {all} points were noisy: take their figures with care.",
        "{all} 项中有 {count} 项受到干扰，请谨慎看待其数值。",
    ),
    "section-figures": Text("Figures", "数值"),
    "section-context": Text("By context", "随上下文变化"),
    "section-concurrency": Text("By calls at once", "随并发变化"),
    "section-latency": Text("Latency", "延迟"),
    "section-roof": Text("Roofline", "屋顶线"),
    "section-doubts": Text("What to take with care", "需要注意"),
    "section-definitions": Text("What the figures mean", "指标说明"),
    "section-against": Text("Against the saved run", "与已保存结果比较"),
    "plot-context": Text("Tokens a second by tokens of context", "token/秒 与上下文长度"),
    "plot-concurrency": Text("Tokens a second by calls at once", "token/秒 与并发数"),
    "plot-first": Text("Time to first token: share of calls", "首 token 时间：累计占比"),
    "plot-gap": Text("Inter-token latency: share of gaps", "token 间隔：累计占比"),
    "plot-roof": Text("What was reached, below what the machine can do", "实际算力与本机上限"),
    "axis-context": Text("tokens of context", "上下文 token 数"),
    "axis-speed": Text("tokens a second", "token/秒"),
    "axis-at-once": Text("calls at once", "并发数"),
    "axis-seconds": Text("seconds", "秒"),
    "axis-share": Text("share", "占比"),
    "axis-intensity": Text("operations a byte", "每字节运算量"),
    "axis-operations": Text("operations a second", "每秒运算量"),
    "series-decode": Text("{label}: decode", "{label}：生成"),
    "series-prefill": Text("{label}: prefill", "{label}：预填充"),
    "series-output": Text("{label}: output of all calls", "{label}：全部调用的输出"),
    "series-roof": Text("the machine", "本机上限"),
    "definitions": Text(
        "First token: from sending a request to the first piece of its answer. Inter-token: "
        "between neighbouring pieces. Time per output token: (last piece − first piece) / (tokens "
        "− 1). Decode is its inverse. Time per sample: from sending to the last piece. Prefill: "
        "tokens of the prompt that no cache had / time to first token. Requests/s and output "
        "tokens/s: of a whole repetition, from its first request to the end of its last answer.",
        "首 token：从发出请求到收到回答的第一块。token 间隔：相邻两块之间。每输出 token 时间："
        "（最后一块 − 第一块）/（token 数 − 1），生成速度为其倒数。单次用时：从发出请求到最后一块。"
        "预填充：提示词中未命中缓存的 token 数 / 首 token 时间。请求/秒与总输出 token/秒："
        "按整个重复计算，从第一个请求发出到最后一个回答结束。",
    ),
}
