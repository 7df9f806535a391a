"""The network: a BERT encoder that reads one or two texts, with a head for each task."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import BertModel

from services.scoring.reading.labels import TYPES, VALUES_AND_NOTHING, VERDICTS, Relation


class Outputs(NamedTuple):
    """What the heads say, each of shape (texts, classes), and a vector."""

    relation: Tensor
    type: Tensor
    values: Tensor
    verdict: Tensor
    vector: Tensor
    """Shape (texts, width), of length 1: texts of like meaning point in like directions."""


class ReaderNetwork(nn.Module):
    """MiniLM with four linear heads on the mean of its last layer and on its first token.

    Args:
        folder: A BERT model in Hugging Face's layout.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.encoder: Any = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")
        width = 2 * int(self.encoder.config.hidden_size)
        self.dropout = nn.Dropout(0.1)
        self.relation_head = nn.Linear(width, len(Relation))
        self.type_head = nn.Linear(width, len(TYPES))
        self.values_head = nn.Linear(width, len(VALUES_AND_NOTHING))
        self.verdict_head = nn.Linear(width, len(VERDICTS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Outputs:
        """Outputs of every head; a caller uses those of its task."""
        rows = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(rows.dtype)
        mean = (rows * mask).sum(1) / mask.sum(1)
        read = self.dropout(torch.cat([rows[:, 0], mean], dim=-1))
        return Outputs(
            self.relation_head(read),
            self.type_head(read),
            self.values_head(read),
            self.verdict_head(read),
            nn.functional.normalize(mean, dim=-1),
        )
