"""What hooks answer is checked, claims are kept, and what was computed is remembered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import diffusers
import pytest
import torch
from diffusers import FirstBlockCacheConfig, WanPipeline, WanTransformer3DModel
from diffusers.hooks import apply_first_block_cache
from misbehaving import made
from tiny_models import IDENTITY, tiny_pipeline
from untouched import untouched

import sraccel
from sraccel.loop.step_plan import PLANNABLE
from sraccel.plugin import Accelerator, Call, Claim, hookimpl

Generate = Callable[..., torch.Tensor]
TEACACHE = {"use": "teacache", "threshold": 5.0, "coefficients": IDENTITY}


def one(name: str = "one", **methods: Any) -> Accelerator:
    kind = made(name, **methods)
    made_one: Accelerator = kind()
    return made_one


def every_other(level: str = "blocks", **attributes: Any) -> Accelerator:
    hook = {"blocks": "skip_blocks", "call": "skip_call"}[level]
    rule = hookimpl(lambda self, call: call.step.solver_step % 2 == 1)
    return one("every-other", **{hook: rule}, **attributes)


class TestAnswers:
    """A wrong answer names plugin, hook and step, and what it must be."""

    @pytest.mark.parametrize("answer", [5, 0.0, "yes", torch.ones(1) > 0])
    @pytest.mark.parametrize("hook", ["skip_call", "skip_blocks"])
    def test_a_rule_answers_yes_or_no(
        self, hook: str, answer: Any, pipe: WanPipeline, generate: Generate
    ) -> None:
        wrong = one(**{hook: hookimpl(lambda self, call: answer)})
        with untouched(pipe), sraccel.compose(pipe, [wrong]):
            with pytest.raises(sraccel.PluginError, match=f"'one' answered the hook {hook}") as e:
                generate(pipe)
        assert (e.value.accelerator, e.value.hook, e.value.step) == ("one", hook, 0)

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (lambda value: 5, "int 5: it must be a tensor"),
            (lambda value: True, "bool True: it must be a tensor"),
            (lambda value: torch.zeros(1), "shape"),
            (lambda value: value[..., :1], "shape"),
            (lambda value: value.half(), "dtype"),
            (lambda value: value.long(), "dtype"),
            (lambda value: value.to("meta"), "device"),
        ],
    )
    @pytest.mark.parametrize("level", ["call", "blocks"])
    def test_a_prediction_is_a_tensor_of_shape_dtype_and_device(
        self, level: str, change: Any, what: str, pipe: WanPipeline, generate: Generate
    ) -> None:
        predictor = one(predict=hookimpl(lambda self, call: change(call.history[-1].value)))
        with sraccel.compose(pipe, [every_other(level), predictor]):
            with pytest.raises(sraccel.PluginError, match=f"hook predict at step 1 .*{what}"):
                generate(pipe)

    def test_an_answer_to_a_call_is_checked_too(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        answers = one(answer_call=hookimpl(lambda self, call: call.evaluate().double()))
        with sraccel.compose(pipe, [answers]):
            with pytest.raises(sraccel.PluginError, match=r"answer_call at step 0 .*dtype"):
                generate(pipe)

    def test_a_role_is_a_text_and_a_share_lies_between_0_and_1(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        role = one(select_denoiser=hookimpl(lambda self, step: 3))
        with sraccel.compose(pipe, [role]), pytest.raises(sraccel.PluginError, match="a role"):
            generate(pipe)
        share = one(denoiser_called=hookimpl(lambda self, call: call.skipped(self, 1.5)))
        with sraccel.compose(pipe, [share]), pytest.raises(sraccel.PluginError, match=r"of 1\.5"):
            generate(pipe)

    @pytest.mark.parametrize(
        ("levels", "what"),
        [("all", "numbers"), ([1.0, 1.0], "fall"), ([0.5, 0.1], "first noise level")],
    )
    def test_planned_levels_are_numbers_that_fall_from_where_the_run_begins(
        self, levels: Any, what: str, pipe: WanPipeline, generate: Generate
    ) -> None:
        planner = one(plan_steps=hookimpl(lambda self, plan: levels))
        with sraccel.compose(pipe, [planner]):
            with pytest.raises(sraccel.PluginError, match=f"hook plan_steps with .*{what}"):
                generate(pipe)

    @pytest.mark.parametrize("hook", ["run_started", "skip_blocks", "prepare_denoiser"])
    def test_leaving_the_program_is_the_plugins_own_failure(
        self, hook: str, pipe: WanPipeline, generate: Generate
    ) -> None:
        def leave(self: Any) -> None:
            raise SystemExit(0)

        with untouched(pipe), pytest.raises(sraccel.PluginError, match="raised SystemExit in hook"):
            with sraccel.compose(pipe, [one(**{hook: hookimpl(leave)})]):
                generate(pipe)

    def test_a_method_that_is_not_marked_is_a_warning(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        with sraccel.compose(pipe, [one(skip_blocks=lambda self, call: True)]) as stack:
            generate(pipe)
        assert any(
            "skip_blocks has the name of a hook and is not marked" in warning
            for warning in stack.report.warnings
        )


class TestEdition:
    """An accelerator of another edition of the hooks is refused with what changed."""

    @pytest.mark.parametrize(
        ("methods", "what"),
        [
            ({"api": 1}, "made for edition 1 .*What changed: .*skip_blocks"),
            ({"reuse_residual": hookimpl(lambda self, call: None)}, "edition 1 .*`predict`"),
            ({"api": 99}, "made for edition 99 .*update sraccel"),
        ],
    )
    def test_it_is_refused(self, methods: Any, what: str, pipe: WanPipeline) -> None:
        with pytest.raises(sraccel.PluginError, match=what):
            sraccel.compose(pipe, [one(**methods)])


def test_one_that_is_written_for_this_edition_is_taken(pipe: WanPipeline) -> None:
    sraccel.compose(pipe, [one(api=Accelerator.api)])


class TestClaims:
    """One vocabulary of conflict, for what hooks imply and what classes say."""

    @pytest.mark.parametrize(
        ("first", "second", "what"),
        [
            ({"claims": {"attention"}}, {"claims": {"attention"}}, "replace how attention"),
            (
                {"claims": {"linear"}},
                {"claims": {Claim("linear", shared=True)}},
                "replace how linear",
            ),
            (
                {"predict": hookimpl(lambda self, call: None)},
                {"predict": hookimpl(lambda self, call: None)},
                "predict what stands in",
            ),
            (
                {"skip_call": hookimpl(lambda self, call: None)},
                {"claims": {"rule"}},
                "decide when to skip",
            ),
            ({"claims": {"my.own"}}, {"claims": {"my.own"}}, "own my.own"),
        ],
    )
    def test_two_that_own_the_same_are_refused_by_name(
        self, first: Any, second: Any, what: str, pipe: WanPipeline
    ) -> None:
        with pytest.raises(sraccel.ConflictError, match=f"'one' and 'two' both {what}") as found:
            sraccel.compose(pipe, [one("one", **first), one("two", **second)])
        assert found.value.accelerators == ("one", "two")

    def test_a_claim_that_both_share_is_no_conflict(self, pipe: WanPipeline) -> None:
        both = [one(name, claims={Claim("tokens", shared=True)}) for name in ("one", "two")]
        sraccel.compose(pipe, both)

    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            ({Claim("compilation", after=("linear",))}, {"linear"}),
            ({"compilation"}, {Claim("linear", before=("compilation",))}),
        ],
    )
    def test_a_wrong_order_is_refused_and_the_right_one_taken(
        self, earlier: Any, later: Any, pipe: WanPipeline
    ) -> None:
        wrong = [one("one", claims=earlier), one("two", claims=later)]
        with pytest.raises(sraccel.ConflictError, match="'one' must come after 'two'"):
            sraccel.compose(pipe, wrong)
        sraccel.compose(pipe, wrong[::-1])

    def test_an_unknown_claim_is_refused_with_what_may_be_meant(self, pipe: WanPipeline) -> None:
        with pytest.raises(sraccel.PluginError, match=r"'atention'.*mean 'attention'"):
            sraccel.compose(pipe, [one(claims={"atention"})])


class TestForeignCaches:
    """A cache that is not ours is seen in any form, when composing and at every run's start."""

    CONFIG = FirstBlockCacheConfig(threshold=0.1)
    FORMS = {
        "enable_cache": lambda model: model.enable_cache(TestForeignCaches.CONFIG),
        "apply": lambda model: apply_first_block_cache(model, TestForeignCaches.CONFIG),
        "cache-dit's mark": lambda model: setattr(model, "_is_cached", True),
    }

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("when", ["before", "while attached"])
    def test_it_is_refused_beside_a_rule(
        self, form: str, when: str, pipe: WanPipeline, generate: Generate
    ) -> None:
        def put() -> None:
            self.FORMS[form](pipe.transformer)

        if when == "before":
            put()
            with pytest.raises(sraccel.ConflictError, match="both decide when to skip"):
                sraccel.compose(pipe, [TEACACHE])
            generate(pipe) if form == "apply" else None
            return
        with sraccel.compose(pipe, [TEACACHE]):
            generate(pipe, steps=2)
            put()
            with pytest.raises(sraccel.ConflictError, match="both decide when to skip"):
                generate(pipe, steps=2)

    def test_it_goes_with_a_stack_that_skips_nothing(
        self, pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
    ) -> None:
        pipe.transformer.enable_cache(self.CONFIG)
        recipe = [{"use": "srdiffusion", "render": render, "switch_step": 4}]
        with sraccel.compose(pipe, recipe) as stack:
            generate(pipe)
        assert stack.report.outcome == "finished"


