"""Runs apps on the reference engine (graphon, Apache-2.0) and prints what came of each.

Started by test_reference.py with an interpreter that has graphon: reads a JSON list of
[app text, inputs] from stdin, writes a JSON list of {outputs, status, nodes} to stdout. The model
answers "echo:" and the last message; code runs in this process.
"""

import json
import sys

import graphon.dsl.node_factory as factory
from graphon.dsl import loads
from graphon.model_runtime.entities.common_entities import I18nObject
from graphon.model_runtime.entities.llm_entities import LLMResult, LLMUsage
from graphon.model_runtime.entities.message_entities import AssistantPromptMessage
from graphon.model_runtime.entities.model_entities import AIModelEntity, FetchFrom, ModelType

CREDENTIALS = {
    "model_credentials": [{"provider": "langgenius/groq/groq", "values": {"api_key": "k"}}]
}


class Echo:
    def __init__(
        self, *, config, plugin_id, provider, model_name, credentials, parameters=None, stop=None
    ):
        self.provider, self.model_name = provider, model_name
        self.parameters, self.stop = dict(parameters or {}), []

    def get_model_schema(self):
        return AIModelEntity(
            model="echo",
            label=I18nObject(en_US="echo"),
            model_type=ModelType.LLM,
            features=[],
            fetch_from=FetchFrom.CUSTOMIZABLE_MODEL,
            model_properties={},
            parameter_rules=[],
        )

    def get_llm_num_tokens(self, messages):
        return 0

    def is_structured_output_parse_error(self, error):
        return False

    def invoke_llm(self, *, prompt_messages, model_parameters, tools, stop, stream):
        content = prompt_messages[-1].content
        if not isinstance(content, str):
            content = "".join(part.data for part in content)
        return LLMResult(
            model="echo",
            prompt_messages=prompt_messages,
            message=AssistantPromptMessage(content="echo:" + content),
            usage=LLMUsage.empty_usage(),
        )


class CodeExecutionError(RuntimeError):
    """As Dify's own executor calls it."""


class Running:
    """Runs Python of our own tests right here, where the engine would ask a sandbox service."""

    def __init__(self, settings):
        pass

    def execute(self, *, language, code, inputs):
        scope = {}
        exec(compile(code, "main.py", "exec"), scope)
        try:
            return scope["main"](**inputs)
        except Exception as error:
            raise CodeExecutionError(str(error)) from error

    def is_execution_error(self, error):
        return True


factory.SlimLLM = Echo
factory.SandboxCodeExecutor = Running


def run(text, inputs):
    nodes, outputs, status = {}, None, "?"
    try:
        engine = loads(text, start_inputs=inputs, credentials=CREDENTIALS)
        for event in engine.run():
            name = type(event).__name__
            if name.startswith("NodeRun") and name.endswith(("SucceededEvent", "FailedEvent")):
                result = event.node_run_result
                failed = name.endswith("FailedEvent")
                nodes[event.node_id] = "failed" if failed else "succeeded"
                del result
            elif name == "NodeRunExceptionEvent":
                nodes[event.node_id] = "exception"
            elif name.startswith("GraphRun"):
                status = name.removeprefix("GraphRun").removesuffix("Event").lower()
                outputs = getattr(event, "outputs", None)
    except Exception as error:
        if status != "failed":  # a failed run raises, too
            status = f"error: {type(error).__name__}: {error}"[:300]
    return {"outputs": outputs, "status": status, "nodes": nodes}


if __name__ == "__main__":
    answers = [run(text, inputs) for text, inputs in json.load(sys.stdin)]
    json.dump(answers, sys.stdout, default=str)
