"""Callbacks: errors, pictures, files and rates of a training or a test."""

from fno_lightning.callbacks.conformal_calibration import ConformalCalibration
from fno_lightning.callbacks.core_affinity import CoreAffinity
from fno_lightning.callbacks.error_table import ErrorTable
from fno_lightning.callbacks.finite_training import FiniteTraining
from fno_lightning.callbacks.gradient_norm import GradientNorm
from fno_lightning.callbacks.hyperparameter_summary import HyperparameterSummary
from fno_lightning.callbacks.incremental_modes import IncrementalModes
from fno_lightning.callbacks.incremental_modes_by_gradient import IncrementalModesByGradient
from fno_lightning.callbacks.incremental_modes_by_loss import IncrementalModesByLoss
from fno_lightning.callbacks.one_step_errors import OneStepErrors
from fno_lightning.callbacks.prediction_writer import PredictionWriter
from fno_lightning.callbacks.refinement import PhysicsRefinement
from fno_lightning.callbacks.resolution_errors import ResolutionErrors
from fno_lightning.callbacks.rollout_evaluation import RolloutEvaluation
from fno_lightning.callbacks.stop_on_signal import StopOnSignal
from fno_lightning.callbacks.throughput import Throughput
from fno_lightning.callbacks.trace_report import TraceReport

__all__ = [
    "ConformalCalibration",
    "CoreAffinity",
    "ErrorTable",
    "FiniteTraining",
    "GradientNorm",
    "HyperparameterSummary",
    "IncrementalModes",
    "IncrementalModesByGradient",
    "IncrementalModesByLoss",
    "OneStepErrors",
    "PhysicsRefinement",
    "PredictionWriter",
    "ResolutionErrors",
    "RolloutEvaluation",
    "StopOnSignal",
    "Throughput",
    "TraceReport",
]
