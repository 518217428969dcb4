"""What goes wrong is one clear error with fields, and the pipeline is as if nothing had happened.

More of this is where the parts are tested: every mistake in a recipe (`test_recipe.py`,
`reading/`), contradictions (`test_composer.py`), loops driven wrongly (`test_loop.py`,
`test_pipeline_seam.py`), leaving by an exception, by Ctrl-C or by `interrupt`
(`test_restoration.py`), folders that are no models (`test_models.py`), render models that do not
fit (`accelerators/test_render_model.py`, `test_reencode.py`), a file that appears whole or not at
all (`test_files.py`), exit codes (`cli/`), what strangers' files can do (`test_strangers.py`).
"""

from __future__ import annotations

import errno
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CogVideoXTransformer3DModel, WanPipeline, WanTransformer3DModel
from tiny_models import TEXT_DIM, call_arguments, tiny_pipeline, tiny_transformer

import sraccel
from sraccel.files import output_folder
from sraccel.loop.hookspecs import Loop
from sraccel.plugin import Accelerator, Metric, hookimpl
from sraccel.recipe.catalogue import installed
from sraccel.report.model import CallRecord, Report, StepRecord
from sraccel.report.page import save_page
from sraccel.report.page.picture import save_timeline
from sraccel.video.mp4 import save_video

Generate = Callable[..., torch.Tensor]
Untouched = Callable[..., AbstractContextManager[None]]
EMPTY = "the recipe is empty: nothing was accelerated"


def state(*models: Any) -> list[dict[str, int]]:
    """What is in the dictionaries of models and all their parts: all that could be left behind."""
    modules = [module for model in models for module in model.modules()]
    return [{name: id(value) for name, value in vars(module).items()} for module in modules]


@pytest.fixture
def untouched(generate: Generate) -> Untouched:
    """`with untouched(pipe):` whatever happens inside leaves pipeline and next bare run alone."""

    @contextmanager
    def watched(pipe: WanPipeline, *renders: Any) -> Iterator[None]:
        bare = generate(pipe)
        for model in (pipe.transformer, *renders):
            with model.cache_context("any"):  # diffusers keeps a registry from then on
                pass
        # A pipeline and its scheduler keep things of their last run, so of these only the names.
        models, others = (pipe.transformer, pipe.vae, *renders), (pipe, pipe.scheduler)
        before, names = state(*models), [set(vars(item)) for item in others]
        yield
        assert state(*models) == before
        assert [set(vars(item)) for item in others] == names
        assert torch.equal(generate(pipe), bare)

    return watched


# What cannot be composed.


def files(folder: Path) -> dict[str, Any]:
    """Recipes and models that cannot be used, by what is wrong with them."""
    (folder / "malformed.yaml").write_text("accelerators: [{use: teacache}\n")
    (folder / "list.json").write_text("[1]")
    (folder / "empty").mkdir()
    other_vae = tiny_pipeline(seed=7, layers=1)
    other_vae.vae.register_to_config(latents_std=[2.0] * 4)

    def switch(render: Any, **more: Any) -> list[Any]:
        return [{"use": "srdiffusion", "render": render, "switch_step": 4, **more}]

    return {
        "unknown accelerator": [{"use": "teacash"}],
        "unknown option": [{"use": "teacache", "treshold": 0.1}],
        "wrong option": [{"use": "teacache", "threshold": "much"}],
        "malformed file": folder / "malformed.yaml",
        "file of something else": folder / "list.json",
        "missing file": folder / "missing.yaml",
        "missing model": switch(str(folder / "missing")),
        "folder without a model": switch(str(folder / "empty")),
        "another VAE": switch(other_vae),
        "another family": switch(other_family()),
        "two rules": [*switch(tiny_transformer(7, layers=1)), Raises.Options(), Again.Options()],
    }


