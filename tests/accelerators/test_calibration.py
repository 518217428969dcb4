"""Coefficients that sraccel fits are those of a plain computation, and no others are used."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calibrations import fitted_entry
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny.family import Watch, argument_of, output_of
from tiny.ltx import LTX
from tiny.sdxl import SDXL
from tiny.wan import WAN, WAN_2_2, WAN_IMAGE_TO_VIDEO
from tiny_models import TEXT_DIM, tiny_transformer
from torch import nn

import sraccel
from sraccel.accelerators.teacache import calibrate
from sraccel.accelerators.teacache.calibration import fitting
from sraccel.accelerators.teacache.calibration.recording import Recorder
from sraccel.accelerators.teacache.calibration.runs import count_runs, runs_path
from sraccel.accelerators.teacache.calibration_file import (
    CalibrationEntry,
    CalibrationFile,
    entry_for,
    signature_of,
)
from sraccel.accelerators.teacache.coefficients import Coefficients
from sraccel.accelerators.teacache.rule import BranchState, Variant
from sraccel.composer import compose
from sraccel.demo.pair import DEMO_WEIGHTS
from sraccel.denoisers.wan import WanAdapter
from sraccel.loop.denoiser import Denoiser
from sraccel.models.loading import load_demo
from sraccel.plugin import (
    Accelerator,
    AcceleratorOptions,
    Call,
    hookimpl,
    weights_checksum,
)

PROMPTS = ("two cats boxing", "a boat", "rain on a window")
STEPS = 9


def speaking(pipeline: Any, masked: bool = False) -> Any:
    """A tiny pipeline that takes prompts as texts: each gives other random embeddings."""

    def embeddings(text: str) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        found = torch.randn(1, 6, TEXT_DIM, generator=generator)
        return [found, torch.ones(1, 6, dtype=torch.bool)] if masked else [found]

    def encode_prompt(prompt: str, **_: Any) -> tuple[torch.Tensor, ...]:
        return (*embeddings(prompt), *embeddings(""))

    pipeline.encode_prompt = encode_prompt
    return pipeline


def wan(seed: int = 0, **config: Any) -> Any:
    return speaking(WAN.pipeline(seed=seed, **config))


def calibrated(out: Path, pipe: Any = None, prompts: Sequence[str] = PROMPTS, **more: Any) -> Any:
    arguments = {"num_inference_steps": STEPS, "guidance_scale": 4.0, **WAN.size, **more}
    return calibrate(pipe or wan(), prompts, out, **arguments)


def relative_l1(tensors: list[torch.Tensor]) -> list[float]:
    """Distances of consecutive tensors, by numpy, in float64."""
    arrays = [tensor.double().numpy() for tensor in tensors]
    return [
        float(np.abs(now - before).mean() / np.abs(before).mean())
        for before, now in itertools.pairwise(arrays)
    ]


def watched(model: nn.Module, *watches: Watch) -> list[list[torch.Tensor]]:
    """What torch's own hooks see: the model's predictions, then what each of these watches."""
    seen: list[list[torch.Tensor]] = []
    for watch in (output_of("", 0), *watches):
        seen.append([])
        watch(model, seen[-1])
    return seen


def recorded(pipe: Any, arguments: dict[str, Any]) -> Recorder:
    recorder = Recorder()
    with compose(pipe, [recorder]):
        pipe(**arguments)
    return recorder


def test_recorded_distances_of_both_branches_are_those_of_a_plain_computation() -> None:
    pipe = WAN.pipeline()
    time_embedding = output_of("condition_embedder.time_embedder")
    outputs, embeddings, projections = watched(
        pipe.transformer, time_embedding, argument_of("blocks.0", 2)
    )
    series = recorded(pipe, WAN.arguments(STEPS)).series
    assert [item.branch for item in series] == ["cond", "uncond"]
    for number, item in enumerate(series):
        assert item.steps == list(range(STEPS))
        for ours, theirs in (
            (item.outputs, outputs),
            (item.inputs["time_embedding"], embeddings),
            (item.inputs["time_projection"], projections),
        ):
            assert ours[0] is None
            assert ours[1:] == pytest.approx(relative_l1(theirs[number::2]), rel=1e-4)


def test_a_family_that_batches_its_branches_is_recorded_by_its_own_modulated_input() -> None:
    pipe = LTX.pipeline()
    assert LTX.blocks is not None
    outputs, modulated = watched(pipe.transformer, LTX.blocks.modulated)
    (series,) = recorded(pipe, LTX.arguments(STEPS)).series
    assert series.outputs[1:] == pytest.approx(relative_l1(outputs), rel=1e-4)
    assert series.inputs["modulated_hidden_states"][1:] == pytest.approx(
        relative_l1(modulated), rel=1e-4
    )
    assert series.latent_shape == list(outputs[0].shape)


def test_recording_changes_nothing() -> None:
    bare = WAN.generate(WAN.pipeline())
    pipe = WAN.pipeline()
    with compose(pipe, [Recorder()]):
        assert torch.equal(WAN.generate(pipe), bare)


def test_two_experts_are_recorded_and_fitted_apart(tmp_path: Path) -> None:
    """Each has the distances of its own steps, and none to the other's last step."""
    pipe = WAN_2_2.pipeline()
    seen = [watched(model)[0] for model in WAN_2_2.denoisers(pipe)]
    recorder = recorded(pipe, WAN_2_2.arguments(16))
    for role, outputs in zip(WAN_2_2.attributes, seen, strict=True):
        for number, item in enumerate(item for item in recorder.series if item.role == role):
            assert item.outputs[0] is None
            assert item.outputs[1:] == pytest.approx(relative_l1(outputs[number::2]), rel=1e-4)
    steps = [item.steps for item in recorder.series if item.branch == "cond"]
    assert steps[0] + steps[1] == list(range(16))
    first, second = calibrated(
        tmp_path / "c.json", speaking(WAN_2_2.pipeline()), num_inference_steps=24
    ).entries
    assert (first.name, second.name) == ("transformer", "transformer_2")
    assert first.num_experts == second.num_experts == 2
    assert first.num_points + second.num_points == 3 * 2 * (24 - 2)
    assert first.coefficients != second.coefficients


