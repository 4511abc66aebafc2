"""What a run of the study has found, on disk so that no run is done twice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from fno_lightning.data.atomic_file import atomic_file

Kind: TypeAlias = Literal["zero-shot", "fine-tuned", "from scratch"]


@dataclass(frozen=True)
class Result:
    """Errors of one model.

    Attributes:
        shift: Name of the downstream data.
        kind: How the model was trained.
        n_examples: Downstream examples that it was trained on.
        seed: Seed of the training.
        learning_rate: Learning rate of the training.
        valid_error: Error on the downstream validation split, by which learning rates are compared.
        test_error: Error on the downstream test split.
    """

    shift: str
    kind: Kind
    n_examples: int
    seed: int
    learning_rate: float
    valid_error: float
    test_error: float

    def save(self, path: Path) -> None:
        """Writes the result, all at once."""
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Result:
        """Reads a result."""
        return cls(**json.loads(path.read_text()))
