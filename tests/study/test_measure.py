"""Running a study: fair order, nothing lost, whatever breaks off."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from small_study import CALL, PROMPTS, TWO, Heard, small_study, untimed

import sraccel
from sraccel.comparison.quality import Quality
from sraccel.errors import ConflictError, LoopError, ModelError, PluginError, RecipeError
from sraccel.plugin import Accelerator, Call, hookimpl
from sraccel.study import measure
from sraccel.study.assemble import assemble
from sraccel.study.cell import CellRun
from sraccel.study.measure import forecast_study, run_study
from sraccel.study.plan.design import cells_of
from sraccel.study.plan.study import Study
from sraccel.study.runs import cell_runner, judging
from sraccel.study.runs.cell_runner import CellRunner
from sraccel.study.runs.judging import judge
from sraccel.study.runs.store import Store
from sraccel.testing import load_demo_pipeline

SKIPS = {"use": "skip-schedule", "every": 2, "warm_up": 1}


@pytest.fixture(scope="module")
def pipe() -> Any:
    made = load_demo_pipeline("transformer")
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def once(pipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    run_study(pipe, small_study(), folder, **CALL)
    return folder


@pytest.fixture
def finished(once: Path, tmp_path: Path) -> Path:
    """A copy of its own of the small study, run to its end."""
    return Path(shutil.copytree(once, tmp_path / "finished"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No files of the report, which have tests of their own, and nothing that is for timing."""
    monkeypatch.setattr(measure, "save_report", lambda report, folder: None)
    monkeypatch.setattr(cell_runner, "WARM_UP_STEPS", 1)
    monkeypatch.setattr(cell_runner.gc, "collect", lambda: 0)


def records(folder: Path) -> list[CellRun]:
    with Store.read(folder) as store:
        return list(store.records().values())


