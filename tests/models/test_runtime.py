"""A device or a precision that the machine lacks is told in one line: nothing is done otherwise instead."""

import re

import pytest
import torch
from lightning_fabric import Fabric

from vad import VadError
from vad.models import runtime


@pytest.mark.parametrize("name", ["gpu0", "CPU", "tpu"])
def test_an_unknown_accelerator_is_refused_naming_the_variable_and_what_it_may_be(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAD_ACCELERATOR", name)
    expected = f"VAD_ACCELERATOR = '{name}': must be auto, cpu, cuda or mps"
    with pytest.raises(VadError, match=f"^{re.escape(expected)}$"):
        runtime.fabric()


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_accelerator_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("VAD_ACCELERATOR", name)
    with pytest.raises(
        VadError, match=rf"^VAD_ACCELERATOR = '{name}': torch finds no such device.*; unset it or set cpu$"
    ):
        runtime.fabric()


@pytest.mark.parametrize("name", ["", "auto", "cpu"])
def test_accelerators_that_are_there_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAD_ACCELERATOR", name)
    assert isinstance(runtime.fabric(), Fabric)


@pytest.fixture
def t4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that emulates bfloat16, as torch tells it."""
    monkeypatch.setattr(Fabric, "device", torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")


def test_bf16_on_a_gpu_without_it_is_refused_naming_the_parameter(t4: None) -> None:
    expected = "train.precision = bf16-mixed: Tesla T4 does not compute in bfloat16; set train.precision: 32-true"
    with pytest.raises(VadError, match=f"^{re.escape(expected)}$"):
        runtime.fabric("bf16-mixed", "train.precision")
    assert isinstance(runtime.fabric("32-true"), Fabric)


def test_bf16_on_the_cpu_is_taken() -> None:
    assert isinstance(runtime.fabric("bf16-mixed"), Fabric)
