"""Models: where they come from, loading and placing them, what their calls take.

In: a folder, a name on the hub, or `demo`. Out: a diffusers pipeline or a denoiser, on its device.
Importing any module here imports neither torch nor diffusers.

Others use: `loading` (a pipeline), `source` (a denoiser: `ModelSource`), `shared` (one copy for
several stacks), `memory` (needed and free), `partners` (whether two denoisers go together),
`checksum`, `configurations`, `known_pairs`; of a pipeline's call `arguments` and `step_callback`.
"""
