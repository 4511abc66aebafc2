"""Arguments as a checkpoint can hold them."""

import argparse
import enum
import io
import math
import sys
from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import jsonargparse
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn

from fno_lightning.arguments import (
    constructor_arguments,
    plain,
    plain_hyperparameters,
    require_list,
    require_mapping,
    store_hyperparameters,
    with_plain_numbers,
)


class Colour(enum.Enum):
    RED = "red"
    PAIR = (np.int64(1), 2)


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Options:
    width: int = 3


PLAIN = [
    (None, None),
    (True, True),
    (np.bool_(True), True),
    (np.int64(8), 8),
    (np.uint8(8), 8),
    (np.float64(0.5), 0.5),
    (np.float16(0.5), 0.5),
    (np.str_("grid"), "grid"),
    (np.array([4, 4]), [4, 4]),
    (np.array(4), 4),
    (np.array([["a"], ["b"]]), [["a"], ["b"]]),
    (np.array([np.int64(1), "x", None], dtype=object), [1, "x", None]),
    (torch.tensor([[1.5, 2.0]], requires_grad=True), [[1.5, 2.0]]),
    (torch.tensor(3), 3),
    (torch.Size([2, 3]), [2, 3]),
    (Path("data") / "well", "data/well"),
    ((1, (2, np.int32(3))), [1, [2, 3]]),
    (range(3), [0, 1, 2]),
    ({"a"}, ["a"]),
    (frozenset({2}), [2]),
    (deque([1, 2]), [1, 2]),
    ({"a": 1}.keys(), ["a"]),
    ({"b": (Path("x"),), np.int64(3): {"c": np.float32(0.5)}}, {"b": ["x"], 3: {"c": 0.5}}),
    (OrderedDict(a=1), {"a": 1}),
    (MappingProxyType({"a": np.int8(1)}), {"a": 1}),
    (argparse.Namespace(a=np.int8(1)), {"a": 1}),
    (jsonargparse.Namespace(a=jsonargparse.Namespace(b=(1,))), {"a": {"b": [1]}}),
    (Colour.RED, "red"),
    (Colour.PAIR, [1, 2]),
    (Level.HIGH, 3),
    (torch.float64, "torch.float64"),
    (torch.device("cuda", 1), "cuda:1"),
    (math.inf, math.inf),
    (1 + 2j, 1 + 2j),
]


def types_in(value):
    if isinstance(value, dict):
        return {dict}.union(*(types_in(part) for pair in value.items() for part in pair))
    return {list}.union(*map(types_in, value)) if isinstance(value, list) else {type(value)}


@pytest.mark.parametrize(("value", "expected"), PLAIN, ids=lambda value: type(value).__name__)
def test_what_has_a_plain_form_takes_it_and_loads_from_a_checkpoint(value, expected):
    made = plain(value, "option")
    assert made == expected
    assert types_in(made) == types_in(expected)
    assert types_in(made) <= {type(None), bool, int, float, complex, str, list, dict}
    file = io.BytesIO()
    torch.save(made, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == expected
    assert plain(made, "option") == made


def test_nan_is_a_number():
    assert math.isnan(plain(np.float32("nan"), "option"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda x: x, "option is the function .*<lambda>"),
        (torch.sin, "option is the function .*sin"),
        (partial(int, base=2), "option is of type partial"),
        (nn.GELU, "option is the class GELU"),
        (nn.GELU(), "option is of type GELU"),
        (Options(), "option is of type Options"),
        (b"bytes", "option is of type bytes"),
        (np.datetime64("2024-01-01"), "option is of type datetime64"),
        ((n for n in range(3)), "option is of type generator"),
        (object(), "option is of type object"),
        ([1, {"a": object()}], r"option\[1\]\['a'\] is of type object"),
        ({(1, 2): 3}, r"option has the key \(1, 2\)"),
    ],
)
def test_what_has_none_is_refused_with_its_name(value, said):
    with pytest.raises(TypeError, match=said):
        plain(value, "option")


def test_objects_of_a_known_class_are_converted_wherever_they_are():
    conversions = {Options: lambda options: {"width": np.int64(options.width)}}
    assert plain([{"a": Options(5)}], "option", conversions) == [{"a": {"width": 5}}]


class Module(LightningModule):
    run_time_arguments = ("hook",)

    def __init__(self, modes, hook=None, other=None):
        super().__init__()
        store_hyperparameters(self, constructor_arguments(self, sys._getframe()) | {"version": 1})

    def _set_hparams(self, hp):
        super()._set_hparams(plain_hyperparameters(type(self), hp))


class Derived(Module):
    run_time_arguments = ("made",)

    def __init__(self, width, made, **kwargs):
        super().__init__(**kwargs)


def test_the_arguments_of_all_constructors_are_stored_but_those_of_a_run():
    module = Derived(np.int64(4), object(), modes=np.array([1, 2]), hook=len)
    expected = {"width": 4, "modes": [1, 2], "other": None, "version": 1}
    assert dict(module.hparams) == dict(module.hparams_initial) == expected


def test_an_object_made_in_the_constructor_of_another_has_its_own_arguments():
    class Data(LightningDataModule):
        def __init__(self, size):
            super().__init__()
            self.module = Module(modes=[1])

    assert set(Data(3).module.hparams) == {"modes", "other", "version"}


def test_states_keep_what_is_not_a_number_of_numpy():
    weight = torch.ones(2)
    state = {
        "state": {0: {"exp_avg": weight}},
        "param_groups": [{"lr": np.float64(0.5), "betas": (np.float32(0.5), 1)}],
    }
    made = with_plain_numbers(state)
    assert made["param_groups"] == [{"lr": 0.5, "betas": (0.5, 1)}]
    assert {type(number) for number in made["param_groups"][0]["betas"]} == {float, int}
    assert made["state"] is state["state"]
    assert isinstance(state["param_groups"][0]["lr"], np.float64)
    assert with_plain_numbers({Path("a"): np.int64(1)}) == {"a": 1}
    unchanged = OrderedDict(weight=weight)
    assert with_plain_numbers(unchanged) is unchanged


@pytest.mark.parametrize("value", ["density", b"density", 3, {"a": 1}])
def test_a_list_is_no_text_and_no_number(value):
    with pytest.raises(TypeError, match=r"^fields is .*, expected a list: fields=\["):
        require_list(fields=value)


@pytest.mark.parametrize("value", [None, [], ("a",), np.array(["a"]), {"a"}, torch.tensor([1]), range(2)])
def test_a_list_may_be_any_iterable(value):
    require_list(fields=value)


def test_a_mapping_is_neither():
    require_mapping(metrics={"a": 1}, others=None)
    with pytest.raises(TypeError, match=r"metrics is \['vrmse'\], expected a dictionary"):
        require_mapping(metrics=["vrmse"])
