"""One video by two pipelines, whose VAEs may differ: `handoff: reencode`.

In: a sketch and a render pipeline, a recipe with srdiffusion, the arguments of the call. Out: a
`Handoff`: the render pipeline's output, and one report of both runs.

Begin at `handoff`, which checks that the two fit and runs one after the other. `srdiffusion`
decides the switch, `sketch_call` stops there and decodes, `late_start` finds the step at which
`render_call` goes on, `joined_report` makes one report of two.

Others use: `handoff.handoff`, `handoff.Handoff`, `handoff.PipelinePair` (to report progress),
`comparison.compare_handoff` (against the sketch pipeline alone).
"""
