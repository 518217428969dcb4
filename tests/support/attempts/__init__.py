"""What people stack today, each as a small accelerator of public names only.

Each can be idle: it is in the stack and decides nothing, so that nothing may change.
"""
