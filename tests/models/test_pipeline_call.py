"""What is said of a pipeline's call before it is made, and the callback at the end of its steps."""

from __future__ import annotations

from typing import Any

import pytest

from sraccel.errors import ModelError
from sraccel.models.arguments import arguments_of, check_arguments, defaults_of
from sraccel.models.step_callback import with_callback, with_progress


class Quiet:
    """Calls nothing back."""

    def __call__(self, image: Any, strength: float = 0.3) -> None: ...


class Anything:
    """Takes any argument."""

    def __call__(self, **others: Any) -> None: ...


class Steps:
    """Two steps, with whatever tensors are asked for."""

    def __call__(
        self,
        callback_on_step_end: Any = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> list[dict[str, Any]]:
        tensors = dict.fromkeys(callback_on_step_end_tensor_inputs, 0)
        return [callback_on_step_end(self, step, 900 - step, dict(tensors)) for step in range(2)]


def test_arguments_and_defaults_are_those_of_the_call_without_self():
    assert list(arguments_of(Quiet())) == ["image", "strength"]
    assert defaults_of(Quiet()) == {"strength": 0.3}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["image", "strenght"], "Quiet does not know strenght (did you mean 'strength'?): drop it"),
        (["image", "x", "a"], "Quiet does not know a, x: drop it"),
        (["strength"], "Quiet needs image: get one"),
    ],
)
def test_a_call_that_a_pipeline_would_not_take_is_refused(given: list[str], said: str):
    with pytest.raises(ModelError) as refused:
        check_arguments(Quiet(), given, unknown="drop it", missing="get one")
    assert str(refused.value) == said


def test_what_takes_any_argument_takes_all():
    check_arguments(Anything(), ["image", "anything"])
    check_arguments(Quiet(), ["image", "strength"])


def test_the_users_callback_goes_first_and_its_tensors_go_on():
    def users(pipe: Any, step: int, timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        return {"latents": tensors["latents"] + step + 1}

    def ours(pipe: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return {"doubled": 2 * tensors["latents"]}

    call = with_callback({"callback_on_step_end": users}, change=ours, needs=["latents"])
    assert Steps()(**call) == [{"latents": 1, "doubled": 2}, {"latents": 2, "doubled": 4}]


def test_a_callback_object_of_diffusers_keeps_the_tensors_that_it_asks_for():
    class Looks:
        tensor_inputs = ["prompt_embeds"]

        def __call__(self, pipe: Any, step: int, timestep: int, tensors: Any) -> dict[str, Any]:
            assert list(tensors) == self.tensor_inputs
            return {}

    pipe, reported = Steps(), []
    call = with_progress(pipe, {"callback_on_step_end": Looks()}, lambda *of: reported.append(of))
    assert pipe(**call) == [{}, {}]
    assert reported == [(pipe, 1), (pipe, 2)]


def test_progress_of_a_pipeline_that_calls_nothing_back_changes_nothing():
    assert with_progress(Quiet(), {"image": 1}, lambda *of: None) == {"image": 1}
    assert with_progress(Steps(), {}, None) == {}