def test_an_expert_that_takes_too_few_steps_is_refused_after_the_first_run(tmp_path: Path) -> None:
    with pytest.raises(
        sraccel.ConflictError, match=r"denoiser 'transformer' took [1-5] of 8 steps"
    ):
        calibrated(tmp_path / "c.json", speaking(WAN_2_2.pipeline()), num_inference_steps=8)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@settings(max_examples=50)
@given(
    st.lists(numbers(-3, 3), min_size=5, max_size=5),
    st.lists(st.integers(50, 500), min_size=8, max_size=30, unique=True),
)
def test_the_fit_recovers_a_polynomial(coefficients: list[float], places: list[int]) -> None:
    x = np.tile(np.array(places) / 1000, 3)
    y = np.polyval(coefficients, x)
    found = fitting.fit(fitting.Points(x, y, np.repeat(np.arange(3), len(places))))
    grid = np.linspace(x.min(), x.max(), 50)
    scale = 1e-6 * (1 + np.abs(coefficients).max())
    expected = np.polyval(coefficients, grid)
    assert np.allclose(np.polyval(found.coefficients, grid), expected, atol=scale)
    assert found.error < scale
    assert found.error_held_out is not None
    assert found.error_held_out < scale


def test_held_out_prompts_are_predicted_by_the_others_alone() -> None:
    """A prompt of its own kind is explained in the fit, and not when it is left out."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.05, 0.5, 240)
    prompts = np.arange(240) % 4
    x[prompts == 3] += 1  # nothing else is there
    y = np.where(prompts == 3, x % 0.1, x)
    found = fitting.fit(fitting.Points(x, y, prompts))
    rest = prompts != 3
    alone = fitting.fit_polynomial(x[rest], y[rest])
    held_out = fitting.predict_held_out(fitting.Points(x, y, prompts))
    assert held_out is not None
    assert np.allclose(held_out[~rest], np.polyval(alone, x[~rest]))
    assert found.r2 > 0.9
    assert found.r2_held_out is not None
    assert found.r2_held_out < 0


def test_a_poor_fit_is_said_loudly() -> None:
    rng = np.random.default_rng(0)
    points = fitting.Points(rng.random(300), rng.random(300), np.arange(300) % 5)
    (warning,) = fitting.warnings_of(fitting.fit(points), points)
    for part in ("poor fit", "R^2", "more prompts", "--retention", "SeaCache"):
        assert part in warning


def test_a_single_prompt_a_negative_and_a_wild_polynomial_are_said() -> None:
    def warnings(x: np.ndarray, y: np.ndarray) -> str:
        points = fitting.Points(x, y, np.zeros(len(x), np.int64))
        return " ".join(fitting.warnings_of(fitting.fit(points), points))

    x = np.linspace(0, 1, 40)
    assert warnings(x, 0.1 + x).startswith("the fit could not be checked on prompts left out")
    noise = np.random.default_rng(0).random(40)
    assert "poor fit: R^2 on its own points" in warnings(x, noise)
    dips = (x - 0.5) ** 2 - 0.02
    assert "negative for input changes between 0.36 and 0.64" in warnings(x, dips)
    gap = np.concatenate([np.linspace(0, 0.05, 20), [1.0]])
    assert "swings to" in warnings(gap, 10 * gap * (0.05 - gap) * (gap < 0.06) + 0.01)


@settings(max_examples=50)
@given(
    st.lists(numbers(0.01, 0.5), min_size=2, max_size=30),
    st.lists(numbers(-1, 1), min_size=5, max_size=5),
    numbers(0.01, 1),
    st.sampled_from(Variant),
)
def test_the_simulated_rule_is_the_one_that_decides(
    growth: list[float], coefficients: list[float], threshold: float, variant: Variant
) -> None:
    values = np.cumprod([1.0, *(1 + np.array(growth))])
    tensors = [torch.tensor([value], dtype=torch.float64) for value in values]
    rule = variant.rule(WanAdapter(), Coefficients(tuple(coefficients), ""), threshold)
    state, skipped = BranchState(), 0
    for step, tensor in enumerate(tensors):
        skipped += state.decide(rule, tensor, rule.forced(step, len(tensors)))
        state.residual = tensor
    pairs = itertools.pairwise(tensors)
    distances = [float((now - before).abs().mean() / before.abs().mean()) for before, now in pairs]
    run = fitting.Branch([None, *distances], range(len(tensors)), len(tensors))
    assert fitting.count_skipped(rule, run) == skipped


@pytest.mark.parametrize("retention", [False, True])
def test_the_table_s_shares_and_the_changes_say_what_teacache_then_skips(
    tmp_path: Path, retention: bool
) -> None:
    """Wan's modulated inputs depend on the timestep alone, so both are exact."""
    (entry,) = calibrated(tmp_path / "c.json", num_inference_steps=24, retention=retention).entries
    shares = [row.skipped for row in entry.thresholds]
    assert len(shares) >= 4
    assert shares == sorted(shares)
    assert 0.05 <= shares[0] < 0.3 < shares[-1] <= 0.8
    for row in entry.thresholds[::3]:
        pipe = WAN.pipeline()
        recipe = {
            "use": "teacache",
            "threshold": row.threshold,
            "retention": retention,
            "coefficients": entry.coefficients,
        }
        with sraccel.compose(pipe, [recipe]) as stack:
            WAN.generate(pipe, 24)
        calls = [call.reused for step in stack.report.steps for call in step.calls]
        assert sum(calls) / len(calls) == pytest.approx(row.skipped)
        coefficients = Coefficients(tuple(entry.coefficients), "")
        rule = Variant(entry.variant).rule(WanAdapter(), coefficients, row.threshold)
        skipped = [step.index for step in stack.report.steps if step.calls[0].reused]
        assert [*rule.skipped(entry.changes, range(24), 24)] == skipped