class Watches(Accelerator):
    """A predictor of three values that notes what its history holds."""

    name = "watches"
    history_length = 3

    def __init__(self, cache_device: Any = "model") -> None:
        super().__init__()
        self.cache_device = cache_device
        self.held: dict[tuple[int, str, str], list[int]] = {}

    @hookimpl
    def predict(self, call: Call) -> torch.Tensor | None:
        key = call.step.index, call.branch, call.denoiser.role
        self.held[key] = [item.step_index for item in call.history]
        assert [item.sigma for item in call.history] == sorted(
            (item.sigma for item in call.history if item.sigma is not None), reverse=True
        )
        return call.history[-1].value if len(call.history) > 1 else None


class TestHistory:
    """The core keeps what was computed, as long as the predictor declares."""

    @pytest.mark.parametrize("level", ["call", "blocks"])
    def test_it_holds_the_last_computed_values_and_is_fresh_after_a_switch(
        self, level: str, pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
    ) -> None:
        predictor = Watches()
        switch = {"use": "srdiffusion", "render": render, "switch_step": 8}
        with sraccel.compose(pipe, [switch, every_other(level), predictor]) as stack:
            generate(pipe, steps=12)
        cond = {
            step: held for (step, branch, _), held in predictor.held.items() if "un" not in branch
        }
        assert cond == {1: [0], 3: [0, 1, 2], 5: [1, 2, 4], 7: [2, 4, 6], 9: [8], 11: [8, 9, 10]}
        assert stack.report.accelerators[2].predicted_calls == 8  # not the first after a switch
        assert stack.report.accelerators[1].reused_calls == 8

    @pytest.mark.parametrize("level", ["call", "blocks"])
    def test_in_main_memory_it_gives_the_same_and_its_bytes_are_the_predictors(
        self, level: str, pipe: WanPipeline, generate: Generate
    ) -> None:
        found = []
        for device in ("model", "cpu"):
            with sraccel.compose(pipe, [every_other(level), Watches(device)]) as stack:
                found.append(generate(pipe))
            held = {one.name: one.cache_bytes for one in stack.report.accelerators}
            latents = found[-1].numel()  # 4 channels, patches of 2 x 2, 32 hidden channels
            numbers = {"call": latents, "blocks": latents // 16 * 32}[level]
            assert held == {"every-other": None, "watches": 2 * 3 * numbers * 4}
        assert torch.equal(*found)

    def test_a_predictor_keeps_what_it_wants_of_a_value(
        self, pipe: WanPipeline, generate: Generate
    ) -> None:
        difference = one(
            history_value=lambda self, call, value: value - call.model_input,
            predict=hookimpl(lambda self, call: call.history[-1].value + call.model_input),
        )
        with sraccel.compose(pipe, [every_other("call"), difference]):
            ours = generate(pipe)
        with sraccel.compose(pipe, [every_other("call")]):
            assert not torch.equal(generate(pipe), ours)

    def test_a_rule_that_rests_keeps_nothing(self, pipe: WanPipeline, generate: Generate) -> None:
        with sraccel.compose(pipe, [one(skip_blocks=hookimpl(lambda self, call: None))]) as stack:
            generate(pipe)
        assert stack.report.accelerators[0].cache_bytes is None


class TestScope:
    """One decision for all branches where it should be one."""

    WISHES = {
        "cond": {2, 3, 4, 5, 6},
        "uncond": {3, 5, 6},
    }

    @pytest.mark.parametrize("level", ["call", "blocks"])
    @pytest.mark.parametrize(
        ("scope", "cond", "uncond"),
        [
            ("each", {2, 3, 4, 5, 6}, {3, 5, 6}),
            ("first", {2, 3, 4, 5, 6}, {2, 3, 4, 5, 6}),
            ("consensus", {2, 4, 6}, {6}),
        ],
    )
    def test_who_skips_where(
        self,
        scope: str,
        level: str,
        cond: set[int],
        uncond: set[int],
        pipe: WanPipeline,
        generate: Generate,
    ) -> None:
        hook = {"blocks": "skip_blocks", "call": "skip_call"}[level]
        wishes = hookimpl(lambda self, call: call.step.index in TestScope.WISHES[call.branch])
        with sraccel.compose(pipe, [one(scope=scope, **{hook: wishes})]) as stack:
            generate(pipe)
        found: dict[str, set[int]] = {"cond": set(), "uncond": set()}
        for step in stack.report.steps:
            for call in step.calls:
                found[call.branch] |= {step.index} if call.reused else set()
        assert found == {"cond": cond, "uncond": uncond}

    def test_teacache_takes_it_as_an_option(self, pipe: WanPipeline, generate: Generate) -> None:
        with sraccel.compose(pipe, [{**TEACACHE, "scope": "first"}]) as stack:
            generate(pipe)
        assert stack.accelerators[0].scope == "first"
        for step in stack.report.steps:
            assert len({call.reused for call in step.calls}) == 1


def test_a_patched_module_knows_the_call_that_it_serves(
    pipe: WanPipeline, render: WanTransformer3DModel, generate: Generate
) -> None:
    seen = []

    @contextmanager
    def watch(self: Any, denoiser: Any) -> Any:
        def note(*_: Any) -> None:
            call = denoiser.current_call
            seen.append((call.step.index, call.branch, call.denoiser is denoiser))

        hook = denoiser.module.blocks[0].attn1.register_forward_hook(note)
        yield
        hook.remove()

    recipe = [
        {"use": "srdiffusion", "render": render, "switch_step": 2},
        one(prepare_denoiser=hookimpl(watch)),
    ]
    with sraccel.compose(pipe, recipe) as stack:
        generate(pipe, steps=3)
        assert all(denoiser.current_call is None for denoiser in stack.denoisers.values())
    assert seen == [(step, branch, True) for step in range(3) for branch in ("cond", "uncond")]


def test_call_evaluate_is_for_answering_only(pipe: WanPipeline, generate: Generate) -> None:
    asks = one(denoiser_called=hookimpl(lambda self, call: call.evaluate()))
    with sraccel.compose(pipe, [asks]), pytest.raises(sraccel.LoopError, match="answer_call"):
        generate(pipe)


def test_an_evaluation_with_changed_arguments_is_recorded_as_a_call_of_its_own(
    pipe: WanPipeline, generate: Generate
) -> None:
    """Perturbed guidance: the same model twice, the second time on another text."""

    def answer(self: Any, call: Call) -> torch.Tensor:
        text = torch.zeros(1, 6, 16)
        plain, perturbed = call.evaluate(), call.evaluate(encoder_hidden_states=text)
        return plain + 0.5 * (plain - perturbed)

    with sraccel.compose(pipe, [one(answer_call=hookimpl(answer)), every_other()]) as stack:
        generate(pipe, steps=4)
    calls = [call for step in stack.report.steps for call in step.calls]
    assert all(call.answered_by == "one" and not call.reused for call in calls)
    names = [[one.branch for one in call.evaluations] for call in calls[:2]]
    assert names == [["cond", "cond+1"], ["uncond", "uncond+1"]]
    assert [one.reused for call in calls for one in call.evaluations] == [False, False] * 2 + (
        [True] * 4 + [False] * 4 + [True] * 4
    )


def test_an_evaluation_is_credited_to_who_chose_its_model(
    pipe: WanPipeline, render: Any, generate: Generate
) -> None:
    """Before the switch to whoever evaluates the other model, behind it to whoever switched."""
    switch = {"use": "srdiffusion", "render": render, "switch_step": 2}
    asks = one(answer_call=hookimpl(lambda self, call: call.evaluate("render")))
    with sraccel.compose(pipe, [switch, asks]) as stack:
        generate(pipe, steps=4)
    calls = [call for step in stack.report.steps for call in step.calls]
    chosen = [evaluation.chosen_by for call in calls for evaluation in call.evaluations]
    assert chosen == ["one"] * 4 + ["srdiffusion"] * 4
    assert [record.chosen_calls for record in stack.report.accelerators] == [4, 4]


def test_planning_is_refused_where_a_scheduler_does_not_let(pipe: WanPipeline) -> None:
    heun = tiny_pipeline(scheduler=diffusers.FlowMatchHeunDiscreteScheduler())
    with pytest.raises(sraccel.ConflictError, match="plans the steps, which FlowMatchHeun"):
        sraccel.compose(heun, [one(plan_steps=hookimpl(lambda self, plan: None))])


@pytest.mark.parametrize("positions", [[0, 1, 3, 6], list(range(8))])
def test_steps_planned_at_positions_equal_those_of_a_scheduler_that_takes_them(
    positions: list[int], pipe: WanPipeline, generate: Generate
) -> None:
    from placed_steps import placed_steps

    with placed_steps(pipe, positions):
        expected = generate(pipe)
    planner = one(plan_steps=hookimpl(lambda self, plan: [plan.sigmas[p] for p in positions]))
    with sraccel.compose(pipe, [planner]) as stack:
        assert torch.equal(generate(pipe), expected)
        assert torch.equal(generate(pipe), expected), "the second run differs"
    assert (stack.report.asked_steps, stack.report.num_inference_steps) == (8, len(positions))


@pytest.mark.parametrize("name", PLANNABLE)
def test_steps_are_planned_under_every_scheduler_that_lets(name: str, generate: Generate) -> None:
    """As if the scheduler had set these levels itself; all of them: as if nobody had planned."""
    kind: Any = getattr(diffusers, name)

    class Placed(kind):  # type: ignore[misc]
        def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
            super().set_timesteps(*args, **kwargs)
            chosen = [0, 1, 3, 6]
            self.timesteps, self.sigmas = self.timesteps[chosen], self.sigmas[[*chosen, -1]]
            self.num_inference_steps = len(chosen)

    def made(scheduler: Any, *accelerators: Accelerator) -> torch.Tensor:
        pipe = tiny_pipeline(scheduler=scheduler)
        with sraccel.compose(pipe, accelerators) as stack:
            torch.manual_seed(0)  # some draw noise of their own
            made = generate(pipe)
        assert stack.report.outcome == "finished"
        return made

    def planned(positions: list[int]) -> Accelerator:
        return one(plan_steps=hookimpl(lambda self, plan: [plan.sigmas[p] for p in positions]))

    assert torch.equal(made(kind(), planned(list(range(8)))), made(kind()))
    assert torch.equal(made(kind(), planned([0, 1, 3, 6])), made(Placed()))


def test_prepare_pipeline_comes_before_the_denoisers_and_not_for_a_bare_one(
    pipe: WanPipeline, generate: Generate
) -> None:
    order: list[str] = []

    @contextmanager
    def noting(what: str) -> Any:
        order.append(f"enter {what}")
        yield
        order.append(f"leave {what}")

    methods = {
        "prepare_pipeline": hookimpl(lambda self, pipeline: noting("pipeline")),
        "prepare_denoiser": hookimpl(lambda self, denoiser: noting("denoiser")),
    }
    with sraccel.compose(pipe, [one(**methods)]) as stack:
        generate(pipe, steps=1)
    assert 0 < (stack.report.accelerators[0].prepare_seconds or 0) < 1
    assert order == ["enter pipeline", "enter denoiser", "leave denoiser", "leave pipeline"]
    order.clear()
    with sraccel.compose(pipe.transformer, [one(**methods)]):
        pass
    assert order == ["enter denoiser", "leave denoiser"]