def other_family() -> CogVideoXTransformer3DModel:
    return CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4,
        time_embed_dim=8, text_embed_dim=TEXT_DIM, num_layers=1,
    )  # fmt: skip


class Raises(Accelerator):
    """Has a residual rule."""

    name = "raises"

    @hookimpl
    def reuse_residual(self) -> None:
        return None


class Again(Raises):
    """Has one, too."""

    name = "again"


RECIPE, MODEL, CONFLICT = sraccel.RecipeError, sraccel.ModelError, sraccel.ConflictError
REFUSED = {
    "unknown accelerator": (RECIPE, "no accelerator is called 'teacash'.*did you mean"),
    "unknown option": (RECIPE, r"accelerators\[0\].treshold"),
    "wrong option": (RECIPE, r"accelerators\[0\].threshold.*'much'"),
    "malformed file": (RECIPE, r"malformed\.yaml.*cannot be read as a recipe"),
    "file of something else": (RECIPE, r"list\.json.*a recipe is a mapping"),
    "missing file": (RECIPE, r"no file .*missing\.yaml.*shipped: .*demo"),
    "missing model": (MODEL, "no model folder .*missing"),
    "folder without a model": (MODEL, r"no transformer/config\.json"),
    "another VAE": (MODEL, r"VAE latents_std: \[1.0.*sketch.*\[2.0.*render"),
    "another family": (MODEL, r"family: 'wan' \(sketch\), 'cogvideox' \(render\)"),
    "two rules": (CONFLICT, "'raises' and 'again' both predict"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_cannot_be_composed_says_why_and_leaves_the_pipeline_alone(
    wrong: str, pipe: WanPipeline, untouched: Untouched, tmp_path: Path
) -> None:
    kind, message = REFUSED[wrong]
    recipe = files(tmp_path)[wrong]
    with untouched(pipe):
        with pytest.raises(kind, match=f"(?s){message}"):
            sraccel.compose(pipe, recipe)


def test_what_two_models_differ_in_can_be_read_side_by_side(
    pipe: WanPipeline, tmp_path: Path
) -> None:
    recipes = files(tmp_path)
    with pytest.raises(sraccel.ModelError) as other_vae:
        sraccel.compose(pipe, recipes["another VAE"])
    assert other_vae.value.differences == {"VAE latents_std": ([1.0] * 4, [2.0] * 4)}
    with pytest.raises(sraccel.ModelError) as other_family:
        sraccel.compose(pipe, recipes["another family"])
    assert other_family.value.differences["family"] == ("wan", "cogvideox")


def test_a_model_or_an_accelerator_that_is_refused_is_named_in_a_field(
    pipe: WanPipeline, tmp_path: Path
) -> None:
    recipes = files(tmp_path)
    with pytest.raises(sraccel.ModelError) as missing:
        sraccel.compose(pipe, recipes["missing model"])
    assert missing.value.model == str(tmp_path / "missing")
    with pytest.raises(sraccel.ConflictError) as conflict:
        sraccel.compose(pipe, recipes["two rules"])
    assert conflict.value.accelerators == ("raises", "again")


# What runs, and says that it does not do what one might think.


def test_an_empty_recipe_runs_bare_and_says_so(
    pipe: WanPipeline, untouched: Untouched, generate: Generate, tmp_path: Path
) -> None:
    (tmp_path / "empty.yaml").write_text("accelerators: []\n")
    bare = generate(pipe)
    with untouched(pipe), sraccel.compose(pipe, tmp_path / "empty.yaml") as stack:
        assert torch.equal(generate(pipe), bare)
    assert stack.report.warnings == [EMPTY]


def test_comparing_an_empty_recipe_says_so_once(pipe: WanPipeline, caplog: Any) -> None:
    comparison = sraccel.compare(pipe, [], **call_arguments(steps=2))
    assert EMPTY in comparison.report.warnings
    assert [record.getMessage() for record in caplog.records].count(EMPTY) == 1


def test_a_switch_beyond_the_run_is_a_warning_and_the_run_is_bare(
    pipe: WanPipeline, render: Any, untouched: Untouched, generate: Generate
) -> None:
    bare = generate(pipe)
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 99}]
    with untouched(pipe, render), sraccel.compose(pipe, recipe) as stack:
        assert torch.equal(generate(pipe), bare)
    assert any("beyond the run's 8 steps" in warning for warning in stack.report.warnings)


