"""What a trace holds of a detection's result, by OpenTelemetry's conventions for evaluations of generated answers.

Figures and names of this project's own; nothing of what was said.
"""

from collections.abc import Sequence

from gateway.protocols.ports.model import Completion
from gateway.protocols.ports.scoring import Alignment, Consensus
from services.serving.tracing import Value, current_span

EVENT = "gen_ai.evaluation.result"


def add_evaluations(
    consensus: Consensus, completions: Sequence[Completion], alignments: Sequence[Alignment], *, partial: bool
) -> None:
    """Adds agreement, abstention and alignments to the current span.

    Args:
        consensus: What the completions agree on.
        completions: By index.
        alignments: One for each completion, or none.
        partial: Whether completions were not done in time.
    """
    current = current_span()
    if not current.recording:
        return
    current.set({"axia.detection.completions": len(completions), "axia.detection.partial": partial})
    label = (consensus.abstain_reason or "abstained") if consensus.abstain else "answered"
    current.event(EVENT, _result("agreement", consensus.agreement))
    current.event(EVENT, {**_result("abstention", float(consensus.abstain)), "gen_ai.evaluation.score.label": label})
    for completion, alignment in zip(completions, alignments, strict=False):
        if alignment.score is not None:
            said = {"gen_ai.evaluation.score.label": "aligned" if alignment.score else "not_aligned"}
            current.event(
                EVENT,
                {**_result("alignment", float(alignment.score)), **said, "axia.completion.index": completion.index},
            )


def _result(name: str, value: float) -> dict[str, Value]:
    return {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": value}
