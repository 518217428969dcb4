"""One run in two processes: what is handed over at the switch, as a value and as a file.

In: a stack and the arguments of its pipeline's call. Out: `until_switch` gives a `Handover`
(latents, schedule, the scheduler's history, the encoded prompt, generator, decisions,
fingerprints), `resume` goes on with it, on another machine perhaps. The run that was split equals
the run in one process, bit for bit.

Begin at `handover` (the value) and `sketching` (how it comes to be). `scheduler_state` reads and
sets schedulers, `encoded_prompt` spares the second half the text encoders, `values` makes JSON of
both, `container` is the file's format, `checks` refuses what does not fit, `resuming` goes on,
`whole_report` makes one report of two, `half_stack` has no weights of the other half.

Others use: `handover`, `sketching`, `resuming`, `half_stack`, `checks`, `whole_report`.
"""
