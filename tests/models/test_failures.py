"""What a server's refusal is taken to mean, in the words of servers that were run or quoted."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.models import failures
from millstream.models.http import Refusal, words_of_error
from millstream.models.target import Target

TARGET = Target("gw", "nope", "openai", "http://127.0.0.1:4000/v1")


def code(status: int, body: Any) -> str:
    message, kind = words_of_error(body)
    return failures.refused(TARGET, Refusal("http://s", status, message, kind, body)).code


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "Not Found"},  # FastAPI: LiteLLM, vLLM, Xinference
        {"error": {"code": 404, "message": "File Not Found", "type": "x"}},  # llama.cpp
        {"type": "error", "error": {"type": "not_found_error", "message": "Not found"}},
        {"error": {"code": "404", "message": "Resource not found"}},  # Azure
        {"error": {"message": "Invalid URL (POST /v1/v1/chat)", "type": "invalid_request_error"}},
        "404 page not found",
    ],
)  # fmt: skip
def test_a_path_that_is_not_there_is_no_missing_model(body: Any) -> None:
    assert code(404, body) == "models.no-such-path"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}),
        (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}),
        (404, {"error": "model 'x' not found"}),
        (404, {"error": {"code": 404, "message": "models/x is not found for API version v1beta",
                         "status": "NOT_FOUND"}}),
        (400, {"error": {"message": "/chat/completions: Invalid model name passed in model=x. Call "
                         "`/v1/models` to view available models for your key.",
                         "type": "invalid_request_error", "code": "400"}}),  # LiteLLM
        (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}),
        (400, {"message": "Invalid model: x", "type": "invalid_model", "code": "1500"}),
        (400, {"error": {"message": "x is not a valid model ID", "code": 400}}),
        (400, {"error": {"code": "1211", "message": "模型不存在，请检查模型代码。"}}),
    ],
)  # fmt: skip
def test_a_missing_model_is_one_whatever_the_status(status: int, body: Any) -> None:
    assert code(status, body) == "models.model-missing"


@pytest.mark.parametrize(
    "message", ["temperature: range: 0..1", "Invalid value for model parameter top_k", "bad image"]
)
def test_any_other_refusal_stays_one(message: str) -> None:
    assert code(400, {"error": {"message": message}}) == "models.refused"
