"""What an operator reads when a model doesn't load: the setting that helps."""

import importlib.util
import json
import logging
from pathlib import Path

import pytest

from services.inference.engines.vllm import environment
from services.inference.engines.vllm.failures import OWN_FOLDER, FailureHandler, load_failure
from services.inference.settings import InferenceSettings

SETTINGS = InferenceSettings(model="some/model")
CACHE = (
    "To serve at least one request with the model's max seq len (32768), (4.0 GiB KV cache is needed, which is larger "
    "than the available KV cache memory (1.0 GiB). Based on the available memory, the estimated maximum is 8192."
)


def advice(error: Exception) -> str:
    return load_failure(error, SETTINGS, "0.32.0").message


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("The repository x contains custom code which must be executed to"), "_TRUST_REMOTE_CODE=true"),
        (
            ValueError("Loading x requires you to execute the configuration file in that repo"),
            "_TRUST_REMOTE_CODE=true",
        ),
        (ValueError(CACHE), "AXIA_INFERENCE_KV_CACHE_GIB a little above 4.0"),
        (ValueError(CACHE), "32768 tokens needs 4.0 GiB"),
        (ImportError("Package `num2words` is required to run SmolVLM processor."), "pip install num2words"),
        (ModuleNotFoundError("No module named 'timm'"), "pip install timm"),
        (
            ImportError(
                "This modeling file requires the following packages that were not found in your environment: "
                "einops, timm. Run `pip install einops timm`"
            ),
            "pip install einops, timm",
        ),
        (
            ValueError(
                "User-specified max_model_len (9000) is greater than the derived max_model_len "
                "(max_position_embeddings=4096 or model_max_length=None in model's config.json)."
            ),
            "at most 4096",
        ),
        (ValueError("Bfloat16 is only supported on GPUs with compute capability of at least 8.0"), "_DTYPE=float32"),
        (
            ImportError(
                "\nLlamaTokenizer requires the SentencePiece library but it was not found. Install it by "
                "`pip install sentencepiece`"
            ),
            "pip install sentencepiece",
        ),
        (ImportError("Please install timm==0.9.10"), "pip install timm"),
        (
            ValueError("Free memory on device (3.1/80 GiB) on startup is less than desired GPU memory"),
            "UTILIZATION lower",
        ),
        (OSError("[Errno 28] No space left on device"), "HF_HOME"),
        (RuntimeError("Engine core initialization failed. Failed core proc(s): {'EngineCore': -9}"), "fit into memory"),
        (
            ValueError("Total number of attention heads (25) must be divisible by tensor parallel size (2)."),
            "must divide",
        ),
        (ValueError("Repo id must be in the form 'repo_name'"), "check AXIA_INFERENCE_MODEL"),
        (RuntimeError("Cannot find any model weights with `/models/old`"), "convert yours with save_pretrained"),
        (OSError("v9 is not a valid git identifier (branch name, tag name or commit id)"), "AXIA_INFERENCE_REVISION"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "AXIA_INFERENCE_GPU_MEMORY_UTILIZATION"),
        (ValueError("Model architectures ['FooForCausalLM'] are not supported for now."), "0.32.0"),
        (OSError("x/y is not a local folder and is not a valid model identifier listed on the hub"), "HF_TOKEN"),
        (RuntimeError("something new"), "AXIA_INFERENCE_DTYPE"),
    ],
)
def test_the_advice_names_the_setting_that_helps(error: Exception, says: str) -> None:
    assert "'some/model'" in advice(error)
    assert says in advice(error)


def test_a_cause_in_another_process_is_read_from_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path))
    cause = ValueError("no processor")
    cause.__cause__ = ImportError("Package `num2words` is required to run SmolVLM processor.")
    FailureHandler().emit(logging.LogRecord("vllm", logging.ERROR, "", 0, "failed", None, (ValueError, cause, None)))
    assert "pip install num2words" in advice(RuntimeError("Engine core initialization failed."))


def test_code_is_not_asked_for_where_a_processor_only_fails_to_load() -> None:
    said = "Failed to load the processor. If it is a custom processor, consider setting `trust_remote_code=True`"
    assert "TRUST_REMOTE_CODE" not in advice(RuntimeError(said))


def test_the_first_of_several_failures_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path))
    for error in (ImportError("Please install timm==0.9.10"), RuntimeError("WorkerProc initialization failed")):
        record = logging.LogRecord("vllm", logging.ERROR, "", 0, "failed", None, (type(error), error, None))
        FailureHandler().emit(record)
    assert "pip install timm" in advice(RuntimeError("Engine core initialization failed."))


def test_a_handler_that_cannot_write_does_not_fail_what_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_FOLDER, "/proc/nowhere")
    told: list[logging.LogRecord] = []
    monkeypatch.setattr(FailureHandler, "handleError", lambda self, record: told.append(record))
    error = ValueError("x")
    record = logging.LogRecord("vllm", logging.ERROR, "", 0, "f", None, (ValueError, error, None))
    FailureHandler().emit(record)
    assert told == [record]


def test_a_log_record_without_an_exception_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path))
    FailureHandler().emit(logging.LogRecord("vllm", logging.ERROR, "", 0, "bad", None, None))
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_request_is_logged_when_an_engine_dies() -> None:
    """vLLM writes the scheduler's input then, pixel values of images among it."""
    config = json.loads(Path(environment.__file__).with_name("vllm_logging.json").read_text())
    assert config["loggers"]["vllm.logging_utils.dump_input"] == {"level": "CRITICAL"}
    package = importlib.util.find_spec("vllm")  # found, and not imported, which takes seconds
    if package is None:
        pytest.skip("needs vllm, which a set-up without an engine leaves out")
    (folder,) = package.submodule_search_locations or ()
    source = (Path(folder) / "logging_utils" / "dump_input.py").read_text()
    assert "logger = init_logger(__name__)" in source
    assert "logger.critical" not in source
