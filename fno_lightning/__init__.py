"""PyTorch Lightning plug-ins for Fourier neural operators."""

from fno_lightning.version import __version__

__all__ = ["__version__"]