def bare_latents(pipe: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    made: torch.Tensor = pipe(
        prompt=PROMPTS[0], generator=generator, output_type="latent", **CALL
    ).frames
    return made


class Fragile(Accelerator):
    """Raises in the runs of one prompt, or in all."""

    name = "fragile"
    fails: frozenset[str] = frozenset()

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        if type(self).fails & {"all", Following.prompt}:
            raise ZeroDivisionError("made to fail")


class Following(Heard):
    """Knows which prompt is run."""

    prompt = ""

    def begun(self, position: Any) -> None:
        type(self).prompt = position.block.prompt
        super().begun(position)


@pytest.fixture
def fragile() -> Iterable[type[Fragile]]:
    Following.prompt = ""
    yield Fragile
    Fragile.fails = frozenset()


class Refusing(WanPipeline):
    """Raises for some prompts."""

    refused: frozenset[str] = frozenset()

    def check_inputs(self, prompt: str, *args: Any, **kwargs: Any) -> None:
        if prompt in self.refused:
            raise ValueError(f"not {prompt}")
        super().check_inputs(prompt, *args, **kwargs)


@pytest.fixture
def refusing(pipe: Any) -> Refusing:
    """The same models in a pipeline that can be made to raise."""
    made = Refusing(**pipe.components)
    made.set_progress_bar_config(disable=True)
    return made


CALL_OF_REFUSING = {**CALL, "max_sequence_length": 16}


def test_every_cell_runs_once_in_every_block_of_every_round_in_an_order_of_its_own(
    pipe: Any, tmp_path: Path
) -> None:
    study = small_study(prompts=PROMPTS[:1], seeds=[0, 5], repeats=2, precision=0, plain_steps=[2])
    report = run_study(pipe, study, tmp_path, **CALL)
    runs = records(tmp_path)
    cells = {"bare", "srdiffusion", "teacache", "srdiffusion + teacache", "2 plain steps"}
    together = [runs[start : start + 5] for start in range(0, len(runs), 5)]
    assert all({run.cell for run in block} == cells for block in together)
    assert {(run.seed, run.repeat) for run, *_ in together} == {(0, 0), (5, 0), (0, 1), (5, 1)}
    assert all(len({(run.block, run.repeat) for run in block}) == 1 for block in together)
    orders = [[run.cell for run in block] for block in together]
    assert len(set(map(tuple, orders))) == len(orders) == 4
    assert len({order.index("bare") for order in orders}) > 1
    assert {run.outcome for run in runs} == {"finished"}
    assert (report.done, report.planned, report.stopped) == (20, 20, "repeats")
    assert all((run.seconds or 0) > 0 and (run.call_seconds or 0) > run.seconds for run in runs)
    assert {run.steps for run in runs if run.cell == "2 plain steps"} == {2}


def test_quality_is_that_of_a_comparison_by_hand(pipe: Any, finished: Path) -> None:
    measured = {(run.cell, run.prompt): run.quality for run in records(finished)}
    call: Any = {**CALL, "prompt": PROMPTS[0]}
    by_hand = sraccel.compare(pipe, TWO, warmup=False, **call).report.quality
    for name, value in (by_hand or {}).items():
        assert measured["srdiffusion + teacache", PROMPTS[0]][name] == pytest.approx(
            value, rel=1e-3
        )
    assert measured["bare", PROMPTS[0]] == {"psnr_db": 100.0, "ssim": pytest.approx(1.0)}


def test_a_cell_that_decides_nothing_loses_nothing(pipe: Any, tmp_path: Path) -> None:
    study = small_study([{"use": "teacache", "threshold": 0}])
    run_study(pipe, study, tmp_path, **CALL)
    runs = {(run.cell, run.prompt): run for run in records(tmp_path)}
    for prompt in PROMPTS:
        ours, bare = runs["teacache", prompt], runs["bare", prompt]
        assert ours.frames_sha256 == bare.frames_sha256
        assert ours.quality == bare.quality
        assert ours.warnings


def test_the_pipeline_is_as_it_was(pipe: Any, tmp_path: Path) -> None:
    before = bare_latents(pipe)
    study = small_study([*TWO, {"use": "sageattention", "kernel": "emulated"}], prompts=PROMPTS[:1])
    run_study(pipe, study, tmp_path, **CALL)
    assert torch.equal(bare_latents(pipe), before)


@pytest.mark.parametrize("after", [3, 7])
def test_going_on_after_an_interrupt_gives_the_runs_of_one_without(
    pipe: Any, tmp_path: Path, finished: Path, after: int
) -> None:
    heard = Heard(interrupt_after=after)
    with pytest.raises(KeyboardInterrupt):
        run_study(pipe, small_study(), tmp_path / "broken", watcher=heard, **CALL)
    kept = records(tmp_path / "broken")
    assert len(kept) == after
    again = Heard()
    run_study(pipe, small_study(), tmp_path / "broken", watcher=again, **CALL)
    whole, resumed = records(finished), records(tmp_path / "broken")
    assert untimed(resumed) == untimed(whole)
    assert list(dict.fromkeys(name(run) for run in resumed)) == [name(run) for run in whole]
    assert list((tmp_path / "broken" / "frames").iterdir()) == []
    torn = {run.block for run in kept} & {run.block for run in again.records}
    twice = [run for run, count in Counter(map(name, resumed)).items() if count > 1]
    assert twice == [
        ("bare", *block, 0) for block in torn if ("bare", *block, 0) in map(name, kept)
    ]


def name(run: CellRun) -> tuple[str, str, int, int]:
    return run.cell, run.prompt, run.seed, run.repeat


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("prompt", ["a red square moving up", "a red circle moving up"])
def test_comparisons_that_were_broken_off_are_made_up_for(
    pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: str, at: int
) -> None:
    """Killed while the runs of a block were compared; bare is run first there, or third."""
    calls = []

    def killed(*given: Any) -> Quality:
        calls.append(given)
        if len(calls) == at:
            raise KeyboardInterrupt
        return judge(*given)

    study = small_study(prompts=[prompt])
    with monkeypatch.context() as broken:
        broken.setattr(judging, "judge", killed)
        with pytest.raises(KeyboardInterrupt):
            run_study(pipe, study, tmp_path, **CALL)
    assert len(records(tmp_path)) == 4
    report = run_study(pipe, study, tmp_path, **CALL)
    assert all(run.quality for run in records(tmp_path))
    assert list((tmp_path / "frames").iterdir()) == []
    assert len(report.showcases[0].videos) == 4


def test_what_waits_for_a_bare_run_that_failed_goes_on_waiting(
    refusing: Refusing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking(Heard):
        def begun(self, position: Any) -> None:
            refusing.refused = frozenset(PROMPTS if position.cell == "bare" else ())

    study = small_study(prompts=PROMPTS[:1], plain_steps=[2])
    run_study(refusing, study, tmp_path, watcher=Breaking(), **CALL_OF_REFUSING)
    refusing.refused = frozenset()
    run_study(refusing, study, tmp_path, **CALL_OF_REFUSING)
    runs = [run for run in records(tmp_path) if run.outcome == "finished"]
    assert len(runs) == 5
    assert all(run.quality for run in runs)


def test_a_study_that_is_done_is_only_reported_again(pipe: Any, finished: Path) -> None:
    heard = Heard()
    forecast = forecast_study(pipe, small_study(), out=finished, **CALL)
    assert (forecast.measured, forecast.done) == (True, 8)
    first, second = (
        run_study(pipe, small_study(), finished, watcher=heard, **CALL) for _ in range(2)
    )
    assert heard.positions == []
    assert second == first


def test_prompts_seeds_and_rounds_can_be_added(pipe: Any, finished: Path) -> None:
    heard = Heard()
    prompts = ["a yellow triangle moving up", PROMPTS[0]]
    report = run_study(
        pipe, small_study(prompts=prompts, seeds=[1, 0]), finished, watcher=heard, **CALL
    )
    assert len(heard.records) == 4 * 2 * 2 - 4
    assert report.done == report.planned == 16
    fewer = run_study(pipe, small_study(prompts=PROMPTS[1:]), finished, **CALL)
    assert (fewer.done, fewer.analysis.blocks) == (4, 1)
    more = small_study(prompts=PROMPTS[:1], repeats=2, precision=0)
    report = run_study(pipe, more, finished, watcher=heard, **CALL)
    assert len(heard.records) == 12 + 4
    assert report.done == report.planned == 8


@pytest.mark.parametrize(
    ("study", "call", "named"),
    [
        (small_study([TWO[0], {**TWO[1], "threshold": 9.0}]), CALL, "threshold: 10.0 there, 9.0"),
        (small_study(TWO[::-1]), CALL, "there"),
        (small_study(design="one-at-a-time", plain_steps=[2]), CALL, "2 plain steps"),
        (small_study(), {**CALL, "num_inference_steps": 5}, "num_inference_steps: 4 there, 5 now"),
    ],
)
def test_another_recipe_or_call_is_refused(
    pipe: Any, finished: Path, study: sraccel.Study, call: dict[str, Any], named: str
) -> None:
    before = records(finished)
    with pytest.raises(ConflictError) as caught:
        run_study(pipe, study, finished, **call)
    assert named in str(caught.value)
    assert records(finished) == before


def test_other_weights_are_refused(finished: Path) -> None:
    own = load_demo_pipeline("transformer")
    own.transformer.blocks[0].attn1.to_q.weight.data[0, 0] += 1
    with pytest.raises(ConflictError, match=r"models\.transformer\.weights"):
        run_study(own, small_study(), finished, **CALL)


def test_what_cannot_be_composed_is_noted_and_the_others_go_on(pipe: Any, tmp_path: Path) -> None:
    study = [TWO[1], SKIPS]
    report = run_study(pipe, small_study(study, prompts=PROMPTS[:1]), tmp_path, **CALL)
    runs = records(tmp_path)
    failed = [run for run in runs if run.outcome == "failed"]
    assert [run.cell for run in failed] == ["teacache + skip-schedule"]
    assert "both decide when to skip" in (failed[0].error or "")
    assert {run.cell for run in runs} - {failed[0].cell} == {"bare", "teacache", "skip-schedule"}
    assert any("teacache + skip-schedule: 1 of 1 runs failed" in text for text in report.warnings)
    assert report.done == report.planned == 4
    heard = Heard()
    run_study(pipe, small_study(study, prompts=PROMPTS[:1]), tmp_path, watcher=heard, **CALL)
    assert heard.records == []
    other = run_study(pipe, small_study(study, prompts=PROMPTS[1:]), tmp_path, **CALL)
    assert other.done == other.planned == 4
    assert any("both decide when to skip" in text for text in other.warnings)


def test_a_run_that_raises_is_noted_the_others_go_on_and_the_next_session_tries_again(
    pipe: Any, tmp_path: Path, fragile: type[Fragile]
) -> None:
    fragile.fails = frozenset({PROMPTS[1]})
    study = small_study([fragile.Options(), TWO[1]])
    run_study(pipe, study, tmp_path, watcher=Following(), **CALL)
    runs = records(tmp_path)
    failed = [run for run in runs if run.outcome == "failed"]
    raised = {("fragile", PROMPTS[1]), ("fragile + teacache", PROMPTS[1])}
    assert {(run.cell, run.prompt) for run in failed} == raised
    assert all("made to fail" in (run.error or "") for run in failed)
    assert len(runs) == 8
    fragile.fails = frozenset()
    heard = Heard()
    report = run_study(pipe, study, tmp_path, watcher=heard, **CALL)
    assert {(run.cell, run.prompt) for run in heard.records} == {*raised, ("bare", PROMPTS[1])}
    assert report.done == report.planned == 8
    assert report.analysis.cells[1].blocks == 2


class Careless(Accelerator):
    """Changes the denoiser, and does not put it back."""

    name = "careless"

    @hookimpl
    def prepare_denoiser(self, denoiser: Any) -> None:
        denoiser.module.blocks[0].attn1.to_q.weight.data[0, 0] += 1


class Sneaky(Accelerator):
    """Changes what no checksum of the weights sees."""

    name = "sneaky"

    @hookimpl
    def prepare_denoiser(self, denoiser: Any) -> None:
        denoiser.module.blocks[0].attn1.to_q.weight.data[-1] *= 3


@pytest.mark.parametrize(
    ("careless", "words"),
    [(Careless, "careless has changed the pipeline's weights"), (Sneaky, "makes other frames")],
)
def test_a_pipeline_that_is_left_changed_is_noticed_before_anything_is_timed(
    tmp_path: Path, careless: type[Accelerator], words: str
) -> None:
    own = load_demo_pipeline("transformer")
    with pytest.raises(PluginError, match=words):
        run_study(own, small_study([careless.Options()]), tmp_path, **CALL)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_can_run_no_accelerator_is_refused_with_the_reasons(
    pipe: Any, tmp_path: Path
) -> None:
    study = small_study([{**TWO[0], "handoff": "reencode"}], plain_steps=[2])
    with pytest.raises(
        ConflictError, match=r"(?s)no accelerated cell of the study can run.*reencode"
    ):
        run_study(pipe, study, tmp_path / "out", **CALL)
    assert not (tmp_path / "out").exists()


def test_a_refused_call_spoils_no_folder(pipe: Any, tmp_path: Path) -> None:
    wrong = {**CALL, "height": 33}
    with pytest.raises(ModelError, match="33"):
        run_study(pipe, small_study(), tmp_path, **wrong)
    study = small_study(TWO[1:], prompts=PROMPTS[:1])
    assert run_study(pipe, study, tmp_path, **CALL).done == 2


def test_a_cell_that_always_raises_is_given_up(
    pipe: Any, tmp_path: Path, fragile: type[Fragile], monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile.fails = frozenset(f"prompt {number}" for number in range(5))
    study = small_study([fragile.Options()], prompts=[f"prompt {number}" for number in range(5)])
    run_study(pipe, study, tmp_path, watcher=Following(), **CALL)
    assert Counter(run.cell for run in records(tmp_path)) == {"bare": 5, "fragile": 3}


def test_a_prompt_whose_bare_run_raises_is_left_out(refusing: Refusing, tmp_path: Path) -> None:
    refusing.refused = frozenset({"impossible"})
    study = small_study(TWO[1:], prompts=["fine", "impossible"], seeds=[0, 1, 2])
    report = run_study(refusing, study, tmp_path, **CALL_OF_REFUSING)
    assert {run.prompt for run in records(tmp_path) if run.outcome == "finished"} == {"fine"}
    assert report.analysis.blocks == 3


def test_without_any_bare_run_there_is_no_study(refusing: Refusing, tmp_path: Path) -> None:
    prompts = [f"impossible {number}" for number in range(3)]

    class Breaking(Heard):
        def planned(self, forecast: Any) -> None:
            refusing.refused = frozenset(prompts)

    study = small_study(TWO[1:], prompts=prompts)
    with pytest.raises(LoopError, match=r"bare pipeline failed in 3 blocks.*not impossible"):
        run_study(refusing, study, tmp_path, watcher=Breaking(), **CALL_OF_REFUSING)
    with Store.read(tmp_path) as store:
        assert assemble(store).analysis.blocks == 0
    with pytest.raises(ModelError, match="refuses this call: not impossible"):  # in the warm-up
        run_study(refusing, study, tmp_path / "new", **CALL_OF_REFUSING)
    assert list((tmp_path / "new").iterdir()) == []
    refusing.refused = frozenset()  # whatever it was is gone
    report = run_study(refusing, study, tmp_path, **CALL_OF_REFUSING)
    assert report.analysis.blocks == 3


def test_a_budget_ends_it_and_the_report_says_so(pipe: Any, tmp_path: Path) -> None:
    heard = Heard()
    study = small_study(TWO[1:], prompts=PROMPTS[:1], budget=1e-6)
    report = run_study(pipe, study, tmp_path, watcher=heard, **CALL)
    assert (heard.records, report.stopped, report.done) == ([], "budget", 0)
    without = Study.load(study, ["study.budget=null"])
    report = run_study(pipe, without, tmp_path, **CALL)
    assert (report.stopped, report.done) == ("repeats", 2)


def test_orders_are_compared(pipe: Any, tmp_path: Path) -> None:
    study = small_study(design="order", prompts=[*PROMPTS, "a yellow triangle moving up"])
    report = run_study(pipe, study, tmp_path, **CALL)
    names = ["bare", "srdiffusion then teacache", "teacache then srdiffusion"]
    assert [cell.name for cell in report.analysis.cells] == names
    (order,) = report.analysis.orders
    assert (order.first, order.second) == ("srdiffusion", "teacache")
    assert order.factor is not None
    frames = {(run.prompt, run.frames_sha256) for run in records(tmp_path) if run.cell != "bare"}
    assert len(frames) == 3  # what is computed does not depend on the order


def test_rounds_go_on_until_the_intervals_are_narrow_by_whole_rounds_alone(
    pipe: Any, tmp_path: Path
) -> None:
    def run(watcher: Heard, **plan: Any) -> Any:
        three = small_study(TWO[1:], seeds=[0, 1], **plan)  # fewer blocks have no intervals
        return run_study(pipe, three, tmp_path, watcher=watcher, **CALL)

    loose = run(Heard(), repeats=4, precision=1e6)
    assert (loose.repeats, loose.stopped) == (1, "precise")
    with pytest.raises(KeyboardInterrupt):  # in the second round
        run(Heard(interrupt_after=2), repeats=3, precision=0.0)
    again = Heard()
    assert run(again, repeats=3, precision=1e6).stopped == "precise"
    assert again.positions == []
    tight = run(Heard(), repeats=2, precision=0.0)
    assert (tight.repeats, tight.stopped) == (2, "repeats")


def test_the_forecast_writes_nothing_and_says_what_cannot_run(pipe: Any, tmp_path: Path) -> None:
    study = small_study([TWO[1], SKIPS], seeds=[0, 1], budget="10m", plain_steps=[2])
    forecast = forecast_study(pipe, study, out=tmp_path / "none", **CALL)
    assert not (tmp_path / "none").exists()
    cells = {cell.name: cell for cell in forecast.cells}
    assert "both decide when to skip" in (cells["teacache + skip-schedule"].refused or "")
    assert (forecast.blocks, forecast.runs_of_a_round, forecast.budget) == (4, 16, 600)
    assert all((cell.seconds or 0) > 0 for cell in forecast.cells if not cell.refused)
    assert cells["2 plain steps"].steps == 2
    assert not forecast.measured


def test_a_render_model_is_loaded_once_for_all_cells(pipe: Any) -> None:
    study = small_study([*TWO, {"use": "sageattention", "kernel": "emulated"}])
    runner = CellRunner(pipe, cells_of(study), CALL)
    with measure.shared_loading():
        runner.compose()
    stacks = [stack for stack in runner.stacks.values() if "render" in stack.denoisers]
    assert len(stacks) == 4
    assert len({id(stack.denoisers["render"].module) for stack in stacks}) == 1


@pytest.mark.parametrize(
    ("study", "call", "error", "words"),
    [
        (small_study(prompts=[]), CALL, RecipeError, "no prompts"),
        (small_study(), {**CALL, "prompt": "x"}, ModelError, "prompt"),
        (small_study(), {**CALL, "latents": torch.zeros(1)}, ModelError, "noise itself"),
        (small_study(), {**CALL, "num_videos_per_prompt": 2}, ModelError, "one video"),
        (small_study(), {**CALL, "colour": "red"}, ModelError, "does not know colour"),
        (small_study(plain_steps=[4]), CALL, RecipeError, "fewer steps than the 4"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(
    pipe: Any, tmp_path: Path, study: Any, call: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run_study(pipe, study, tmp_path / "out", **call)
    assert not (tmp_path / "out").exists()


@pytest.mark.gpu
def test_a_study_on_a_gpu_is_timed_there(tmp_path: Path) -> None:
    own = load_demo_pipeline("transformer").to("cuda")
    report = run_study(own, small_study(), tmp_path, **CALL)
    assert report.environment["device"].startswith("cuda")
    assert report.done == report.planned == 8
    assert all((run.seconds or 0) < (run.call_seconds or 0) for run in records(tmp_path))
