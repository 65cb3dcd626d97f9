"""The press: exports are printed in a process of their own, at low priority, into files that the web follows.

A busy thread beside the event loop would keep it from the interpreter for milliseconds at a time, and the
door's answers with it; a process does not. `asking.py` makes of a wish a job, `pages.py` says what stands in
it, `printing.py` and `packing.py` do it, `worker.py` is the process.
"""