# What a run refuses.


@pytest.mark.parametrize("steps", [0, -1])
def test_a_run_without_steps_is_refused_by_that_name(
    steps: int, pipe: WanPipeline, untouched: Untouched, generate: Generate
) -> None:
    message = f"num_inference_steps must be 1 or more, not {steps}"
    with untouched(pipe):
        with sraccel.compose(pipe, []) as stack, pytest.raises(sraccel.LoopError, match=message):
            generate(pipe, steps=steps)
        assert stack.reports == []
        with pytest.raises(sraccel.LoopError, match=message):
            sraccel.compare(pipe, [], **call_arguments(steps=steps))
        with sraccel.compose(pipe.transformer, []) as stack:
            with pytest.raises(sraccel.LoopError, match=message):
                stack.run(num_inference_steps=steps)


def test_a_prediction_that_is_not_finite_names_the_step_and_the_model(
    pipe: WanPipeline, render: WanTransformer3DModel, untouched: Untouched, generate: Generate
) -> None:
    render.proj_out.weight[0, 0] = float("nan")
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 4}]
    with untouched(pipe, render):
        stack = sraccel.compose(pipe, recipe)
        with pytest.raises(sraccel.NonFiniteError, match=r"step 4: denoiser 'render'") as found:
            with stack:
                generate(pipe)
    error = found.value
    assert (error.step, error.role, error.model) == (4, "render", "WanTransformer3DModel")
    assert stack.report.outcome.startswith("failed: NonFiniteError: step 4")
    assert stack.report.warnings[-1] == "the run is partial: 5 of 8 steps were begun"


# Plugins that raise.


def raising(hook: str, step: int) -> Accelerator:
    """An accelerator whose hook raises: where it is asked of a step, in that one."""
    arguments = list(inspect.signature(getattr(Loop, hook)).parameters)
    lines = [f"def {hook}({', '.join(arguments)}):"]
    if arguments[1] in ("step", "call"):
        index = {"step": "step.index", "call": "call.step.index"}[arguments[1]]
        lines.append(f"    if {index} < {step}: return")
    namespace: dict[str, Any] = {}
    exec("\n".join([*lines, "    raise KeyError('oops')"]), namespace)
    return made("raises", **{hook: hookimpl(namespace[hook])})


def made(name: str, **methods: Any) -> Any:
    """An accelerator of these methods."""
    return type("Made", (Accelerator,), {"__doc__": "Made.", "name": name, **methods})


class SwitchAt2(Accelerator):
    """Gives `denoiser_switched` something to tell."""

    name = "switch-at-2"

    @hookimpl
    def contribute_denoisers(self) -> dict[str, Any]:
        return {"other": tiny_transformer(seed=3, layers=1)}

    @hookimpl
    def select_denoiser(self, step: Any) -> str | None:
        return "other" if step.index >= 2 else None


OF_A_STEP = {
    "select_denoiser": 1,
    "reuse_residual": 1,
    "residual_computed": 1,
    "denoiser_called": 1,
    "step_finished": 1,
    "denoiser_switched": 2,
}


