from millstream.base.messages import Text

MESSAGES = {
    "no-profile": Text(
        "there is no limits profile named {name!r}; there are: {known}",
        "没有名为 {name!r} 的限制配置；可用的有：{known}",
    ),
    "max-steps": Text(
        "the run started more than {steps} nodes",
        "本次运行启动的节点超过 {steps} 个",
        "The limit is the setting `limits.max_steps`; raise it or switch it off.",
        "该限制由设置 `limits.max_steps` 决定；请调大或关闭它。",
    ),
    "max-seconds": Text(
        "the run took longer than {seconds} seconds",
        "本次运行超过了 {seconds} 秒",
        "The limit is the setting `limits.max_seconds`; raise it or switch it off.",
        "该限制由设置 `limits.max_seconds` 决定；请调大或关闭它。",
    ),
    "not-yet": Text(
        "this version of Millstream cannot run nodes of type {type!r} yet",
        "当前版本的 Millstream 还不能运行 {type!r} 类型的节点",
        "The file is read and kept whole; `millstream check` shows what runs.",
        "文件内容会完整保留；用 `millstream check` 查看哪些节点可以运行。",
    ),
    "no-port": Text(
        "nothing here can do this: no {port} is connected",
        "这里没有可用的 {port}，无法执行",
    ),
    "bad-default": Text(
        "the default value of {key!r} is declared as {type} but is not JSON",
        "{key!r} 的默认值声明为 {type}，但不是有效的 JSON",
        "Write the value as JSON, or declare it as a string.",
        "请把该值写成 JSON，或把类型改为 string。",
    ),
}
