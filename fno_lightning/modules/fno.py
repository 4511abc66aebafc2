"""The Fourier neural operator as a LightningModule."""