@pytest.mark.parametrize("hook", [name for name in vars(Loop) if not name.startswith("_")])
def test_a_plugin_that_raises_in_any_hook_is_named_with_hook_and_step_and_all_is_restored(
    hook: str, pipe: WanPipeline, untouched: Untouched, generate: Generate
) -> None:
    recipe = [{"use": "sageattention", "kernel": "emulated"}, raising(hook, 1).Options()]
    if hook == "denoiser_switched":
        recipe.append(SwitchAt2.Options())
    with untouched(pipe):
        with pytest.raises(
            sraccel.PluginError, match=f"'raises' raised KeyError in hook {hook} .*'oops'"
        ) as found:
            with sraccel.compose(pipe, recipe):
                generate(pipe)
        assert len(str(found.value)) < 200
    error = found.value
    assert (error.accelerator, error.hook, error.step) == ("raises", hook, OF_A_STEP.get(hook))
    assert isinstance(error.__cause__, KeyError)


@contextmanager
def fails_on_entering() -> Iterator[None]:
    raise KeyError("oops")
    yield


@contextmanager
def fails_on_leaving() -> Iterator[None]:
    yield
    raise KeyError("oops")


@pytest.mark.parametrize(
    "context", [fails_on_entering, fails_on_leaving, lambda: "no context manager"]
)
def test_a_plugin_whose_context_fails_is_named_and_all_is_restored(
    context: Callable[[], Any], pipe: WanPipeline, untouched: Untouched, generate: Generate
) -> None:
    bad = made("bad", prepare_denoiser=hookimpl(lambda self: context()))
    recipe = [bad.Options(), {"use": "sageattention", "kernel": "emulated"}]
    with untouched(pipe):
        with pytest.raises(sraccel.PluginError, match=r"'bad' raised .* in hook prepare_denoiser"):
            with sraccel.compose(pipe, recipe):
                generate(pipe, steps=2)


def test_a_metric_that_fails_is_a_warning_and_loses_no_run(
    pipe: WanPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(video: Any, bare: Any) -> float:
        raise ZeroDivisionError("oops")

    for name, compare in (("raises", raises), ("nothing", lambda *_: float("nan"))):
        monkeypatch.setitem(installed().metrics, name, Metric(name, compare))
    call = {**call_arguments(steps=2), "output_type": "np"}
    report = sraccel.compare(pipe, [], warmup=False, **call).report
    assert report.quality is not None
    assert {"psnr_db", "ssim"} == report.quality.keys()
    assert "the metric 'raises' raised ZeroDivisionError: oops" in report.warnings
    assert "the metric 'nothing' gave nan, which says nothing" in report.warnings
    assert Report.from_json(report.to_json()) == report


def test_whatever_a_plugin_notes_and_whatever_a_prompt_holds_the_report_can_be_saved(
    pipe: WanPipeline, generate: Generate, tmp_path: Path
) -> None:
    notes = {"thing": object(), "number": float("inf"), "text": "a\udcff"}
    writes = made("writes", run_started=hookimpl(lambda self, run: run.note(self, **notes)))
    with sraccel.compose(pipe, [writes.Options()]) as stack:
        generate(pipe, steps=1)
    stack.report.call = {"prompt": "\udcff"}  # what is no Unicode on a command line
    read = Report.from_json(stack.report.save(tmp_path / "report.json").read_text("utf-8"))
    assert read.accelerators[0].notes == {"thing": "<object>", "number": None, "text": "a?"}
    assert read.call == {"prompt": "?"}


# Ctrl-C.


def presses_ctrl_c(calls: int) -> Callable[..., dict[str, Any]]:
    """A callback that interrupts after so many steps of all runs together."""
    left = [calls]

    def callback(pipe: Any, step: int, timestep: Any, tensors: Any) -> dict[str, Any]:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return {}

    return callback


def test_an_interrupted_run_is_restored_and_its_report_says_that_it_is_partial(
    pipe: WanPipeline, render: Any, untouched: Untouched, generate: Generate
) -> None:
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 2}]
    with untouched(pipe, render):
        with pytest.raises(KeyboardInterrupt), sraccel.compose(pipe, recipe) as stack:
            generate(pipe, callback_on_step_end=presses_ctrl_c(4))
    report = stack.report
    assert report.outcome == "failed: KeyboardInterrupt"
    assert report.warnings[-1] == "the run is partial: 4 of 8 steps were begun"
    assert [step.denoiser for step in report.steps] == ["sketch"] * 2 + ["render"] * 2
    assert all(call.seconds is not None for step in report.steps for call in step.calls)


