"""Where sraccel meets code that is not its own: a denoiser's calls, its blocks, its pipeline.

Each seam puts layers around callable attributes of objects (`intercept`) and takes them away again.
`denoiser_call` is where every call comes in; `block_stack` skips or watches the blocks of the model
that answers; `sibling_call` calls another model than the loop asked for; `pipeline` turns what a
scheduler and a progress bar go through into runs and steps.
"""
