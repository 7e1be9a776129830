"""What runs inside a cell's interpreter: standard library and pytest only, CPython 3.9 and later.

Nothing here imports leakgrid and leakgrid imports nothing from here: the two meet in a plan (JSON,
named by ``LEAKGRID_PLAN``) and a journal (JSON lines). The folder is put on ``PYTHONPATH`` for one
run and is never installed into the cell's environment.
"""
