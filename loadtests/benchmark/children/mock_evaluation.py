"""inspect_ai's own floor: an evaluation of texts with its model that answers at once, logged to the folder given first.

python -m loadtests.benchmark.children.mock_evaluation FOLDER SAMPLES EPOCHS IN_FLIGHT
"""

import sys
from typing import Any

from inspect_ai import Epochs, Task, eval_set
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


def main(folder: str, samples: int, epochs: int, in_flight: int) -> int:
    """Runs it with the options of `axia eval`; returns an exit code."""
    task = Task(
        dataset=MemoryDataset([Sample(input="What needs attention?", target="stove", id=at) for at in range(samples)]),
        solver=generate(),
        scorer=includes(),
        epochs=Epochs(epochs, "mean"),
    )
    done, _ = eval_set(
        tasks=task,
        log_dir=folder,
        model=get_model("mockllm/model", custom_outputs=_answer),
        max_connections=in_flight,
        max_samples=in_flight,
        log_realtime=False,
        display="none",
        score_display=False,
    )
    return 0 if done else 1


def _answer(*_: Any) -> ModelOutput:
    output = ModelOutput.from_content("mockllm/model", "The child is near the hot stove.")
    output.usage = ModelUsage(input_tokens=8, output_tokens=8, total_tokens=16)  # or it would be counted
    return output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(int(number) for number in sys.argv[2:5])))