def test_the_file_says_how_the_coefficients_came_about(tmp_path: Path) -> None:
    made = calibrated(tmp_path / "new" / "c.json", seeds=[3, 1], negative_prompt="blur")
    assert [path.name for path in made.paths] == [
        "c.json",
        "c.transformer.png",
        "c.transformer.runs.jsonl",
    ]
    assert all(path.stat().st_size > 0 for path in made.paths)
    file = CalibrationFile.load(tmp_path / "new" / "c.json")
    entry = file.models["transformer"]
    assert entry == made.entries[0]
    assert (entry.family, entry.class_name) == ("wan", "WanTransformer3DModel")
    assert entry.signature["num_layers"] == 3
    assert entry.signature["patch_size"] == [1, 2, 2]
    assert not [key for key in entry.signature if key.startswith("_")]
    assert (entry.prompts, entry.seeds) == (list(PROMPTS), [1, 3])
    assert entry.num_points == 3 * 2 * 2 * (STEPS - 1)
    assert [change is None for change in entry.changes] == [True, *[False] * (STEPS - 1)]
    assert entry.size == WAN.size
    assert entry.latent_shape == [1, 4, 2, 2, 2]
    assert (entry.guidance_scale, entry.num_inference_steps) == (4.0, [STEPS])
    assert entry.scheduler is not None
    assert entry.scheduler.config["flow_shift"] == 3.0
    assert entry.versions.keys() == {"sraccel", "torch", "diffusers"}
    assert entry.r2_held_out is not None
    assert entry.r2_held_out <= entry.r2 <= 1


