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
        "the default value of {key!r} is declared as {type} but is {given}",
        "{key!r} 的默认值声明为 {type}，实际却是 {given}",
        "Write the value as JSON of that type, or declare the type that it has.",
        "请把该值写成该类型的 JSON，或声明它实际的类型。",
    ),
    "reserved-id": Text(
        "a node cannot have the id of the system's own variables",
        "节点的 id 不能与系统变量的名称相同",
        "Give the node another id; sys, env, conversation and rag are taken.",
        "请换一个 id；sys、env、conversation 和 rag 已被占用。",
    ),
    "too-deep": Text(
        "a value is nested too deeply to be worked with, or holds itself",
        "某个值嵌套过深，或包含自身，无法处理",
        "Hand on a flatter value.",
        "请传递嵌套较少的值。",
    ),
    "no-memory": Text(
        "the memory of this machine is not enough for this",
        "这台机器的内存不足以完成此操作",
        "Close other programs, or work on smaller pieces.",
        "请关闭其他程序，或分成更小的部分处理。",
    ),
    "cancelled": Text(
        "something that the node waited for was cancelled",
        "节点所等待的操作被取消了",
        "Run again.",
        "请重新运行。",
    ),
}
