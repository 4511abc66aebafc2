"""Exact solution of the one-dimensional Riemann problem of the Euler equations (Toro, 3rd ed., chapter 4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

State = tuple[float, float, float]
"""Density, velocity, pressure."""


def exact_riemann(left: State, right: State, gamma: float, speed: np.ndarray) -> np.ndarray:
    """Samples the self-similar solution at x / t = ``speed``; returns density, velocity, pressure, ``(3, n)``."""

    def velocity_change(pressure: float, state: State) -> float:
        density, _, ambient = state
        if pressure > ambient:
            a, b = 2 / ((gamma + 1) * density), (gamma - 1) / (gamma + 1) * ambient
            return (pressure - ambient) * np.sqrt(a / (pressure + b))
        sound = np.sqrt(gamma * ambient / density)
        return 2 * sound / (gamma - 1) * ((pressure / ambient) ** ((gamma - 1) / (2 * gamma)) - 1)

    def mismatch(pressure: float) -> float:
        return velocity_change(pressure, left) + velocity_change(pressure, right) + right[1] - left[1]

    pressure = _root(mismatch, 1e-12, 100 * max(left[2], right[2]))
    velocity = 0.5 * (left[1] + right[1] + velocity_change(pressure, right) - velocity_change(pressure, left))
    solution = np.empty((3, len(speed)))
    on_left = speed < velocity
    solution[:, on_left] = _one_side(left, pressure, velocity, gamma, speed[on_left])
    mirrored = _one_side((right[0], -right[1], right[2]), pressure, -velocity, gamma, -speed[~on_left])
    solution[:, ~on_left] = mirrored * np.array([[1], [-1], [1]])
    return solution


def _root(rising: Callable[[float], float], lower: float, upper: float) -> float:
    for _ in range(200):
        middle = 0.5 * (lower + upper)
        lower, upper = (lower, middle) if rising(middle) > 0 else (middle, upper)
    return middle


def _one_side(state: State, pressure: float, velocity: float, gamma: float, speed: np.ndarray) -> np.ndarray:
    """The left-going wave between ``state`` and the contact."""
    density, u, ambient = state
    sound = np.sqrt(gamma * ambient / density)
    ratio = pressure / ambient
    if ratio > 1:
        edge = (gamma - 1) / (gamma + 1)
        star = (density * (ratio + edge) / (edge * ratio + 1), velocity, pressure)
        shock = u - sound * np.sqrt((gamma + 1) / (2 * gamma) * ratio + (gamma - 1) / (2 * gamma))
        return np.where(speed < shock, np.array([state]).T, np.array([star]).T)
    star = (density * ratio ** (1 / gamma), velocity, pressure)
    head, tail = u - sound, velocity - sound * ratio ** ((gamma - 1) / (2 * gamma))
    factor = 2 / (gamma + 1) + (gamma - 1) / ((gamma + 1) * sound) * (u - speed)
    fan = np.stack(
        [
            density * np.clip(factor, 1e-12, None) ** (2 / (gamma - 1)),
            2 / (gamma + 1) * (sound + (gamma - 1) / 2 * u + speed),
            ambient * np.clip(factor, 1e-12, None) ** (2 * gamma / (gamma - 1)),
        ]
    )
    return np.where(speed < head, np.array([state]).T, np.where(speed < tail, fan, np.array([star]).T))
