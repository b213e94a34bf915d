"""From a request's tensors to its results: signatures, batches, threads and the event loop.

A request becomes a plan (methods.py), the scheduler puts the plan on a lane (lanes.py, scheduler.py), and the servable
runs it and notes how long that took (servable.py). Batches (batcher.py, batch.py), threads (workers.py) and the way
back to the event loop (completions.py) serve the scheduler only.
"""
