"""The invariants: each tries an accelerator on a target, and yields the faults that it finds."""
