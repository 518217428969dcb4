"""Runs VBench on a folder of videos. For VBench's own environment: imports nothing of sraccel.

    python vbench_driver.py FOLDER

reads FOLDER/request.json ("prompts" by file name in FOLDER/videos, "dimensions", "device") and
writes FOLDER/response.json: for each dimension "values", in the order of the prompts, or "error".
"""

import contextlib
import importlib.util
import json
import sys
from pathlib import Path


def main(folder):
    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    if importlib.util.find_spec("vbench") is None:
        sys.exit(f"vbench is not installed in {sys.prefix}: `sraccel-vbench install` does that")
    answer = {}
    for dimension in asked["dimensions"]:
        try:
            answer[dimension] = {"values": values_of(dimension, folder, asked)}
        except (Exception, SystemExit) as error:
            answer[dimension] = {"error": f"{type(error).__name__}: {error}"}
    (folder / "response.json").write_text(json.dumps(answer), encoding="utf-8")


def values_of(dimension, folder, asked):
    """VBench's numbers of one dimension; what it prints goes to the errors."""
    with contextlib.redirect_stdout(sys.stderr):
        import torch
        from vbench import VBench

        bench = VBench(torch.device(asked["device"]), "", str(folder))
        bench.evaluate(
            videos_path=str(folder / "videos"),
            name=dimension,
            prompt_list=asked["prompts"],
            dimension_list=[dimension],
            mode="custom_input",
        )
    results = folder / f"{dimension}_eval_results.json"
    _, each = json.loads(results.read_text(encoding="utf-8"))[dimension]
    found = {Path(one["video_path"]).name: float(one["video_results"]) for one in each}
    return [found[name] for name in asked["prompts"]]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
