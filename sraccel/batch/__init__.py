"""Many prompts under one recipe, each video on disk before the next; one command, again and again.

In: a file of prompts (JSON lines), a pipeline, a recipe, a folder. Out: a video and a report for
each prompt, and one manifest of the folder.

Begin at `prompts_file` (what is asked for). `folder` knows what is there already, `local` makes the
rest in one process with models that are loaded once, `record` writes one prompt's files. On Ray,
`dispatch` gives prompts to workers, each of which is one of the `stages`; `pools` has their number.

Others use: `prompts_file`, `folder`, `local`, `record`, `stages`, `pools`, `dispatch`.
"""
