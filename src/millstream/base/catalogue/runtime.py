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
    "no-query": Text(
        "this is a chat app: it needs something to reply to",
        "这是一个对话应用：需要一句要回复的话",
        'Say it with --query "…" (in Python: run(query="…")).',
        '请用 --query "…" 提供（在 Python 中：run(query="…")）。',
    ),
}
