"""inspect_ai's own floor: an evaluation of texts with its model that answers at once, logged to the folder given first.

python -m loadtests.benchmark.children.mock_evaluation FOLDER SAMPLES EPOCHS IN_FLIGHT
"""

import sys

from inspect_ai import Epochs, Task, eval_set
from inspect_ai.dataset import MemoryDataset, Sample
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
        model="mockllm/model",
        max_connections=in_flight,
        max_samples=in_flight,
        display="none",
        score_display=False,
    )
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(int(number) for number in sys.argv[2:5])))
