"""One video by two pipelines, whose VAEs may differ: `handoff: reencode`.

In: a sketch and a render pipeline, a recipe with srdiffusion, the arguments of the call. Out: a
`Handoff`: the render pipeline's output, and one report of both runs.

`handoff` is where to begin; it runs a `pipeline_pair`. The sketch's side: `switch_options` (of the
recipe), `sketching` (when to stop), `sketch_call` (stopping, and decoding). The render pipeline's:
`video_to_video` (its form that takes frames), `render_arguments`, `video_size` (what fits),
`late_start` (at which step to begin), `rendering`. Of both: `joined_report`, `stopwatch`.

Others use: `handoff.handoff`, `pipeline_pair.PipelinePair` (to report progress),
`comparison.compare_handoff` (against the sketch pipeline alone).
"""