@pytest.mark.parametrize(
    ("phase", "steps"),
    [("warming up", 2), ("warming up again", 5), ("bare", 8), ("accelerated", 14), ("probing", 19)],
)
def test_a_comparison_can_be_interrupted_anywhere(
    phase: str, steps: int, pipe: WanPipeline, render: Any, untouched: Untouched
) -> None:
    """Three steps of warming up each way, six bare, six accelerated, then the probes."""
    told: list[str] = []
    recipe = [{"use": "srdiffusion", "render": render, "switch_step": 2}]
    call = call_arguments(steps=6, callback_on_step_end=presses_ctrl_c(steps))
    with untouched(pipe, render), pytest.raises(KeyboardInterrupt):
        sraccel.compare(pipe, recipe, progress=lambda what, *_: told.append(what), **call)
    assert len(told) == steps
    assert phase.startswith(told[-1].split()[0])


PRESS = """
import signal, sys
from sraccel.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # not inherited from a background job
sys.argv = ["sraccel", *sys.argv[1:]]
main()
"""


def test_a_real_ctrl_c_ends_the_command_and_keeps_what_was_done(tmp_path: Path) -> None:
    """A real signal to a real process, in the middle of a run."""
    (tmp_path / "recipe.yaml").write_text("accelerators: [{use: sageattention, kernel: emulated}]")
    out = tmp_path / "out"
    command = ("generate", tmp_path / "recipe.yaml", "--model", "demo", "--steps", "5000")
    process = subprocess.Popen(
        [sys.executable, "-c", PRESS, *command, "--prompt", "a red circle", "--out", out],
        stderr=subprocess.PIPE,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100"},  # draws bars while it runs
    )
    assert process.stderr is not None
    said = b""
    while b"accelerated" not in said:
        said += os.read(process.stderr.fileno(), 4096) or pytest.fail(said.decode())
    process.send_signal(signal.SIGINT)
    said += process.stderr.read()
    assert process.wait() == 130, said.decode()
    assert b"interrupted" in said
    assert b"Traceback" not in said
    report = Report.from_json((out / "report.json").read_text())
    assert report.outcome == "failed: KeyboardInterrupt"
    assert 0 < len(report.steps) < 5000
    assert f"{len(report.steps)} of 5000 steps were begun" in report.warnings[-1]
    names = ["report.html", "report.json", "timeline.svg"]
    assert sorted(path.name for path in out.iterdir()) == names


