from millstream.base.messages import Text

# Where the bound model can do the work of Google Translate, every error says how.
_LLM_EN = (
    "Let the bound model translate instead: --bind google_translate/translate=llm, or --local."
)
_LLM_ZH = "改由已绑定的模型翻译：--bind google_translate/translate=llm，或使用 --local。"

MESSAGES = {
    # ------------------------------------------------------------------ which tools are here
    "not-here-plugin": Text(
        "the tool {tool} is not here: it belongs to a Dify plugin, and Millstream does not run "
        "plugins yet",
        "本机没有工具 {tool}：它属于某个 Dify 插件，而 Millstream 尚不支持运行插件",
        "Replace the node by a code or llm node, or by a built-in tool "
        "(google_translate/translate, time/current_time …).",
        "请将该节点换成代码节点、LLM 节点或内置工具"
        "（google_translate/translate、time/current_time 等）。",
    ),
    "not-here-api": Text(
        "the tool {tool} is not here: it was made from an API description that the app file does "
        "not carry",
        "本机没有工具 {tool}：它由一份 API 描述生成，而应用文件中不含这份描述",
        "Call the API from an http-request node instead, once those run here.",
        "待 HTTP 请求节点可用后，请改用该节点调用此 API。",
    ),
    "not-here-workflow": Text(
        "the tool {tool} is not here: it is another app, published as a tool, and the app file "
        "names it only by its id",
        "本机没有工具 {tool}：它是另一个发布为工具的应用，而应用文件只记录了它的 ID",
        "Export that app too and run it by itself, or copy its nodes into this app.",
        "请同时导出那个应用并单独运行，或将其节点复制到本应用中。",
    ),
    "not-here-mcp": Text(
        "the tool {tool} is not here: it lives on an MCP server, and Millstream does not speak to "
        "MCP servers yet",
        "本机没有工具 {tool}：它位于 MCP 服务器上，而 Millstream 尚不支持连接 MCP 服务器",
        "Replace the node by a code node, or by a built-in tool.",
        "请将该节点换成代码节点或内置工具。",
    ),
    "only-substitute": Text(
        "the tool {tool} ({title}) is not here; the bound model can do its work",
        "本机没有工具 {tool}（{title}），但可由已绑定的模型代替",
        "Run with --bind {bind}={substitute}, or with --local.",
        "请加上 --bind {bind}={substitute} 或 --local 运行。",
    ),
    "no-substitute": Text(
        "the tool {tool} cannot be bound: nothing on this machine can stand in for it",
        "无法绑定工具 {tool}：本机没有可以代替它的实现",
        "Remove the binding. Tools with a substitute: google_translate/translate, "
        "duckduckgo/ddgo_translate.",
        "请删除该绑定。可以代替的工具：google_translate/translate、duckduckgo/ddgo_translate。",
    ),
    "bad-substitute": Text(
        "the tool {tool} cannot be bound to {given!r}: its substitute is {known!r}",
        "工具 {tool} 不能绑定到 {given!r}：可用的替代是 {known!r}",
        "Write --bind {tool}={known}.",
        "请写成 --bind {tool}={known}。",
    ),
    "no-models": Text(
        "the tool {tool} is bound to the model, but no model is bound",
        "工具 {tool} 已绑定到模型，但尚未绑定任何模型",
        "Bind one with --model PROVIDER/NAME, or use --local.",
        "请用 --model 提供商/名称 绑定一个模型，或使用 --local。",
    ),
    # ------------------------------------------------------------------------- parameters
    "parameter-missing": Text(
        "the tool was called without its parameter {name!r}",
        "调用工具时缺少参数 {name!r}",
        "Give the node's parameter a value, or a variable that has one.",
        "请为该节点的参数填写值，或选择一个有值的变量。",
    ),
    "language-unknown": Text(
        "{name} is {value}, which is no language code",
        "{name} 的值是 {value}，不是语言代码",
        "Use a code such as en, fr or zh-CN.",
        "请使用 en、fr、zh-CN 这样的语言代码。",
    ),
    # ------------------------------------------------------------------- google_translate
    "google-unreachable": Text(
        "Google Translate did not answer at {host}: {problem}",
        "无法连接谷歌翻译（{host}）：{problem}",
        _LLM_EN + " Behind a proxy, set translate.proxy; for a slow network, "
        "translate.connect_timeout and translate.read_timeout.",
        _LLM_ZH + "如需代理，请设置 translate.proxy；"
        "网络较慢时可调大 translate.connect_timeout 与 translate.read_timeout。",
    ),
    "google-slow": Text(
        "Google Translate at {host} let {seconds:g} s pass in silence, "
        "the limit of translate.read_timeout",
        "谷歌翻译（{host}）已沉默 {seconds:g} 秒，达到 translate.read_timeout 的限制",
        _LLM_EN + " For a slow network, raise translate.read_timeout.",
        _LLM_ZH + "网络较慢时可调大 translate.read_timeout。",
    ),
    "google-robot": Text(
        "Google Translate takes this machine for a robot and asks for a captcha (at {host})",
        "谷歌翻译将本机判定为机器人，要求输入验证码（{host}）",
        _LLM_EN + " Or wait some hours, or set translate.proxy.",
        _LLM_ZH + "也可以过几小时再试，或设置 translate.proxy。",
    ),
    "google-limit": Text(
        "Google Translate refuses for now: too many requests from this address (status 429 at "
        "{host})",
        "谷歌翻译暂时拒绝请求：来自本机地址的请求过多（{host} 返回 429）",
        _LLM_EN + " Or try again later, with the node's retry switched on.",
        _LLM_ZH + "也可以稍后再试，并打开该节点的重试。",
    ),
    "google-wait": Text(
        "Google Translate refuses for now: too many requests from this address; it asks to wait: "
        "{wait}",
        "谷歌翻译暂时拒绝请求：来自本机地址的请求过多；对方要求等待：{wait}",
        _LLM_EN + " Or try again after that time.",
        _LLM_ZH + "也可以等待之后再试。",
    ),
    "google-redirect": Text(
        "Google Translate sent us elsewhere ({target}, status {status}) instead of translating",
        "谷歌翻译没有返回译文，而是跳转到了别处（{target}，状态码 {status}）",
        _LLM_EN + " A network that asks for a login does this too: open a web page first.",
        _LLM_ZH + "需要登录认证的网络也会如此：请先在浏览器中打开一个网页。",
    ),
    "google-status": Text(
        "Google Translate answered with status {status} (at {host})",
        "谷歌翻译返回状态码 {status}（{host}）",
        _LLM_EN + " If you changed translate.endpoint, check it.",
        _LLM_ZH + "如果修改过 translate.endpoint，请检查该设置。",
    ),
    "google-odd": Text(
        "Google Translate answered something else than a translation: {problem} (at {host})",
        "谷歌翻译返回的不是译文：{problem}（{host}）",
        _LLM_EN + " If you changed translate.endpoint, check it.",
        _LLM_ZH + "如果修改过 translate.endpoint，请检查该设置。",
    ),
    "google-too-long": Text(
        "Google Translate gave an answer of more than {limit} MiB, the limit translate.max_mb "
        "(at {host})",
        "谷歌翻译的响应超过 {limit} MiB，即 translate.max_mb 的上限（{host}）",
        _LLM_EN + " Or raise that limit.",
        _LLM_ZH + "也可以调大该上限。",
    ),
    "odd-page": Text("a web page", "网页"),
    "odd-empty": Text("an empty answer", "空响应"),
    "odd-bytes": Text("bytes that are not UTF-8 text", "不是 UTF-8 文本的字节"),
    "odd-text": Text("text that is not JSON", "不是 JSON 的文本"),
    "odd-shape": Text("JSON of another shape", "结构不符的 JSON"),
    "odd-nothing": Text("no translated sentence", "没有任何译出的句子"),
    # ---------------------------------------------------------------------- llm_translate
    "translation-empty": Text(
        "{model} answered the request for a translation with nothing",
        "{model} 对翻译请求返回了空内容",
        "Use a larger model: millstream models pull qwen3:1.7b.",
        "请换用更大的模型：millstream models pull qwen3:1.7b。",
    ),
    # ------------------------------------------------------------------------------- time
    "no-such-zone": Text(
        "there is no time zone {zone!r}",
        "没有名为 {zone!r} 的时区",
        "Use a name of the IANA database, such as Asia/Shanghai or UTC. If the system has no "
        "database: pip install tzdata.",
        "请使用 IANA 时区名，例如 Asia/Shanghai 或 UTC。若系统没有时区数据库：pip install tzdata。",
    ),
    "no-such-date": Text(
        "there is no day {date}",
        "不存在 {date} 这一天",
        "Check year, month and day.",
        "请检查年、月、日。",
    ),
    "wrong-time": Text(
        "{name} is {value}, not a time such as 2024-01-31 08:00:00",
        "{name} 的值是 {value}，不是 2024-01-31 08:00:00 这样的时间",
        "Write it as YYYY-MM-DD HH:MM:SS.",
        "请写成 YYYY-MM-DD HH:MM:SS。",
    ),
    "wrong-number": Text(
        "{name} is {value}, which is no number that fits",
        "{name} 的值是 {value}，不是可用的数字",
        "Give a whole number; a timestamp in seconds.",
        "请填写整数；时间戳以秒为单位。",
    ),
    "wrong-format": Text(
        "{name} is {value}, which is no strftime format",
        "{name} 的值是 {value}，不是 strftime 格式",
        "Use a format such as %Y-%m-%d %H:%M:%S.",
        "请使用 %Y-%m-%d %H:%M:%S 这样的格式。",
    ),
}
