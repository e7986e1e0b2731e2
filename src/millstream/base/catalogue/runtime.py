from millstream.base.messages import Text

MESSAGES = {
    "needs": Text(
        "the app needs {count} things that are not here:{list}",
        "该应用需要 {count} 项这里没有的东西：{list}",
        "{advice}",
        "{advice}",
    ),
    "translated-by": Text("translation by {model}", "由 {model} 翻译"),
    "loop-is-running": Text(
        "`run` was called where an event loop is running",
        "在已有事件循环的地方调用了 `run`",
        "Write `await app.arun(…)` there.",
        "请改用 `await app.arun(…)`。",
    ),
    "nothing-to-run": Text(
        "the app (mode {mode}) has no node to begin with",
        "该应用（模式 {mode}）没有可以开始运行的节点",
        "Add a start node and connect it.",
        "请添加开始节点并把它连接起来。",
    ),
    "inputs-missing": Text(
        "the inputs {names} are missing",
        "缺少输入 {names}",
        "Give each as {name}=… , {name}=@FILE, or all in a JSON file with --input.",
        "请逐个用 {name}=…、{name}=@文件 提供，或用 --input 指定的 JSON 文件一并提供。",
    ),
    "input-none": Text(
        "the app asks for nothing, so there is no input {name!r}",
        "该应用不需要输入，因此没有输入 {name!r}",
        "Leave it out. `millstream inputs FILE` shows what an app asks for.",
        "请去掉它。用 `millstream inputs 文件` 可查看应用需要的输入。",
    ),
    "input-unknown": Text(
        "the app has no input {name!r}",
        "该应用没有输入 {name!r}",
        "It asks for: {known}. See `millstream inputs {file}`.",
        "它需要：{known}。详见 `millstream inputs {file}`。",
    ),
    "input-unknown-near": Text(
        "the app has no input {name!r}",
        "该应用没有输入 {name!r}",
        "Did you mean {near}? See `millstream inputs {file}`.",
        "您是否想用 {near}？详见 `millstream inputs {file}`。",
    ),
    "no-query": Text(
        "this is a chat app: it needs something to reply to",
        "这是一个对话应用：需要一句要回复的话",
        'Say it with --query "…" (in Python: run(query="…")).',
        '请用 --query "…" 提供（在 Python 中：run(query="…")）。',
    ),
    "file-not-given": Text(
        "the file {name!r} is not one of the inputs, so it is not read",
        "文件 {name!r} 不是输入之一，因此不会读取",
        "Give it as an input of the app.",
        "请把它作为应用的输入提供。",
    ),
    "file-unreadable": Text(
        "the file {name!r} cannot be read: {reason}",
        "无法读取文件 {name!r}：{reason}",
    ),
    "file-status": Text(
        "the file {name!r} could not be fetched: its server answered {status}",
        "无法获取文件 {name!r}：服务器返回 {status}",
        "Check its address.",
        "请检查它的地址。",
    ),
    "file-garbled": Text(
        "the file {name!r} is a data: address that cannot be decoded",
        "文件 {name!r} 的 data: 地址无法解码",
    ),
    "offline-tool": Text(
        "the tool {tool} asks a service on the internet, and --offline refuses that",
        "工具 {tool} 需要访问互联网，而 --offline 不允许",
        "Leave --offline out, or let a model do its work: `--local`.",
        "请去掉 --offline，或用 `--local` 让模型代替它。",
    ),
}