class PressesCtrlC(Accelerator):
    """Interrupts one run in its second step, and no other."""

    name = "presses-ctrl-c"
    runs = 0
    interrupts = 0

    @hookimpl
    def run_started(self) -> None:
        PressesCtrlC.runs += 1

    @hookimpl
    def select_denoiser(self, step: Any) -> None:
        if step.index == 1 and self.runs == self.interrupts:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "run", "left", "warning"),
    [
        ((), 1, [], "the run is partial: 2 of 2 steps were begun"),
        (("--compare",), 2, ["bare.mp4"], "the comparison is partial: this is its bare run"),
    ],
    ids=["generate", "compare"],
)
def test_what_an_interrupted_command_leaves_says_so_and_can_be_made_again(
    options: tuple[str, ...],
    run: int,
    left: list[str],
    warning: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from typer.testing import CliRunner

    from sraccel.cli import app

    monkeypatch.setitem(installed().accelerators, PressesCtrlC.name, PressesCtrlC)
    PressesCtrlC.runs, PressesCtrlC.interrupts = 0, run
    recipe, out, again = (tmp_path / name for name in ("recipe.yaml", "out", "again"))
    recipe.write_text("accelerators: [{use: presses-ctrl-c}]")
    size = ("--height", "32", "--width", "32", "--frames", "5", "--steps", "2")
    command = ("generate", str(recipe), "--model", "demo", "--prompt", "a red circle", *size)
    result = CliRunner().invoke(app, [*command, *options, "--out", str(out)])
    assert result.exit_code == 130, result.output
    expected = sorted([*left, "report.html", "report.json", "timeline.svg"])
    assert sorted(path.name for path in out.iterdir()) == expected
    report = Report.from_json((out / "report.json").read_text())
    assert warning in report.warnings[-1]
    command = ("generate", "--from", str(out / "report.json"), "--out", str(again))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    made = Report.from_json((again / "report.json").read_text())
    assert (made.outcome, made.call) == ("finished", report.call)


# Outputs that cannot be written.

FRAMES = np.random.default_rng(0).integers(0, 255, (4, 128, 128, 3), dtype=np.uint8)
CALL = CallRecord(branch="cond", requested="sketch", denoiser="sketch", seconds=0.1)
STEPS = [
    StepRecord(index=index, denoiser="sketch", seconds=0.1, calls=[CALL]) for index in range(60)
]
REPORT = Report(outcome="finished", num_inference_steps=len(STEPS), steps=STEPS)
WRITERS: dict[str, Callable[[Path], object]] = {
    "video.mp4": lambda path: save_video(FRAMES, path),
    "report.json": REPORT.save,
    "timeline.svg": lambda path: save_timeline(REPORT, path),
    "report.html": lambda path: save_page(REPORT, path),
}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 16 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no filesystem can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no filesystem can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let files of this process grow further; works for any user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", WRITERS)
def test_on_a_full_disk_nothing_half_written_is_left_and_the_error_says_why(
    name: str, full_disk: Path
) -> None:
    path = full_disk / name
    path.write_text("older")
    with pytest.raises(sraccel.OutputError, match=f"{name}: No space left on device") as refused:
        WRITERS[name](path)
    error = refused.value
    assert (error.path, error.errno) == (path, errno.ENOSPC)
    assert error.reason == "No space left on device"
    assert [path.name for path in full_disk.iterdir()] == [name]
    assert path.read_text() == "older"


@pytest.mark.parametrize("name", WRITERS)
def test_wherever_in_a_file_writing_stops_nothing_half_written_is_left(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    size = path.stat().st_size
    path.unlink()
    for limit in (0, 1, size // 2, size - 1):
        with largest_file(limit):
            with pytest.raises(sraccel.OutputError, match="File too large") as refused:
                WRITERS[name](path)
        assert refused.value.errno == errno.EFBIG
        assert list(tmp_path.iterdir()) == []


def test_a_command_that_cannot_write_says_so_and_exits_with_1(
    full_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from sraccel.cli import app

    monkeypatch.setenv("COLUMNS", "200")
    recipe = full_disk.parent / "recipe.json"
    recipe.write_text(json.dumps({"accelerators": []}))
    command = ["generate", recipe, "--model", "demo", "--prompt", "a red circle", "--steps", 2]
    result = CliRunner().invoke(app, [str(part) for part in (*command, "--out", full_disk)])
    assert result.exit_code == 1
    assert f"{full_disk}/video.mp4: No space left on device" in result.stderr
    assert "Traceback" not in result.output
    assert not any(path.name.endswith((".mp4", ".part")) for path in full_disk.iterdir())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_folder_that_takes_no_files_is_refused_before_the_work_whoever_asks() -> None:
    """Nobody, not even root, can make a file in /proc."""
    with pytest.raises(sraccel.OutputError, match="cannot write to the folder /proc") as refused:
        output_folder("/proc")
    assert refused.value.path == Path("/proc")
    assert refused.value.errno is not None