class Interrupts:
    """A progress callback that presses Ctrl-C after so many steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, description: str, done: int, total: int) -> None:
        if done >= self.steps:
            raise KeyboardInterrupt


def test_an_interrupted_calibration_goes_on_and_ends_in_the_same_file(tmp_path: Path) -> None:
    calibrated(tmp_path / "whole.json")
    out = tmp_path / "parts.json"
    for kept in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            calibrated(out, progress=Interrupts(STEPS + 3))  # in the second run of this call
        assert count_runs(runs_path(out, "transformer")) == kept
        assert not out.exists()
    with runs_path(out, "transformer").open("ab") as file:
        file.write(b'{"prompt": "half writ')  # a crash
    seen: list[tuple[int, int]] = []
    calibrated(out, progress=lambda _, done, total: seen.append((done, total)))
    assert seen[-1] == (STEPS, STEPS)  # only the third run was left
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_prompts_may_be_added_and_both_variants_share_the_runs(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    calibrated(out, prompts=PROMPTS[:2])
    totals: list[int] = []
    calibrated(out, progress=lambda _, done, total: totals.append(total))
    assert set(totals) == {STEPS}
    calibrated(out, retention=True, progress=Interrupts(0))  # nothing is run
    assert CalibrationFile.load(out).models.keys() == {"transformer", "transformer-retention"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_inference_steps": 10}, r"num_inference_steps: 9 \(there\), 10 \(now\)"),
        ({"height": 32}, r"call.height: 16 \(there\), 32 \(now\)"),
        ({"pipe": wan(layers=2)}, r"num_layers: 3 \(there\), 2 \(now\)"),
        ({"pipe": wan(seed=1)}, "models.transformer.weights"),
        ({"prompts": PROMPTS[:2]}, "prompt 'rain on a window'"),
        ({"seeds": [1]}, "with seed 0"),
    ],
)
def test_runs_of_another_calibration_are_not_mixed_in(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    out = tmp_path / "c.json"
    calibrated(out)
    out.unlink()
    with pytest.raises(sraccel.ConflictError, match=f"(?s){said}.*remove that file"):
        calibrated(out, **change)


def test_a_file_of_another_model_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    calibrated(out)
    runs_path(out, "transformer").unlink()
    with pytest.raises(sraccel.ConflictError, match="of another model: choose another output"):
        calibrated(out, wan(layers=2))
    calibrated(out, wan(layers=2), role="render")
    assert CalibrationFile.load(out).models.keys() == {"transformer", "render"}


def test_a_calibration_without_a_whole_run_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    with pytest.raises(KeyboardInterrupt):
        calibrated(out, progress=Interrupts(2))
    assert count_runs(runs_path(out, "transformer")) == 0
    calibrated(out, num_inference_steps=10)


def test_damaged_runs_are_not_guessed_at(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    calibrated(out)
    path = runs_path(out, "transformer")
    path.write_text(path.read_text().replace('"seed":0', '"seed":"zero"'))
    with pytest.raises(sraccel.ConflictError, match=r"damaged.*remove it to begin anew"):
        calibrated(out)


def test_wrong_input_is_refused_before_the_first_run(tmp_path: Path) -> None:
    def refused(kind: type[Exception], said: str, out: str = "c.json", **change: Any) -> None:
        with pytest.raises(kind, match=said):
            calibrated(tmp_path / out, progress=Interrupts(0), **change)

    refused(sraccel.ConflictError, "5 steps are too few for a polynomial", num_inference_steps=5)
    refused(sraccel.ConflictError, "nothing to calibrate with", prompts=[])
    refused(sraccel.ConflictError, "a list of texts", prompts="a cat")
    refused(sraccel.ConflictError, "0 or more", seeds=[-1])
    refused(sraccel.ConflictError, "gives generator itself", generator=None)
    refused(sraccel.ConflictError, r"name the output \*\.json", out="c.txt")
    ltx = speaking(LTX.pipeline(), masked=True)
    refused(sraccel.ModelError, "no retention variant for 'ltx'", pipe=ltx, retention=True)
    refused(sraccel.ConflictError, "no block stack", pipe=SDXL.pipeline())
    (tmp_path / "file").touch()
    refused(sraccel.OutputError, "cannot write to the folder", out="file/c.json")
    (tmp_path / "other.json").write_text("[]")
    refused(sraccel.ModelError, "is not a calibration file", out="other.json")


def denoiser(role: str = "transformer", experts: int = 1, **config: Any) -> Denoiser:
    pipeline = WAN_2_2.pipeline() if experts == 2 else None
    return Denoiser(role, tiny_transformer(**config), WanAdapter(), pipeline)


def entry_of(model: Denoiser, **more: Any) -> CalibrationEntry:
    return fitted_entry(model.module, model.role, **more)


def file_of(*entries: CalibrationEntry) -> CalibrationFile:
    return CalibrationFile(models={entry.name: entry for entry in entries})


def test_a_model_finds_its_entry_whatever_its_role() -> None:
    ours, other = denoiser("render"), denoiser(layers=2)
    file = file_of(entry_of(other), entry_of(denoiser("transformer_2")))
    assert entry_for(file, ours, Variant.PLAIN).role == "transformer_2"
    file = file_of(entry_of(denoiser()), entry_of(ours))
    assert entry_for(file, ours, Variant.PLAIN).role == "render"


def test_a_file_of_another_model_is_refused_naming_what_differs() -> None:
    file = file_of(entry_of(denoiser(layers=2, ffn_dim=64)))
    with pytest.raises(sraccel.ModelError) as raised:
        entry_for(file, denoiser(), Variant.PLAIN)
    assert "ffn_dim: 64 (file, transformer), 32 (model)" in str(raised.value)
    assert "num_layers: 2 (file, transformer), 3 (model)" in str(raised.value)
    assert "text_dim" not in str(raised.value)
    with pytest.raises(sraccel.ModelError, match="holds no coefficients"):
        entry_for(CalibrationFile(), denoiser(), Variant.PLAIN)


def test_experts_differ_by_their_role_and_from_a_model_of_their_configuration() -> None:
    first, second = denoiser("transformer", experts=2), denoiser("transformer_2", experts=2)
    file = file_of(entry_of(first, num_experts=2), entry_of(second, num_experts=2))
    for model in (first, second):
        assert entry_for(file, model, Variant.PLAIN).role == model.role
    with pytest.raises(sraccel.ModelError, match=r"experts: 2 \(file, transformer\), 1 \(model\)"):
        entry_for(file, denoiser(), Variant.PLAIN)
    with pytest.raises(
        sraccel.ModelError, match=r"role: 'transformer' \(file, transformer\), 'transformer_2'"
    ):
        entry_for(file_of(entry_of(first, num_experts=2)), second, Variant.PLAIN)


@pytest.mark.parametrize("role", ["transformer", "render"])
@pytest.mark.parametrize("variant", list(Variant))
def test_the_shipped_coefficients_were_fitted_to_the_shipped_weights(
    role: Any, variant: Variant
) -> None:
    file = CalibrationFile.load(DEMO_WEIGHTS / "teacache.json")
    model = Denoiser(role, load_demo(role).transformer, WanAdapter())
    entry = entry_for(file, model, variant)
    assert entry.weights == weights_checksum(model.module)
    assert entry.signature.keys() == signature_of(model.config).keys()
    assert entry.r2_held_out is not None
    assert entry.r2_held_out > 0.5


def test_keys_that_another_version_of_diffusers_adds_say_nothing() -> None:
    model = denoiser()
    entry = entry_of(model)
    del entry.signature["rope_max_seq_len"]
    entry.signature["of_tomorrow"] = 3
    assert entry_for(file_of(entry), model, Variant.PLAIN) == entry


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read .*No such file"),
        ("{", "is not JSON"),
        ("[]", "is not a calibration file"),
        ('{"schema_version": 2, "models": {}}', "has schema_version 2, this sraccel reads 1"),
        ('{"schema_version": 1, "models": {"a": {}}}', r"(?s)models.a.role: is missing"),
        ('{"models": {}}', "has schema_version None"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "c.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(sraccel.ModelError, match=said):
        CalibrationFile.load(path)


def test_five_finite_coefficients_are_needed(tmp_path: Path) -> None:
    path = file_of(entry_of(denoiser())).save(tmp_path / "c.json")
    content = json.loads(path.read_text())
    for wrong in ([1, 2, 3], [0, 0, 0, 1, "nan"]):
        content["models"]["transformer"]["coefficients"] = wrong
        path.write_text(json.dumps(content))
        with pytest.raises(sraccel.ModelError, match=r"models\.transformer\.coefficients"):
            CalibrationFile.load(path)


def test_reading_a_calibration_file_imports_neither_torch_nor_diffusers() -> None:
    code = (
        "import sys; import sraccel.accelerators.teacache.calibration_file, "
        "sraccel.accelerators.teacache.calibration.calibrator, sraccel.cli.calibrate; "
        "print(sorted({'torch', 'diffusers', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


class Listens(Accelerator):
    """Keeps predictions."""

    name = "listens"

    def __init__(self, options: AcceleratorOptions) -> None:
        super().__init__(options)
        self.heard: list[torch.Tensor] = []

    @hookimpl
    def denoiser_called(self, call: Call, output: torch.Tensor) -> None:
        self.heard.append(output)


@pytest.mark.parametrize("return_dict", [False, True])
def test_the_hook_finds_the_prediction_in_what_a_denoiser_returns(return_dict: bool) -> None:
    model = tiny_transformer()
    arguments = (torch.ones(1, 4, 2, 2, 2), torch.ones(1), torch.ones(1, 6, TEXT_DIM))
    with sraccel.compose(model, [Listens.Options()]) as stack, stack.run(1) as run, run.step():
        output = model(*arguments, return_dict=return_dict)
    (heard,) = stack.accelerators[0].heard
    assert torch.equal(heard, output[0])


def test_a_pipeline_that_needs_an_image_says_so_before_the_first_run(tmp_path: Path) -> None:
    pipe = WAN_IMAGE_TO_VIDEO.pipeline()
    with pytest.raises(sraccel.ModelError, match=r"needs image: .*image=\.\.\."):
        calibrate(pipe, ["a cat"], tmp_path / "fit.json")
    assert not list(tmp_path.iterdir())
