"""Accelerate a pipeline, then measure what that gained and cost. Runs on a CPU in seconds.

The pipeline here is the small trained pair that comes with sraccel. With a large one, only the
first statement differs: `pipe = WanPipeline.from_pretrained(..., dtype=torch.bfloat16).to("cuda")`.
"""

import sys
from pathlib import Path

import sraccel
from sraccel.testing import load_demo_pipeline
from sraccel.video.mp4 import save_video

PROMPT = "a red circle moving left above a blue square moving right"


def main(folder: Path) -> None:
    """Write accelerated.mp4 and report.json into a folder, and print both reports."""
    pipe = load_demo_pipeline()
    recipe = sraccel.Recipe(
        accelerators=[
            {"use": "srdiffusion", "render": "demo", "threshold": 0.01},
            {"use": "teacache", "threshold": 0.1},
        ]
    )

    # The pipeline stays yours: same object, same call. Leaving the block restores it.
    with sraccel.compose(pipe, recipe) as stack:
        video = pipe(prompt=PROMPT, num_inference_steps=30).frames[0]
    print(stack.report)
    save_video(video, folder / "accelerated.mp4", fps=8)

    # A comparison also runs the bare pipeline: measured speedup, and quality against it.
    comparison = sraccel.compare(pipe, recipe, prompt=PROMPT, num_inference_steps=30)
    print(comparison.report)
    comparison.report.save(folder / "report.json")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
