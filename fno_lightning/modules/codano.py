"""Codomain-attention neural operators as LightningModules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from fno_lightning.arguments import plain
from fno_lightning.data import FieldSpec
from fno_lightning.layers import BasisName, NormName
from fno_lightning.models import CODANO
from fno_lightning.modules.initial_weights import NETWORK, NORMALIZER
from fno_lightning.modules.spectral import SpectralModule

EMBEDDING = f"{NETWORK}embedding"


class CODANOModule(SpectralModule):
    """Forecasts with a codomain-attention neural operator, :class:`~fno_lightning.models.CODANO`.

    Fields, constant fields and scalars are tokens of one network, each known by a vector that is learned for its name.
    ``initial_weights`` may therefore come from data with other fields: names that both have keep their vectors, new
    ones begin with random vectors, and all other weights are the same. Then ``refit_normalization`` is needed, for the
    statistics of new fields are not known; with ``freeze: [lifting, attention, blocks, projection]`` only the vectors
    are trained, those of known names too.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        n_modes: Modes to keep along each axis, both signs counted.
        hidden_channels: Channels of each token; work grows with their number times that of the fields.
        n_layers: Number of layers, each an attention and a block.
        n_heads: Heads of the attention; they share out the channels.
        embedding_channels: Length of the vector of each name.
        bases: Basis of each axis, see :class:`~fno_lightning.modules.FNOModule`.
        positional_embedding: ``grid`` appends the coordinates of each point to each token; ``None`` does not.
        norm: Normalisation in the blocks: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.
        **kwargs: Options of every forecast, see :class:`~fno_lightning.modules.ForecastModule`; not ``patching``.

    Raises:
        ValueError: if ``n_modes`` or ``bases`` do not have one entry for each axis of the data, the points of an axis
            are not those of its basis, or ``patching`` is given; when training starts, if ``initial_weights`` are of
            other fields and ``refit_normalization`` is off.
    """

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        hidden_channels: int = 32,
        n_layers: int = 4,
        *,
        n_heads: int = 2,
        embedding_channels: int = 8,
        bases: Literal["auto"] | Sequence[BasisName] | None = None,
        positional_embedding: Literal["grid"] | None = "grid",
        norm: NormName | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(spec, n_modes, bases, **kwargs)
        if self.patching is not None:
            raise ValueError("patching adds channels that are no fields: leave it out of CODANOModule")
        self.network_arguments: dict[str, Any] = {
            "n_modes": self.n_modes,
            "hidden_channels": plain(hidden_channels, "hidden_channels"),
            "n_layers": plain(n_layers, "n_layers"),
            "n_heads": plain(n_heads, "n_heads"),
            "embedding_channels": plain(embedding_channels, "embedding_channels"),
            "bases": self.bases,
            "positional_embedding": positional_embedding,
            "norm": norm,
        }

    def build_network(self) -> CODANO:
        """Build the operator."""
        return CODANO(
            n_fields=len(self.spec.fields),
            n_frames=self.n_steps_input + (2 if self.reversible_norm else 0),
            n_constants=len(self.spec.constant_fields) + len(self.spec.scalars),
            out_frames=self.bundle,
            **self.network_arguments,
        )

    def adapted_weights(
        self, state: dict[str, Tensor], saved: dict[str, Any]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return initial weights of other fields as those of this module's: vectors by name, no normalisation."""
        if "spec" not in saved or EMBEDDING not in state:
            return state, saved
        given = _names(FieldSpec.from_dict(saved["spec"]))
        own = _names(self.spec)
        if given == own:
            return state, saved
        if not self.refit_normalization:
            raise ValueError(
                f"initial_weights were trained on {given}, the data have {own}: vectors of known names are taken over, "
                "but the normalisation of others is not known; set refit_normalization to true"
            )
        embedding = self.network.get_parameter("embedding").detach().clone()
        known = [name for name in own if name in given]
        if embedding.shape[1:] == state[EMBEDDING].shape[1:]:
            for name in known:
                embedding[own.index(name)] = state[EMBEDDING][given.index(name)]
        rank_zero_info(f"initial_weights know {known}; new are {[name for name in own if name not in known]}")
        of_network = {name: value for name, value in state.items() if not name.startswith(NORMALIZER)}
        return of_network | {EMBEDDING: embedding}, {**saved, "spec": self.spec.to_dict()}


def _names(spec: FieldSpec) -> list[str]:
    """Return the names of the tokens."""
    return [*spec.fields, *spec.constant_fields, *spec.scalars]
