"""A configuration that trains in a moment."""

CONFIG = """
seed_everything: 3
trainer:
  accelerator: cpu
  max_epochs: 1
  enable_progress_bar: false
  enable_model_summary: false
  log_every_n_steps: 2
  logger:
    class_path: lightning.pytorch.loggers.TensorBoardLogger
    init_args: {save_dir: runs, name: wave, default_hp_metric: false}
  callbacks:
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {filename: best, monitor: val/vrmse}
model:
  class_path: fno_lightning.modules.FNOModule
  init_args: {n_modes: [8], hidden_channels: 8, n_layers: 2}
data:
  class_path: fno_lightning.data.GeneratedDataModule
  init_args:
    pde: {class_path: tests.travelling_wave.TravellingWave}
    n_train: 2
    n_steps_input: 2
"""
