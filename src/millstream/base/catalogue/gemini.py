from millstream.base.messages import Text

MESSAGES = {
    "blocked": Text(
        "{model} does not answer this prompt: it was blocked ({reason})",
        "{model} 拒绝回答该提示词：已被拦截（{reason}）",
        "Change the prompt, or bind another model: --bind {model}=PROVIDER/NAME",
        "请修改提示词，或绑定其他模型：--bind {model}=服务商/名称",
    ),
}
